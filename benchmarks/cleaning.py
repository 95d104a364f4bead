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
from tqdm import tqdm

from fer_batch.settings import FilterSettings, TrainRuntime, TrainSettings
from fer_batch.training.data import TrainingData, load_training_data
from fer_batch.training.loop import train_on

RECIPE = TrainSettings(width=0.5, epochs=6, early_share=1.0)
"""The default recipe, shortened, on pictures of 32 pixels, of a network a quarter as large."""
SEEDS = (0, 1, 2)


def kept_rows(dataset: Path, data: TrainingData, drop: list[str]) -> np.ndarray:
    """Positions of the training rows that no check of `drop` calls an issue."""
    names = [f"is_{check}_issue" for check in drop]
    table = pq.read_table(dataset / "quality.parquet", columns=["id", *names])
    bad = np.logical_or.reduce([table[name].to_numpy() for name in names])
    dropped = set(np.array(table["id"].to_pylist(), object)[bad])
    return np.array([row for row, name in enumerate(data.train.ids) if name not in dropped], np.int64)


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
    print(f"{len(data.train):,} training rows, {len(data.train) - len(clean):,} dropped: {arguments.drop}")
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
                result = train_on(
                    part, run, settings, runtime=TrainRuntime(threads=2), resume=True, progress=tell
                )
            figures.append([result.figures[head]["accuracy"] for head in ("fer2013", "crowd")])
            print(f"  {kind}, seed {seed}: {figures[-1][0]:.2%} {figures[-1][1]:.2%}", flush=True)
        mean, deviation = np.mean(figures, 0), np.std(figures, 0, ddof=1)
        print(
            f"{kind:<8} {len(rows):,} rows: fer2013 {mean[0]:.2%} ± {deviation[0]:.2%}, "
            f"crowd {mean[1]:.2%} ± {deviation[1]:.2%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
