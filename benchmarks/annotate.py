"""How fast `annotate` reads a video, beside decoding alone, and where the time goes.

    python benchmarks/annotate.py VIDEO [--repeat N] [--detect-size N] [--detect-every K] [--peer PYTHON]

Every frame, or every K-th, is searched, and every face of every frame classified; tables are written and
smoothed. VIDEO is read as it is and enlarged to 1280x720 and 1920x1080; `--min-face` grows with it, since
its faces do. Each figure is the median over runs that take turns; quote the ratios, they travel better
than frames a second. On a quiet machine only.

- `decoding alone` is one thread that decodes and converts to RGB, as everybody must.
- `stages` are the processor seconds that each takes alone, with its input ready; `efficiency` is their sum
  over (cores x wall time): 1 is two cores that never wait. FFmpeg decodes frames of several slices in
  several threads, whose time counts too.
- `workers` are one and two processes over sixteen copies of the video, and one that has a single core: a
  process alone keeps two cores busy, so that two can only win where it waits.
- `--peer` is the Python of an environment that has the package `fer`: its own default detector and model
  read the same frames, decoded by OpenCV before its clock starts.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import av
import cv2

import fer_batch
from fer_batch.annotation import Todo
from fer_batch.annotation.decode import DecodeReport, Position, read_frames
from fer_batch.annotation.frames import DetectedFrame
from fer_batch.annotation.occlusion import OcclusionLooks
from fer_batch.annotation.parts import Parts, Resume
from fer_batch.annotation.pipeline import FACES_A_FRAME
from fer_batch.annotation.sources import Source, find_sources
from fer_batch.annotation.stages import (
    Classifying,
    Cropping,
    Detecting,
    follow,
    in_batches,
    look_closely,
    mark,
    one_by_one,
)
from fer_batch.annotation.track import Tracker
from fer_batch.annotation.write import write_tables
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.detector import Detector, YuNet, resolve_detector
from fer_batch.inference.flaws import FlawFinder
from fer_batch.model.onnx_file import default_model
from fer_batch.settings import AnnotateSettings, DetectionSettings

T = TypeVar("T")

SETTINGS = AnnotateSettings()
HEIGHT = 360
"""Of the video that the default of `--min-face` is for."""
SIZES = ((1280, 720), (1920, 1080))
COPIES = 16
FRAMES_AT_ONCE = 16
"""Frames that a stage's input is made ready for: those of a whole video would not fit into memory."""
PEER = """
import sys, time, cv2
from fer.fer import FER
detector = FER()
video = cv2.VideoCapture(sys.argv[1])
frames = []
while True:
    more, frame = video.read()
    if not more:
        break
    frames.append(frame)
detector.detect_emotions(frames[0])
started = time.perf_counter()
found = sum(bool(detector.detect_emotions(frame)) for frame in frames)
print(len(frames) / (time.perf_counter() - started), found / len(frames))
"""


def enlarged(video: Path, size: tuple[int, int], folder: Path) -> Path:
    """The video at another size, in H.264."""
    path = folder / f"{size[1]}p.mp4"
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=source.streams.video[0].average_rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(*size, "yuv420p", interpolation="BICUBIC")))
        target.mux(stream.encode(None))
    return path


def named(video: Path) -> Source:
    """The video as a source."""
    (source,) = find_sources([video], out=Path("out"))
    return source


def decode_once(source: Source) -> tuple[int, float]:
    """Frames, and the seconds that decoding them takes."""
    started = time.perf_counter()
    frames = sum(frame.image is not None for frame in read_frames(source, SETTINGS.sampling, DecodeReport()))
    return frames, time.perf_counter() - started


def settings_for(height: int, detection: DetectionSettings) -> AnnotateSettings:
    """The defaults but for detection, for faces that grow with the picture."""
    min_face = detection.min_face * height / HEIGHT
    return replace(SETTINGS, detection=replace(detection, min_face=min_face))


def annotate_once(videos: list[Path], settings: AnnotateSettings, workers: int = 1) -> float:
    """The seconds that annotating takes, tables written and all."""
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        fer_batch.annotate(videos, out, settings, todo=Todo(workers=workers))
        return time.perf_counter() - started


def on_one_core(videos: list[Path], settings: AnnotateSettings) -> float:
    """The same for a process that has one core; NaN where that cannot be had."""
    if not hasattr(os, "sched_setaffinity"):
        return math.nan
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        return annotate_once(videos, settings)
    finally:
        os.sched_setaffinity(0, cores)


class Clock:
    """Processor seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, name: str, work: Callable[..., Iterable[T]], *arguments: object) -> list[T]:
        """All that some work gives; its time is added to its stage's."""
        started = time.process_time()
        result = list(work(*arguments))
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started
        return result


def searched_closely(frames: Iterable[DetectedFrame], detector: Detector) -> list[DetectedFrame]:
    """The frames, when all that is to be searched at its full size has been."""
    with ThreadPoolExecutor(1) as pool:
        return list(look_closely(frames, detector, 0, pool))


def stages_alone(source: Source, settings: AnnotateSettings) -> dict[str, float]:
    """The processor seconds of each stage, over the whole source."""
    cv2.setNumThreads(1)
    detector = YuNet(resolve_detector("yunet"), settings.detection)
    classifier = Classifier(default_model())
    find, read = Detecting(detector), Classifying(classifier, FlawFinder(mirrored=False))
    tracker, looks, clock, before = Tracker(SETTINGS.tracking), OcclusionLooks(), Clock(), None
    frames = read_frames(source, SETTINGS.sampling, DecodeReport())
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        parts = Parts(folder / "parts")
        while batch := clock.run("decode", islice, frames, FRAMES_AT_ONCE):
            marked = clock.run("mark", mark, (frame for frame in batch), settings, before)
            last = marked[-1]
            before = Resume(Position.of(last.frame), last.number + 1, last.glance, None, [])
            detected = clock.run("detect", map, find, [[item] for item in marked])
            closely = clock.run("closely", searched_closely, one_by_one(detected), detector)
            tracked = clock.run("track", follow, closely, tracker, looks)
            cropped = clock.run("crop", Cropping(classifier, whole=False), tracked)
            together = in_batches(cropped, classifier.batch_size // FACES_A_FRAME)
            done = clock.run("classify", map, read, together)
            clock.run("write", map, parts.add, one_by_one(done))
        parts.finish(DecodeReport())
        clock.run("write", lambda: [write_tables(parts, source, folder, SETTINGS)])
    return clock.seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--detect-size", type=int, help="as annotate's; else `auto`")
    parser.add_argument("--detect-every", type=int, default=1, help="as annotate's")
    parser.add_argument("--peer", help="Python of an environment with the package fer")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        videos = [arguments.video, *(enlarged(arguments.video, size, folder) for size in SIZES)]
        detection = DetectionSettings(size=arguments.detect_size or "auto", every=arguments.detect_every)
        smallest = settings_for(HEIGHT, detection)
        annotate_once(videos[:1], smallest)  # opens the models
        print("| video | decoding alone | annotate | ratio | efficiency |\n|---|---|---|---|---|")
        fastest = 0.0
        for video, height in zip(videos, (HEIGHT, *(size[1] for size in SIZES)), strict=True):
            source, settings = named(video), settings_for(height, detection)
            decoded, walls, stages = [], [], []
            for _ in range(arguments.repeat):
                decoded.append(decode_once(source))
                walls.append(annotate_once([video], settings))
                stages.append(stages_alone(source, settings))
            frames = decoded[0][0]
            decoding = frames / statistics.median(seconds for _, seconds in decoded)
            wall = statistics.median(walls)
            efficiency = statistics.median(sum(one.values()) for one in stages) / (cores * wall)
            alone = {name: statistics.median(one[name] for one in stages) for name in stages[0]}
            cells = (f"{decoding:.0f}", f"{frames / wall:.0f}", f"{frames / wall / decoding:.2f}")
            print("|", video.name, *(f"| {cell}" for cell in cells), f"| {efficiency:.2f} |", flush=True)
            print("  stages, ms a frame:", {name: round(1000 * s / frames, 2) for name, s in alone.items()})
            fastest = fastest or frames / wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"frames a second; peak resident set {peak:.0f} MB; {cores} cores; {smallest.detection}")
        copies = [folder / f"copy{number}.mp4" for number in range(COPIES)]
        for copy in copies:
            shutil.copy(arguments.video, copy)
        single, one = on_one_core(copies, smallest), annotate_once(copies, smallest)
        two = annotate_once(copies, smallest, workers=2)
        print(f"{COPIES} files: on one core {single:.1f} s, one process {one:.1f} s, two workers {two:.1f} s")
        print(f"two workers are {one / two:.2f} times one process and {single / two:.2f} times one core")
    if arguments.peer:
        done = subprocess.run(
            [arguments.peer, "-c", PEER, str(arguments.video)], capture_output=True, text=True, check=True
        )
        speed, share = map(float, done.stdout.split()[-2:])
        print(f"fer: {speed:.1f} frames a second, a face in {share:.1%}")
        print(f"annotate is {fastest / speed:.1f} times as fast")


if __name__ == "__main__":
    main()
