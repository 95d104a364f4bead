"""What cleaning does to learning: all training rows, the cleaned ones, and as many dropped at random.

    python benchmarks/cleaning.py data/fer2013 runs/cleaning [--drop CHECK,...]

Needs `quality.parquet` in the data set (`fer-batch filter`). Validation pictures are all of val, whatever is
dropped of train. A run that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from fer_batch.dataset import Split
from fer_batch.model.architectures import Network
from fer_batch.settings import FilterSettings, Head, TrainRuntime, TrainSettings
from fer_batch.training.data import TrainingData, load_training_data
from fer_batch.training.evaluation import head_labels
from fer_batch.training.loop import fit

RECIPE = TrainSettings(width=0.5, epochs=12, early_share=0.5)
"""The default recipe, shortened, of a network a quarter as large."""
SEEDS = (0, 1, 2)


def kept_rows(dataset: Path, data: TrainingData, drop: list[str]) -> np.ndarray:
    """Positions of the training rows that no check of `drop` calls an issue."""
    names = [f"is_{check}_issue" for check in drop]
    table = pq.read_table(dataset / "quality.parquet", columns=["id", *names])
    bad = np.logical_or.reduce([table[name].to_numpy() for name in names])
    dropped = set(np.array(table["id"].to_pylist(), object)[bad])
    return np.array([row for row, name in enumerate(data.train.ids) if name not in dropped], np.int64)


@torch.no_grad()
def accuracy(network: Network, split: Split, head: Head) -> float:
    """Share of the pictures that have a label for this head, and whose label it names."""
    rows, labels = head_labels(split, head)
    batches = torch.from_numpy(split.images[rows])[:, None].split(512)
    answers = torch.cat([network.eval()(batch)[head].argmax(1) for batch in batches])
    return float((answers.numpy() == labels).mean())


def main() -> None:
    """Train nine networks and print mean and deviation of both heads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--drop", default=",".join(FilterSettings().drop))
    arguments = parser.parse_args()
    data = load_training_data(arguments.dataset, RECIPE)
    clean = kept_rows(arguments.dataset, data, arguments.drop.split(","))
    everything = np.arange(len(data.train))
    print(
        f"{len(data.train):,} training rows, {len(data.train) - len(clean):,} dropped: {arguments.drop}",
        flush=True,
    )
    for kind in ("all", "cleaned", "random"):
        figures = []
        for seed in SEEDS:
            chance = np.random.default_rng(seed).permutation(everything)[: len(clean)]
            rows = {"all": everything, "cleaned": clean, "random": np.sort(chance)}[kind]
            part = replace(data, train=data.train.take(rows, "train"))
            with tqdm(desc=f"{kind}, seed {seed}", leave=False) as bar:

                def tell(_what: str, done: int, total: int | None, /, bar: tqdm = bar) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                run = arguments.work / f"{kind}-{seed}"
                settings = replace(RECIPE, seed=seed)
                network = fit(part, run, settings, runtime=TrainRuntime(threads=2), progress=tell)
            figures.append([accuracy(network, data.val, head) for head in ("fer2013", "crowd")])
            print(f"  {kind}, seed {seed}: {figures[-1][0]:.2%} {figures[-1][1]:.2%}", flush=True)
        mean, deviation = np.mean(figures, 0), np.std(figures, 0, ddof=1)
        print(
            f"{kind:<8} {len(rows):,} rows: fer2013 {mean[0]:.2%} ± {deviation[0]:.2%}, "
            f"crowd {mean[1]:.2%} ± {deviation[1]:.2%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
