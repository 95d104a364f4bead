"""How fast `train` goes: pictures a second, beside the rate at which this machine multiplies matrices.

    python benchmarks/training_speed.py DATASET [--config NAME|FILE.toml] [--epochs N] [--device cuda]

Trains the recipe for a few epochs, augmentation, optimizer and moving average included, validation
excluded. The work of a step is three forward passes' multiply-adds (one forward, two backward); what a
teacher computes is left out. The matrix product runs in the precision that training runs in. On a
quiet machine only.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from fer_batch.model.architectures import INPUT_SIZE, build_network
from fer_batch.settings import TrainRuntime, TrainSettings, build
from fer_batch.training import train
from fer_batch.training.recipe import choose_device, uses_bf16
from fer_batch.training.recipes import load_recipe

SIDE = 2048
PRODUCTS = 20
PASSES = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--config", help="a TOML file or a known recipe; without one, `train`'s defaults")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    settings = build(TrainSettings, load_recipe(arguments.config)) if arguments.config else TrainSettings()
    settings = replace(settings, epochs=arguments.epochs, early_share=0.0)
    runtime = TrainRuntime(device=arguments.device, compile=arguments.compile)
    device = choose_device(runtime)
    precision = torch.bfloat16 if uses_bf16(runtime, device) else torch.float32
    rate = matrix_products(device, precision)
    with tempfile.TemporaryDirectory() as folder:
        steps: list[float] = []
        last: list[float] = []

        def progress(stage: str, done: int, _: int) -> None:
            # The first step of an epoch waits for the one before, and its validation, to end.
            if stage.startswith("epoch") and done > 1:
                steps.append(time.perf_counter() - last.pop())
            last[:] = [time.perf_counter()]

        train(arguments.dataset, Path(folder) / "run", settings, runtime=runtime, progress=progress)
        with (Path(folder) / "run/history.csv").open(encoding="utf-8") as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    pictures = settings.batch_size / statistics.median(steps)
    work = PASSES * operations(settings)
    name = str(precision).removeprefix("torch.")
    print(
        f"{settings.arch}, batch {settings.batch_size}, {device}, {name}, {torch.get_num_threads()} threads"
    )
    print(f"matrix product of {SIDE}     {rate / 1e12:8.2f} TFLOP/s")
    print(f"training               {pictures:8.0f} pictures a second (median step)")
    print(f"                       {pictures * work / 1e12:8.2f} TFLOP/s of {work / 1e9:.2f} GFLOP a picture")
    print(f"ratio                  {pictures * work / rate:8.2f}")
    print(f"an epoch               {statistics.median(seconds):8.1f} s with validation")


def matrix_products(device: torch.device, precision: torch.dtype) -> float:
    """Floating-point operations a second of square matrix products."""
    left, right = (torch.randn(SIDE, SIDE, device=device, dtype=precision) for _ in range(2))
    best = float("inf")
    for _ in range(PRODUCTS):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * SIDE**3 / best


def operations(settings: TrainSettings) -> int:
    """Floating-point operations of one picture's forward pass, a multiply-add counted as two."""
    network = build_network(settings, ("fer2013", "crowd")).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, INPUT_SIZE, INPUT_SIZE))
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
