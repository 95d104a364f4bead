"""How well faces keep their track numbers, on a crowd whose every face is known.

    python benchmarks/tracking.py DATASET BACKGROUND_VIDEO [--seeds N] [--first-seed S]

Faces of `val` walk over frames of the video (see crowd.py), before a camera that rests, at 2 to 60 frames a
second, and before one that moves. The camera's motion is measured in the pictures, as `annotate` measures
it, and cuts are known; YuNet finds the faces, and 5% of what it finds is thrown away. IDF1 (Ristani et al.
2016) is taken against all that it found: what is thrown away alone keeps it below 0.975. Faces that the
detector does not find are its own figure, the share found. Beside the tracker, plain overlap matching: each
face goes on with the face of the last frame that it overlaps most. Expected: the share of people whose box
the tracker expects where it is, by half of what both cover, in the frames that `--detect-every 3` leaves out.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import cv2
import numpy as np
from crowd import Camera, CrowdFrame, CrowdSettings, Face, film_crowd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fer_batch.annotation.frames import Frame, MarkedFrame
from fer_batch.annotation.stages import mark
from fer_batch.annotation.track import Tracker
from fer_batch.dataset import load_split
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.picture import ArrayPicture
from fer_batch.settings import AnnotateSettings, DetectionSettings, TrackingSettings

FIRST_SEED = 10
"""The tracker's constants were chosen on seeds 0 to 5."""
MISSED = 0.05
SAME = 0.5
"""Overlap from which a box is held to be a true face's."""
OVERLAPS = 0.1
"""From which plain matching goes on."""
EVERY = 3
SIDE = 60
SURE = 0.88
"""Score of a face that is fit for the crowd."""
CANDIDATES = 1000
Boxes = NDArray[np.float32]
Follow = Callable[[MarkedFrame, Boxes], NDArray[np.int64]]
RUNS: tuple[tuple[Camera, float, float], ...] = (
    ("rest", 25, 60),
    ("shake", 25, 20),
    ("pan", 25, 20),
    ("both", 25, 20),
    ("rest", 2, 60),
    ("rest", 5, 60),
    ("rest", 60, 15),
)
"""How the camera moves, frames a second, and seconds."""


def overlap(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Intersection over union of every pair: [N, 4] and [M, 4] to [N, M]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return common / (areas[0][:, None] + areas[1][None] - common)


@dataclass
class Score:
    """Counts that identity measures are made of."""

    truths: int = 0
    found: int = 0
    switches: int = 0
    together: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    last: dict[int, int] = field(default_factory=dict)

    def add(self, truth: CrowdFrame, boxes: Boxes, numbers: NDArray[np.int64]) -> None:
        """Take in a frame."""
        self.truths += len(truth.people)
        self.found += len(boxes)
        if not len(boxes) or not len(truth.people):
            return
        same = overlap(truth.boxes, boxes)
        for person, number in np.argwhere(same >= SAME):
            self.together[int(truth.people[person]), int(numbers[number])] += 1
        for person, number in zip(*linear_sum_assignment(-same), strict=True):
            if same[person, number] >= SAME:
                name = int(truth.people[person])
                self.switches += self.last.get(name, numbers[number]) != numbers[number]
                self.last[name] = int(numbers[number])

    @property
    def idf1(self) -> float:
        """2 IDTP / (truths + found), under the best one-to-one pairing of people and tracks."""
        people = {person: index for index, person in enumerate({pair[0] for pair in self.together})}
        tracks = {track: index for index, track in enumerate({pair[1] for pair in self.together})}
        counts = np.zeros((len(people), len(tracks)))
        for (person, track), count in self.together.items():
            counts[people[person], tracks[track]] = count
        best = counts[linear_sum_assignment(-counts)].sum()
        return float(2 * best / max(self.truths + self.found, 1))


class Overlapping:
    """Plain overlap matching, as a baseline."""

    def __init__(self) -> None:
        self.boxes, self.numbers = np.empty((0, 4), np.float32), np.empty(0, np.int64)
        self.fresh = itertools.count()

    def __call__(self, marked: MarkedFrame, boxes: Boxes) -> NDArray[np.int64]:
        """Number the boxes of the next frame."""
        numbers = np.full(len(boxes), -1, np.int64)
        if len(boxes) and len(self.boxes) and not marked.cut:
            same = overlap(boxes, self.boxes)
            for row, column in zip(*linear_sum_assignment(-same), strict=True):
                if same[row, column] >= OVERLAPS:
                    numbers[row] = self.numbers[column]
        numbers[numbers < 0] = [next(self.fresh) for _ in range(int((numbers < 0).sum()))]
        self.boxes, self.numbers = boxes, numbers
        return numbers


def tracked(size: tuple[int, int]) -> Follow:
    """Our tracker, as the same kind of function."""
    tracker = Tracker(TrackingSettings())
    return lambda marked, boxes: tracker.update(
        marked.frame.time_s or 0.0, boxes, size, cut=marked.cut, shift=marked.shift
    )


def compare(
    frames: Sequence[tuple[CrowdFrame, MarkedFrame, Boxes]], size: tuple[int, int]
) -> dict[str, Score]:
    """Both ways over the same detections."""
    ways: dict[str, Follow] = {"tracker": tracked(size), "plain overlap": Overlapping()}
    scores = {name: Score() for name in ways}
    for truth, marked, boxes in frames:
        for name, follow in ways.items():
            scores[name].add(truth, boxes, follow(marked, boxes))
    return scores


def expected(frames: Sequence[tuple[CrowdFrame, MarkedFrame, Boxes]], size: tuple[int, int]) -> float:
    """The share of people who are where they are expected in frames that are not searched."""
    tracker, there, people = Tracker(TrackingSettings()), 0, 0
    for index, (truth, marked, boxes) in enumerate(frames):
        time_s = marked.frame.time_s or 0.0
        if index % EVERY == 0 or marked.cut:
            tracker.update(time_s, boxes, size, cut=marked.cut, shift=marked.shift)
            continue
        same = overlap(truth.boxes, tracker.coast(time_s, size, marked.shift)[1])
        there += int((same[linear_sum_assignment(-same)] >= SAME).sum())
        people += len(truth.people)
    return there / people


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("background", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    arguments = parser.parse_args()
    grounds = backgrounds(arguments.background)
    detector = YuNet(resolve_detector("yunet"), DetectionSettings(size=1280))
    faces = sure_faces(load_split(arguments.dataset, "val").images[:CANDIDATES], detector)
    print("| camera | fps | seed | visible faces | found | expected | way | IDF1 | switches a minute |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (camera, fps, seconds), seed in itertools.product(
        RUNS, range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    ):
        settings = CrowdSettings(seconds=seconds, fps=fps, seed=seed, camera=camera)
        rng = np.random.default_rng(seed)
        crowd = film_crowd(settings, [faces[i] for i in rng.permutation(len(faces))], grounds)
        frames, visible = look_at(crowd, detector, rng)
        for name, score in compare(frames, settings.size).items():
            shares = f"{score.truths / visible:.1%}", f"{expected(frames, settings.size):.1%}"
            cells = (camera, fps, seed, visible, *shares, name, f"{score.idf1:.3f}")
            switches = score.switches / seconds * 60
            print("|", *(f"{cell} |" for cell in cells), f"{switches:.1f} |", flush=True)


def look_at(
    crowd: Iterator[CrowdFrame], detector: YuNet, rng: np.random.Generator
) -> tuple[list[tuple[CrowdFrame, MarkedFrame, Boxes]], int]:
    """What is known and found of each frame, and how many faces could be seen in all."""
    pending: list[CrowdFrame] = []

    def shown() -> Generator[Frame, None, None]:
        for index, truth in enumerate(crowd):
            assert truth.image is not None  # backgrounds were given  # noqa: S101
            pending.append(truth)
            yield Frame(index, truth.time_s, ArrayPicture(truth.image))

    frames, visible = [], 0
    for marked in mark(shown(), AnnotateSettings()):
        truth = pending.pop(0)
        assert truth.image is not None  # noqa: S101
        visible += len(truth.people)
        boxes = detector.detect(truth.image).boxes
        kept = boxes[rng.random(len(boxes)) >= MISSED]
        bare = replace(marked, frame=replace(marked.frame, picture=None), cut=truth.cut)
        frames.append((only_found(truth, boxes), bare, kept))
    return frames, visible


def only_found(frame: CrowdFrame, boxes: Boxes) -> CrowdFrame:
    """The frame with those people alone that the detector found; without its picture."""
    same = overlap(frame.boxes, boxes)
    pairs = [(person, box) for person, box in zip(*linear_sum_assignment(-same), strict=True)]
    found = [person for person, box in pairs if same[person, box] >= SAME]
    return replace(frame, image=None, people=frame.people[found], boxes=frame.boxes[found])


def sure_faces(images: NDArray[np.uint8], detector: YuNet) -> list[Face]:
    """Those that the detector is sure of, and where: a face that it never finds tests no tracker."""
    found = []
    for image in images:
        frame = np.full((3 * SIDE, 3 * SIDE, 3), 127, np.uint8)
        large = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        frame[SIDE : 2 * SIDE, SIDE : 2 * SIDE] = large[..., None]
        faces = detector.detect(frame)
        if len(faces) == 1 and faces.scores[0] >= SURE:
            x0, y0, x1, y1 = ((faces.boxes[0] - SIDE) / SIDE).tolist()
            found.append(Face(image, (x0, y0, x1, y1)))
    return found


def backgrounds(video: Path, wanted: int = 4) -> list[NDArray[np.uint8]]:
    """A few frames of a video, evenly spread."""
    with av.open(str(video)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [images[(2 * i + 1) * len(images) // (2 * wanted)] for i in range(wanted)]


if __name__ == "__main__":
    main()
