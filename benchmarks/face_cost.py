"""What one face costs the classifier, beside what one frame costs the detector: one thread, one process.

    python benchmarks/face_cost.py [--model default] [--repeat N]

The networks take turns, and each figure is the median of its turns; quote the ratio, it travels better
than milliseconds. On a quiet machine only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_batch.inference.classifier import Classifier
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.model.onnx_file import resolve
from fer_batch.settings import DetectionSettings

FRAME = (384, 640)
BATCHES = (1, 8, 32)
SECONDS = 0.1
"""How long a turn lasts at least."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="default", help="a name, a run folder or an .onnx file")
    parser.add_argument("--repeat", type=int, default=15)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    path = resolve(arguments.model)
    classifier, detector = Classifier(path), YuNet(resolve_detector("yunet"), DetectionSettings())
    frame = rng.integers(0, 256, (*FRAME, 3), np.uint8)
    side = classifier.card.input_size
    crops = {size: rng.integers(0, 256, (size, side, side), np.uint8) for size in BATCHES}
    work: dict[str, tuple[Callable[[], object], int]] = {
        f"YuNet, one frame of {FRAME[1]}x{FRAME[0]}": (lambda: detector.detect(frame), 1)
    }
    for size, batch in crops.items():
        work[f"{arguments.model}, one face of a batch of {size}"] = (
            lambda batch=batch: classifier.logits(batch),
            size,
        )
    turns: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(arguments.repeat):
        for name, (call, units) in work.items():
            turns[name].append(seconds_a_call(call) / units)
    medians = {name: statistics.median(found) for name, found in turns.items()}
    yunet = next(iter(medians.values()))
    print(f"{Path(path).name}: {path.stat().st_size / 1e6:.2f} MB; one thread, {arguments.repeat} turns\n")
    print("| | milliseconds | of YuNet's |\n|---|---|---|")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds * 1000:.2f} | {seconds / yunet:.2f} |")


def seconds_a_call(call: Callable[[], object]) -> float:
    """The mean over as many calls as a turn lasts."""
    calls, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < SECONDS or not calls:
        call()
        calls += 1
    return spent / calls


if __name__ == "__main__":
    main()
