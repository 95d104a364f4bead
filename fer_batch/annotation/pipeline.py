"""One source from its file to its tables: the list of stages."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import cv2

from fer_batch.annotation.decode import DECODED_AHEAD, DecodeReport, read_frames
from fer_batch.annotation.occlusion import OcclusionLooks
from fer_batch.annotation.overlay import draw_overlay
from fer_batch.annotation.parts import Parts
from fer_batch.annotation.rotation import find_quarters
from fer_batch.annotation.sources import Source
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
from fer_batch.annotation.write import Totals, write_tables
from fer_batch.errors import EncodeError, InputError
from fer_batch.inference.classifier import Classifies
from fer_batch.inference.detector import Detector
from fer_batch.inference.flaws import FlawFinder
from fer_batch.settings import AnnotateSettings
from fer_batch.threads import ahead, ordered_map

T = TypeVar("T")

_BATCHES_AHEAD = 4
"""Fewest batches of frames in detection: one on a device, and others that are being made ready for it."""
_CROPPED_TOGETHER = 2
"""Frames whose faces are cut out in one go, so that threads hand over half as often."""
FACES_A_FRAME = 4
"""A batch of the classifier is filled by so many frames' worth of faces; usually there are fewer."""


@dataclass(frozen=True)
class Networks:
    """What looks at pictures."""

    detector: Detector | None
    """Finds faces; None where the pictures are faces already."""
    classifier: Classifies
    """Reads the expressions."""
    flaws: FlawFinder
    """Sees what hides a face."""


Told = Callable[[str, int], None]
"""Told what is done, and how many frames of it are."""


@dataclass(frozen=True)
class Outcome:
    """What came of one source."""

    totals: Totals
    """What its tables add up to."""
    problems: list[str]
    """Why its results are not whole: nothing, if they are."""
    notes: list[str]
    """What a user should know of them all the same."""
    quarters: int
    """How often its pictures were turned clockwise before faces were searched, 0 to 3."""


def run_stages(
    source: Source,
    identity: Mapping[str, object],
    folder: Path,
    settings: AnnotateSettings,
    networks: Networks,
    *,
    threads: int,
    told: Told,
) -> Outcome:
    """Read one source into parts, going on behind those that are there, and make its tables of them.

    Args:
        source: what to read.
        identity: of the source, as it was when it was found, and when an earlier run began to read it.
        folder: for the tables, the overlay, and, in the folder `parts`, what an earlier run left.
        settings: of `annotate`.
        networks: what looks at them.
        threads: that detect, crop and classify; another one decodes.
        told: told of progress.

    Raises:
        InputError: the source cannot be opened, or not one frame of it decoded.
        OutputError: the results cannot be written.
    """
    cv2.setNumThreads(1)  # the pool keeps the cores busy; OpenCV's own threads would only contend
    parts = Parts(folder / "parts")
    if parts.finished:
        quarters = find_quarters(source, settings, networks.detector)
    else:
        quarters = _read(source, parts, settings, networks, threads=threads, told=told)
    totals = write_tables(parts, source, folder, settings)
    report = parts.report
    problems = report.problems
    if settings.overlay:
        try:
            draw_overlay(
                source,
                identity,
                folder,
                settings,
                lambda frames: told("overlay", frames),
                turned=quarters > 0,
            )
        except (EncodeError, InputError) as error:  # what was read of the source is safe
            problems.append(str(error))
    return Outcome(totals, problems, _notes(report, quarters, totals, settings), quarters)


def _notes(report: DecodeReport, quarters: int, totals: Totals, settings: AnnotateSettings) -> list[str]:
    """What a user should know of results that are whole."""
    notes = list(report.notes)
    if quarters:
        notes.append(f"its faces are not upright: it was read turned by {90 * quarters} degrees clockwise")
    if totals.missed_estimate:
        larger = "min_face 48" if settings.detection.size == "auto" else "a larger detect_size"
        missed = f"about {totals.missed_estimate:,} more faces show at the full size of its frames"
        notes.append(f"{missed}: detection with {larger} would find them")
    return notes


def _read(
    source: Source,
    parts: Parts,
    settings: AnnotateSettings,
    networks: Networks,
    *,
    threads: int,
    told: Told,
) -> int:
    """Decode, detect, follow, crop and classify: bounded queues, so memory is flat at any length.

    Returns:
        How often the pictures were turned clockwise before faces were searched.
    """
    report, before = DecodeReport(), parts.resume
    detector, classifier = networks.detector, networks.classifier
    number = before.number if before else 0
    tracker = Tracker(settings.tracking, before.tracker if before else None)
    searched = detector.batch_size if detector else 1
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads, thread_name_prefix="stage"))

        def enter(stage: Generator[T, None, None]) -> Generator[T, None, None]:
            return stack.enter_context(closing(stage))

        frames = read_frames(source, settings.sampling, report, before.position if before else None)
        marked = enter(ahead(mark(frames, settings, before), DECODED_AHEAD))
        turning = pool.submit(find_quarters, source, settings, detector)
        first = list(islice(marked, 1))  # decoding begins meanwhile
        quarters = turning.result()
        batches = in_batches(chain(first, marked), searched)
        # Frames are large: where batches are, fewer of them are under way.
        depth = max(-(-2 * (threads + 1) // searched), min(threads + 1, _BATCHES_AHEAD))
        detected = enter(ordered_map(pool, Detecting(detector, quarters), batches, depth))
        counted = look_closely(one_by_one(detected), detector, quarters, pool)
        looks = OcclusionLooks(before.looks if before else ())
        tracked = follow(counted, tracker if source.kind == "video" else None, looks)
        to_crop = in_batches(tracked, _CROPPED_TOGETHER)
        crop = Cropping(classifier, detector is None, quarters)
        cropped = enter(ordered_map(pool, crop, to_crop, threads))
        faces = in_batches(one_by_one(cropped), max(1, classifier.batch_size // FACES_A_FRAME))
        classified = enter(ordered_map(pool, Classifying(classifier, networks.flaws), faces, threads))
        for annotated in one_by_one(classified):
            parts.add(annotated)
            number += 1
            told("", number)
    parts.finish(report)
    return quarters
