"""How small a face may be, in pixels of what the detector sees, and what `--detect-size auto` loses.

    python benchmarks/detect_size.py SOURCE... [--frames N]
    python benchmarks/detect_size.py SOURCE... --every-size [--longest 320 640 1280 1920 3840 12000]

SOURCE are videos and pictures with faces. Their people, as they are, with hair, shoulders and background,
are shrunk until a face is 24 to 90 pixels high, relit, mirrored by chance, and set side by side in frames
of 1280x720, which are compressed as JPEG: a crowd of which every face is known, since the detector finds
it in the large picture. First table: the share of the faces found, by their height in what the detector
sees, which is the frame shrunk more and more. Second: what `auto` finds for several `--min-face`, by
height in the frame, beside the frame at full size.

`--every-size` prints another table: by the longer side of the picture and the height of the face, from 20
pixels to more than the frame has, how many faces are found, and how much is found that is none. The people
are enlarged as well as shrunk, and set where chance wants, so that edges cut large faces off; one that is at
least half inside has to be found.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from tracking import overlap

from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.sources import find_sources
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.settings import DetectionSettings, SamplingSettings

SEED = 0
SAME = 0.4
"""Overlap from which a small box is held to be a true face's."""
FULL, GRID = (720, 1280), (3, 4)
HEIGHTS = (24.0, 90.0)
SIZES = (1280, 1024, 896, 768, 640, 512, 448, 384, 320)
EDGES = (8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64, 90)
MIN_FACES = (48, 56, 64)
FRAME_EDGES = (24, 32, 40, 48, 56, 64, 90)
PICTURES = {320: 12, 640: 12, 1280: 8, 1920: 6, 3840: 3, 12000: 1}
"""How many pictures there are for each band of heights, by their longer side, in pixels."""
BANDS = ((20, 32), (32, 48), (48, 96), (96, 200), (200, 400), (400, 800), (800, 1600))
BEYOND = (0.9, 1.8)
"""Heights, in heights of the picture, of faces that fill it or do not fit."""
ASPECT = 9 / 16
FOUND, FALSE = 0.5, 0.2
"""Overlap from which a face is found, and below which something found is no face."""
INSIDE = 0.5
"""Share of a face inside the picture from which it has to be found."""
TO_COMPARE = (48, 96)
"""For each `--min-face`."""

Picture = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""A large picture, RGB, and the boxes of its faces."""


def people(paths: Sequence[str], detector: YuNet) -> list[Picture]:
    """Pictures, and frames of videos half a second apart, that have a face."""
    frames = (
        frame.image
        for source in find_sources(paths, out=Path("out"))
        for frame in read_frames(source, SamplingSettings(fps=2), DecodeReport())
        if frame.image is not None
    )
    return [(image, faces.boxes) for image in frames if len(faces := detector.detect(image))]


def tile(picture: Picture, size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A face of random height among what is around it, and the boxes of all faces that are whole."""
    image, boxes = picture
    box = boxes[rng.integers(len(boxes))]
    scale = float(np.exp(rng.uniform(*np.log(HEIGHTS)))) / (box[3] - box[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rows, columns = size
    centre = (box[:2] + box[2:]) / 2 * scale
    place = np.array([columns, rows]) / 2 + rng.uniform(-0.2, 0.2, 2) * [columns, rows]
    shift = place - centre
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    # Beyond the picture, its own colours out of focus: an edge or a pattern would be no background.
    ground = cv2.GaussianBlur(cv2.resize(image, (columns, rows)), (0, 0), 20)
    drawn = cv2.warpAffine(small, move, (columns, rows))
    mask = cv2.warpAffine(np.ones(small.shape[:2], np.float32), move, (columns, rows))
    mask = cv2.GaussianBlur(mask, (0, 0), 3)[..., None]
    drawn = drawn * mask + ground * (1 - mask)
    light = np.clip(drawn * rng.uniform(0.6, 1.2) + rng.uniform(-15, 15), 0, 255).astype(np.uint8)
    moved = boxes * scale + np.tile(shift, 2)
    if rng.random() < 0.5:
        light = np.ascontiguousarray(light[:, ::-1])
        moved = np.stack([columns - moved[:, 2], moved[:, 1], columns - moved[:, 0], moved[:, 3]], 1)
    whole = (moved.min(1) >= 0) & (moved[:, 2] < columns) & (moved[:, 3] < rows)
    return light, moved[whole].astype(np.float32)


def crowd(pictures: Sequence[Picture], rng: np.random.Generator) -> Picture:
    """A frame of tiles."""
    rows, columns = FULL[0] // GRID[0], FULL[1] // GRID[1]
    frame, boxes = np.zeros((*FULL, 3), np.uint8), []
    for row, column in itertools.product(range(GRID[0]), range(GRID[1])):
        image, faces = tile(pictures[rng.integers(len(pictures))], (rows, columns), rng)
        corner = np.array([column * columns, row * rows])
        frame[corner[1] : corner[1] + rows, corner[0] : corner[0] + columns] = image
        boxes.append(faces + np.tile(corner, 2))
    encoded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.concatenate(boxes).astype(np.float32)


def found(frame: Picture, detector: YuNet) -> NDArray[np.bool_]:
    """Which of the frame's faces the detector finds."""
    hit = np.zeros(len(frame[1]), bool)
    boxes = detector.detect(frame[0]).boxes
    if len(boxes) and len(hit):
        same = overlap(frame[1], boxes)
        rows, columns = linear_sum_assignment(-same)
        hit[rows] = same[rows, columns] >= SAME
    return hit


def shares(heights: NDArray[np.float64], hits: NDArray[np.bool_], edges: Sequence[float]) -> str:
    """The cells of a row: the share of hits in each band of heights."""
    cells = []
    for low, high in itertools.pairwise(edges):
        inside = (heights >= low) & (heights < high)
        cells.append(f"{hits[inside].mean():.1%} of {inside.sum()}" if inside.any() else "")
    return " | ".join(cells)


def header(name: str, edges: Sequence[float]) -> None:
    """The head of a table whose columns are bands of heights."""
    bands = [f"{low}–{high}" for low, high in itertools.pairwise(edges)]
    print(f"\n| {name} | {' | '.join(bands)} |\n|{'---|' * (len(bands) + 1)}")


def part(picture: Picture, size: tuple[int, int], tall: float, rng: np.random.Generator) -> Picture:
    """A face so tall, in pixels, anywhere among what is around it, and the boxes of all faces."""
    image, boxes = picture
    box = boxes[rng.integers(len(boxes))]
    scale = tall / float(box[3] - box[1])
    rows, columns = size
    extent, half = np.array([columns, rows]), (box[2:] - box[:2]) * scale / 4
    # Of the chosen face at least half lies inside along each side.
    low, high = np.minimum(half, extent / 2), np.maximum(extent - half, extent / 2)
    shift = rng.uniform(low, high) - (box[:2] + box[2:]) / 2 * scale
    shrunk = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    move = np.array([[max(scale, 1.0), 0, shift[0]], [0, max(scale, 1.0), shift[1]]])
    drawn = cv2.warpAffine(shrunk, move, (columns, rows), flags=cv2.INTER_CUBIC)
    mask = cv2.warpAffine(np.full(shrunk.shape[:2], 255, np.uint8), move, (columns, rows))
    feather = max(tall / 20, 1.0)
    # Beyond the picture, hardly more than its colours: a face out of focus is one to some detectors.
    ground = cv2.resize(image, (3, 2), interpolation=cv2.INTER_AREA)
    ground = cv2.resize(ground, (columns, rows), interpolation=cv2.INTER_LINEAR)
    if mask.all():
        ground = drawn
    elif mask.any():
        inner = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
        for top in range(0, rows, 512):  # in strips: as float, a large picture takes too much memory
            strip = slice(top, top + 512)
            weight = np.clip(inner[strip] / feather, 0, 1)[..., None]
            ground[strip] = drawn[strip] * weight + ground[strip] * (1 - weight)
    return ground.astype(np.uint8), (boxes * scale + np.tile(shift, 2)).astype(np.float32)


def picture_of(
    pictures: Sequence[Picture], longest: int, heights: tuple[float, float], rng: np.random.Generator
) -> Picture:
    """A picture with as many parts as have room beside each other, each with a face of these heights."""
    rows = round(longest * ASPECT)
    count = int(min(max(rows / (2.5 * heights[1]), 1), 4))
    high, wide = rows // count, longest // count
    made, boxes = np.zeros((high * count, wide * count, 3), np.uint8), []
    for row, column in itertools.product(range(count), repeat=2):
        tall = float(np.exp(rng.uniform(*np.log(heights))))
        image, faces = part(pictures[rng.integers(len(pictures))], (high, wide), tall, rng)
        made[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = image
        # Its neighbours cut a face off as the picture's edge does.
        corner = np.array([column * wide, row * high] * 2, np.float32)
        limits = np.array([wide, high] * 2, np.float32)
        boxes.append(np.stack([faces, np.clip(faces, 0, limits)], 1) + corner)
    return made, np.concatenate(boxes)


def counted(frame: Picture, detector: YuNet, heights: tuple[float, float]) -> tuple[int, int, int]:
    """Faces of these heights that had to be found, how many were, and what was found that is no face.

    Args:
        frame: a picture, and its faces [N, 2, 4]: whole, and what is inside.
        detector: to try.
        heights: of whole faces, in pixels.
    """
    whole, inside = frame[1][:, 0], frame[1][:, 1]
    boxes = detector.detect(frame[0]).boxes
    # The frame cuts a face off; a detector may say where it ends, or where it would.
    same = np.maximum(overlap(whole, boxes), overlap(inside, boxes))
    areas = [np.prod((each[:, 2:] - each[:, :2]).clip(0), axis=1) for each in (whole, inside)]
    tall = whole[:, 3] - whole[:, 1]
    due = (areas[1] >= INSIDE * areas[0]) & (tall >= heights[0]) & (tall < heights[1])
    hits = (same >= FOUND).any(1) if len(boxes) else np.zeros(len(whole), bool)
    no_face = (same < FALSE).all(0) if len(boxes) else np.zeros(0, bool)
    return int(due.sum()), int((hits & due).sum()), int(no_face.sum())


def every_size(pictures: Sequence[Picture], longest_sides: Sequence[int]) -> None:
    """Measure faces of every size in pictures of every size, and print."""
    model = resolve_detector("yunet")
    detectors = {low: YuNet(model, DetectionSettings(min_face=low)) for low in TO_COMPARE}
    names = [f"{low}–{high}" for low, high in BANDS] + ["fills the frame or more"]
    print(f"\n| picture | --min-face | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}")
    for longest in longest_sides:
        rows = longest * ASPECT
        bands = [*BANDS, (BEYOND[0] * rows, BEYOND[1] * rows)]
        cells: dict[int, list[str]] = {low: [] for low in TO_COMPARE}
        for number, heights in enumerate(bands):
            total = {low: np.zeros(3, int) for low in TO_COMPARE}
            fits = number == len(BANDS) or heights[1] <= rows
            # Each band its own numbers by chance: the same pictures, whatever else is measured.
            rng = np.random.default_rng([SEED, longest, number])
            for _ in range(PICTURES[longest] if fits else 0):
                frame = picture_of(pictures, longest, heights, rng)
                for low in TO_COMPARE:
                    total[low] += counted(frame, detectors[low], heights)
            for low, (due, hit, wrong) in total.items():
                cells[low].append(f"{hit / due:.0%} of {due}, {wrong} false" if due else "")
        for low, row in cells.items():
            print(f"| {longest} | {low} | {' | '.join(row)} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--picture", type=Path, help="write the first frame here, to look at")
    parser.add_argument("--every-size", action="store_true", help="print the table of all sizes alone")
    parser.add_argument("--longest", type=int, nargs="+", choices=PICTURES, default=list(PICTURES))
    arguments = parser.parse_args()
    if arguments.every_size:
        # A look at 640: both what is found there and where it is are beyond doubt.
        at_640 = YuNet(resolve_detector("yunet"), DetectionSettings(threshold=0.8, size=640))
        every_size(people(arguments.sources, at_640), arguments.longest)
        return
    model, rng = resolve_detector("yunet"), np.random.default_rng(SEED)
    pictures = people(arguments.sources, YuNet(model, DetectionSettings(threshold=0.8, size=max(FULL))))
    detectors = {f"{size}": YuNet(model, DetectionSettings(size=size)) for size in SIZES}
    detectors |= {f"auto {low}": YuNet(model, DetectionSettings(min_face=low)) for low in MIN_FACES}
    heights: list[float] = []
    hits: dict[str, list[bool]] = {name: [] for name in detectors}
    for index in range(arguments.frames):
        frame = crowd(pictures, rng)
        if index == 0 and arguments.picture:
            cv2.imwrite(str(arguments.picture), cv2.cvtColor(frame[0], cv2.COLOR_RGB2BGR))
        heights += (frame[1][:, 3] - frame[1][:, 1]).tolist()
        for name, detector in detectors.items():
            hits[name] += found(frame, detector).tolist()
    tall = np.array(heights)
    print(f"{len(tall)} faces of {len(pictures)} pictures in {arguments.frames} frames of 1280x720")
    header("height seen", EDGES)
    seen = np.concatenate([tall * size / max(FULL) for size in SIZES])
    pooled = np.concatenate([np.array(hits[f"{size}"]) for size in SIZES])
    print(f"| all sizes | {shares(seen, pooled, EDGES)} |")
    header("height in the frame", FRAME_EDGES)
    for name in [f"{max(FULL)}", *(name for name in detectors if name.startswith("auto"))]:
        print(f"| {name} | {shares(tall, np.array(hits[name]), FRAME_EDGES)} |")


if __name__ == "__main__":
    main()
