"""What is measured in the pixels of each picture, before anything is judged."""

from __future__ import annotations

import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_batch.dataset.images import SIDE
from fer_batch.inference.detail import squared_differences
from fer_batch.inference.flaws import FlawFinder
from fer_batch.progress import Progress
from fer_batch.quality.duplicates import (
    describe,
    exact_groups,
    find_near,
    first_of_group,
    leak_similarity,
)
from fer_batch.quality.faces import FaceFinder, Faces
from fer_batch.quality.pictures import Batch, PictureSource
from fer_batch.quality.table import Columns
from fer_batch.threads import ordered_map

Measured = dict[str, NDArray[np.float32]]
"""Columns of `storage.MEASUREMENT_COLUMNS` by name, N values each; NaN where there is nothing to measure."""

_CENTRE = np.array([23.8, 27.3], np.float32)
"""Middle between eyes and mouth in FER2013, in pixels: median of its rows."""
_SIZE = 17.5
"""Of its faces: distance of the eyes or from eyes to mouth, whichever is more, in pixels; median."""
_FLAT = 0.5
"""Standard deviation, in gray levels, below which a picture has no detail that could be sharp."""


def measure_light(pictures: NDArray[np.uint8]) -> Measured:
    """Light, contrast and sharpness of gray pictures, uint8 [N, 48, 48]."""
    flat = pictures.reshape(len(pictures), -1)
    low, dark, light, high = np.percentile(flat, (5, 10, 90, 95), axis=1).astype(np.float32)
    deviation = flat.std(axis=1).astype(np.float32)
    one, two, four = squared_differences(pictures).swapaxes(0, 1)
    near, far = np.abs(two - one), np.abs(four - two)
    sharpness = (near / np.maximum(near + far, 1e-6)).min(0)  # motion blurs one direction only
    return {
        "deviation": deviation,
        "dark_tenth": dark,
        "light_tenth": light,
        "contrast": high - low,
        "sharpness": np.where(deviation < _FLAT, np.nan, sharpness).astype(np.float32),
    }


def measure_faces(faces: Faces) -> Measured:
    """Where the face of each picture is, compared with where FER2013 has its faces."""
    right, left, nose, *mouth = faces.landmarks.transpose(1, 0, 2)
    eyes, middle, lips = left - right, (right + left) / 2, (mouth[0] + mouth[1]) / 2
    distance = np.maximum(np.hypot(*eyes.T), 1.0)
    size = np.maximum(distance, np.hypot(*(lips - middle).T))
    along = ((nose - middle) * eyes).sum(1) / distance**2
    return {
        "face_score": faces.scores,
        "face_offset": np.hypot(*((middle + lips) / 2 - _CENTRE).T),
        "face_size": size / np.float32(_SIZE),
        "face_roll": np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0])),
        "face_yaw": along,
    }


def measure(source: PictureSource, pixels: NDArray[np.uint8], progress: Progress) -> Columns:
    """Measure every picture of a data set, but not yet its label.

    Args:
        source: the pictures.
        pixels: uint8 [N, 48, 48], usually mapped to a file: filled with the pictures, gray and resized;
            black where one is unreadable.
        progress: told how far it is.

    Returns:
        All of `storage.MEASUREMENT_COLUMNS`.
    """
    read = _measure_pixels(source, pixels, progress)
    records = source.records
    exact = exact_groups(read.sha256)
    near = find_near(read.descriptors, pixels, exact, progress=progress)
    twins = first_of_group(exact)
    twins = np.where(near.twin >= 0, near.twin, np.where(twins == np.arange(len(records)), -1, twins))
    columns: Columns = dict(read.values)
    columns |= {
        "unreadable": np.array(read.reasons, object),
        "exact_group": exact,
        "twin": np.array(["" if twin < 0 else records.ids[twin] for twin in twins], object),
        "near_similarity": near.similarity,
        "leak_similarity": leak_similarity(exact, near, records.splits),
        "suggested_label": np.full(len(records), -1),
    }
    for name in ("label_confidence", "label_doubt", "oddness"):
        columns[name] = np.full(len(records), np.nan, np.float32)
    return columns


@dataclass(frozen=True, eq=False)
class _Read:
    """What one pass over the pixels gives: N entries each, in the order of the records."""

    values: Measured
    sha256: list[str]
    reasons: list[str]
    descriptors: NDArray[np.float16]
    """See `duplicates.describe`."""


@dataclass(frozen=True, eq=False)
class _Part:
    """What one batch comes to."""

    batch: Batch
    pixels: NDArray[np.uint8]
    """[N, 48, 48]; black where the picture is unreadable."""
    values: Measured
    descriptors: NDArray[np.float16]


def _measure_pixels(source: PictureSource, pixels: NDArray[np.uint8], progress: Progress) -> _Read:
    """Read every picture once, and keep all that needs no other picture."""
    columns: dict[str, list[NDArray[np.float32]]] = {}
    descriptors: list[NDArray[np.float16]] = []
    sha256: list[str] = []
    reasons: list[str] = []
    with closing(_parts(source)) as parts:
        for part in parts:
            start, stop = part.batch.start, part.batch.start + len(part.batch)
            pixels[start:stop] = part.pixels
            for name, values in part.values.items():
                columns.setdefault(name, []).append(values)
            descriptors.append(part.descriptors)
            sha256 += part.batch.sha256
            reasons += part.batch.reasons
            progress("measuring pictures", stop, len(source.records))
    values = {name: np.concatenate(found) for name, found in columns.items()}
    return _Read(values, sha256, reasons, np.concatenate(descriptors))


def _parts(source: PictureSource) -> Generator[_Part, None, None]:
    """The batches in order, a few of them measured at once."""
    threads = os.cpu_count() or 1
    finder, flaws = FaceFinder(), FlawFinder()

    def measure(batch: Batch) -> _Part:
        blank = np.zeros((SIDE, SIDE), np.uint8)
        pixels = np.stack([blank if image is None else image for image in batch.images])
        values = measure_light(pixels) | measure_faces(finder.find(pixels))
        found = flaws.find(pixels)
        values |= {"eyes_hidden": found.eyes_hidden, "mouth_hidden": found.mouth_hidden}
        values |= {"print": found.print, "no_face": found.no_face}
        unreadable = np.array([image is None for image in batch.images])
        for column in values.values():
            column[unreadable] = np.nan
        return _Part(batch, pixels, values, describe(pixels))

    with (
        ThreadPoolExecutor(threads) as pool,
        closing(ordered_map(pool, measure, source.batches(), 2 * threads)) as parts,
    ):
        yield from parts


def read_pixels(source: PictureSource, pixels: NDArray[np.uint8], progress: Progress) -> None:
    """Fill `pixels` as `measure` does, without measuring."""
    for batch in source.batches():
        for place, image in enumerate(batch.images, batch.start):
            if image is not None:
                pixels[place] = image
        progress("reading pictures", batch.start + len(batch), len(source.records))
