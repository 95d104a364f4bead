"""How fast `annotate` reads a video, beside decoding alone, and how much memory it takes.

    python benchmarks/annotate.py VIDEO [--repeat N]

Every frame is detected in and every face classified. Each figure is the median over runs that take
turns in one process; quote the ratio, it travels better than frames a second. On a quiet machine only.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import fer_batch
from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.sources import find_sources
from fer_batch.settings import AnnotateSettings, SamplingSettings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    annotate_once(arguments.video)  # warms the file's cache and opens the models
    times = [(decode_once(arguments.video), annotate_once(arguments.video)) for _ in range(arguments.repeat)]
    (frames, _), _ = times[0]
    decoding = frames / statistics.median(decoded for (_, decoded), _ in times)
    annotating = frames / statistics.median(annotated for _, annotated in times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.video.name}: {frames} frames, median of {arguments.repeat}")
    print(f"decoding alone     {decoding:7.0f} frames a second")
    size = AnnotateSettings().detection.size
    print(f"annotate           {annotating:7.0f} frames a second, detection size {size}")
    print(f"ratio              {annotating / decoding:7.2f}")
    print(f"peak resident set  {peak:7.0f} MB")


def decode_once(video: Path) -> tuple[int, float]:
    """Frames, and the seconds that decoding them takes."""
    (source,) = find_sources([video], leave_out=Path("out"))
    started = time.perf_counter()
    frames = sum(1 for _ in read_frames(source, SamplingSettings(), DecodeReport()))
    return frames, time.perf_counter() - started


def annotate_once(video: Path) -> float:
    """The seconds that annotating takes, tables written and all."""
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        fer_batch.annotate([video], out)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
