"""How many exact and near copies a data set has, and how surely altered copies of its pictures are found.

    python benchmarks/near_duplicates.py DATASET [--threshold X] [--sheet FILE.png]

Copies are made of 2,000 pictures that no other resembles. Recall is the share of the copies that are
recognised as copies of their own picture; precision is measured where half of the pictures are not there,
so that whatever their copies resemble most is something else. `--sheet` draws 100 near copies of the data
set itself beside their twins, drawn by chance: whether they are the same photograph is for the eye.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.dataset import load_split
from fer_batch.dataset.dialects import SPLITS
from fer_batch.quality.duplicates import (
    NearCopies,
    describe,
    exact_groups,
    find_near,
    has_contradiction,
    has_twin_in_earlier_split,
    is_extra_copy,
    leak_similarity,
    near_groups,
)
from fer_batch.settings import ThresholdSettings

SEED = 0
ORIGINALS = 2000
RANDOM_PAIRS = 2000
RESEMBLING = 0.8
"""Pictures with a similarity as high as this are not among those that are copied."""
THRESHOLDS = (0.8, 0.85, 0.87, 0.9, 0.95)
BAR = 8
"""Pixels of each of two bars."""
ON_SHEET, IN_ROW, ENLARGED = 100, 10, 96
Picture = NDArray[np.uint8]
Change = Callable[[Picture, np.random.Generator], Picture]


def gain(image: Picture, rng: np.random.Generator) -> Picture:
    """20 % brighter or darker, by a factor."""
    return rounded(image * np.float32(1 + 0.2 * rng.choice((-1, 1))))


def offset(image: Picture, rng: np.random.Generator) -> Picture:
    """Brighter or darker by 51 gray levels, a fifth of their range."""
    return rounded(image + np.float32(51 * rng.choice((-1, 1))))


def compress(image: Picture, _: np.random.Generator) -> Picture:
    """JPEG of quality 60, and back."""
    data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 60))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def move(image: Picture, rng: np.random.Generator) -> Picture:
    """Moved by 2 pixels in one of eight directions, its edge repeated."""
    directions = [(x, y) for x in (-2, 0, 2) for y in (-2, 0, 2) if x or y]
    x, y = directions[rng.integers(len(directions))]
    return np.roll(np.pad(image, 2, mode="edge"), (y, x), (0, 1))[2:-2, 2:-2]


def zoom(image: Picture, rng: np.random.Generator) -> Picture:
    """5 % larger or smaller about its centre, its edge repeated."""
    size = 1 + 0.05 * rng.choice((-1, 1))
    middle = (np.array(image.shape) - 1) / 2
    matrix = np.hstack([np.eye(2) * size, (middle * (1 - size))[:, None]])
    moved = cv2.warpAffine(
        image, matrix, image.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def resample(image: Picture, _: np.random.Generator) -> Picture:
    """Shrunk to two thirds of its sides, and enlarged again."""
    small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, image.shape, interpolation=cv2.INTER_LINEAR), np.uint8)


def mirror(image: Picture, _: np.random.Generator) -> Picture:
    """Left and right swapped."""
    return image[:, ::-1]


def two(image: Picture, rng: np.random.Generator) -> Picture:
    """Two different of the others, one after the other."""
    for name in rng.permutation(sorted(CHANGES))[:2]:
        image = CHANGES[name](image, rng)
    return image


CHANGES: dict[str, Change] = {
    "gain": gain,
    "offset": offset,
    "JPEG": compress,
    "moved": move,
    "zoomed": zoom,
    "resampled": resample,
    "mirrored": mirror,
}


def rounded(image: NDArray[np.float32]) -> Picture:
    """The nearest gray levels."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--threshold", type=float, default=ThresholdSettings().near_duplicate)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    parts = [
        load_split(arguments.dataset, name)
        for name in SPLITS
        if (arguments.dataset / f"{name}.parquet").is_file()
    ]
    pixels = np.concatenate([part.images for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    splits = [part.name for part in parts for _ in part.ids]
    exact = exact_groups([text for part in parts for text in part.sha256])
    print(f"{len(pixels)} pictures; copies with the same pixels:")
    print_groups(exact, labels, splits)

    begin = time.perf_counter()
    descriptors = describe(pixels)
    middle = time.perf_counter()
    near = find_near(descriptors, pixels, exact)
    end = time.perf_counter()
    print(f"\ndescribed in {middle - begin:.1f} s, compared in {end - middle:.1f} s\n")
    leaks = leak_similarity(exact, near, splits)
    print("| similarity | near copies | pictures with one in an earlier split |\n|---|---|---|")
    for threshold in THRESHOLDS:
        print(f"| {threshold} | {(near.similarity >= threshold).sum()} | {(leaks >= threshold).sum()} |")
    print(f"\nexact and near copies together, at {arguments.threshold}:")
    print_groups(near_groups(exact, near, arguments.threshold), labels, splits)

    resembling = near_groups(exact, near, RESEMBLING) >= 0
    alone = np.flatnonzero(~resembling & descriptors.any(1))
    rng = np.random.default_rng(SEED)
    originals = pixels[np.sort(rng.permutation(alone)[:ORIGINALS])]
    print(f"\naltered copies of {len(originals)} pictures, seed {SEED}, at {arguments.threshold}:\n")
    print("| copies | recall | precision | least similar of 100 |\n|---|---|---|---|")
    for name, change in (CHANGES | {"two of these": two}).items():
        print_recall(name, change, originals, arguments.threshold)
    print_random_pairs(originals, rng, arguments.threshold)
    print_barred(originals, arguments.threshold)
    if arguments.sheet:
        draw(pixels, near, arguments.threshold, arguments.sheet)


def print_groups(groups: NDArray[np.int64], labels: NDArray[np.int64], splits: list[str]) -> None:
    """Print what follows from groups of copies."""
    contradictory = np.unique(groups[has_contradiction(groups, labels)])
    later = has_twin_in_earlier_split(groups, splits)
    print(f"{is_extra_copy(groups).sum()} extra copies in {groups.max() + 1} groups")
    print(f"{len(contradictory)} groups with more than one label")
    print(f"{len(np.unique(groups[later]))} groups over more than one split, with these pictures:", end="")
    for name in SPLITS[1:]:
        print(f" {later[np.array(splits) == name].sum()} of {name}", end="")
    print()


def print_recall(name: str, change: Change, originals: Picture, threshold: float) -> None:
    """Copy every picture, and print how many copies are found, and how many wrongly."""
    rng = np.random.default_rng(SEED)
    copies = np.stack([change(image, rng) for image in originals])
    count, half = len(originals), len(originals) // 2
    near = compared(np.concatenate([originals, copies]))
    right = near.similarity[count:] * (near.twin[count:] == np.arange(count))
    others = compared(np.concatenate([originals[:half], copies[half:]]))
    hits, wrong = (right[half:] >= threshold).sum(), (others.similarity[half:] >= threshold).sum()
    recall = (right >= threshold).mean()
    print(f"| {name} | {recall:.2%} | {hits / (hits + wrong):.2%} | {np.quantile(right, 0.01):.2f} |")


def print_random_pairs(originals: Picture, rng: np.random.Generator, threshold: float) -> None:
    """Print how many of random pairs of different pictures pass for copies."""
    found = 0
    for _ in range(RANDOM_PAIRS):
        pair = rng.choice(len(originals), 2, replace=False)
        found += int((compared(originals[pair]).similarity >= threshold).sum())
    print(f"\nof {RANDOM_PAIRS} random pairs {found} pass for copies")


def print_barred(originals: Picture, threshold: float) -> None:
    """Print how many pass for copies where all have the same black bars, as films and aligned faces do."""
    barred = originals.copy()
    barred[:, :BAR] = barred[:, -BAR:] = 0
    found = [int((compared(pictures).similarity >= threshold).sum()) for pictures in (originals, barred)]
    print(f"of the pictures themselves {found[0]}, and {found[1]} with black bars above and below")


def compared(pictures: Picture) -> NearCopies:
    """Find near copies among pictures, none of which is an exact copy."""
    return find_near(describe(pictures), pictures, np.full(len(pictures), -1))


def draw(pixels: Picture, near: NearCopies, threshold: float, path: Path) -> None:
    """Draw near copies, chosen by chance, to the right of their twins, by similarity."""
    found = np.flatnonzero(near.similarity >= threshold)
    some = np.random.default_rng(SEED).permutation(found)[:ON_SHEET]
    some = some[np.argsort(near.similarity[some])]
    pairs = [
        cv2.resize(np.hstack([pixels[near.twin[place]], pixels[place]]), (2 * ENLARGED, ENLARGED))
        for place in some
    ]
    framed = [np.pad(pair, 4, constant_values=255) for pair in pairs]
    framed += [np.full_like(framed[0], 255)] * (-len(framed) % IN_ROW)
    rows = [np.hstack(framed[start : start + IN_ROW]) for start in range(0, len(framed), IN_ROW)]
    cv2.imwrite(str(path), np.vstack(rows))


if __name__ == "__main__":
    main()
