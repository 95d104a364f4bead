"""What cleaning does to learning: all training rows, the cleaned ones, and as many dropped at random.

    python benchmarks/cleaning.py data/fer2013 runs/cleaning [--drop CHECK,...]

Needs `quality.parquet` in the data set (`fer-batch filter`). Validation pictures are all of val, whatever is
dropped of train. A run that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
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

RECIPE = TrainSettings(width=0.5, epochs=8, early_share=0.5)
"""The defaults, shortened, of a network a quarter as large."""
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


def learned(dataset: Path, work: Path, kind: str, seed: int, drop: list[str]) -> tuple[int, float, float]:
    """Train one network; returns how many rows it saw, and its accuracy with either head."""
    data = load_training_data(dataset, RECIPE)
    clean = kept_rows(dataset, data, drop)
    chance = np.random.default_rng(seed).permutation(len(data.train))[: len(clean)]
    rows = {"all": np.arange(len(data.train)), "cleaned": clean, "random": np.sort(chance)}[kind]
    part = replace(data, train=data.train.take(rows, "train"))
    with tqdm(desc=f"{kind}, seed {seed}", leave=False) as bar:

        def tell(_what: str, done: int, total: int | None, /) -> None:
            bar.total = total
            bar.update(done - bar.n)

        run, settings = work / f"{kind}-{seed}", replace(RECIPE, seed=seed)
        network = fit(part, run, settings, runtime=TrainRuntime(threads=1), progress=tell)
    return len(rows), accuracy(network, data.val, "fer2013"), accuracy(network, data.val, "crowd")


def main() -> None:
    """Train nine networks, as many at once as there are cores, and print mean and deviation of both heads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--drop", default=",".join(FilterSettings().drop))
    arguments = parser.parse_args()
    print(f"dropped from cleaned: {arguments.drop}", flush=True)
    runs = [(kind, seed) for kind in ("all", "cleaned", "random") for seed in SEEDS]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        waiting = [
            pool.submit(learned, arguments.dataset, arguments.work, kind, seed, arguments.drop.split(","))
            for kind, seed in runs
        ]
        figures: dict[str, list[tuple[float, float]]] = {}
        for (kind, seed), future in zip(runs, waiting, strict=True):
            rows, label, crowd = future.result()
            print(f"  {kind}, seed {seed}: {label:.2%} {crowd:.2%}", flush=True)
            figures.setdefault(kind, []).append((label, crowd))
            if len(figures[kind]) == len(SEEDS):
                mean, deviation = np.mean(figures[kind], 0), np.std(figures[kind], 0, ddof=1)
                print(
                    f"{kind:<8} {rows:,} rows: fer2013 {mean[0]:.2%} ± {deviation[0]:.2%}, "
                    f"crowd {mean[1]:.2%} ± {deviation[1]:.2%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
