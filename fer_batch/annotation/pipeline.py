"""One source from its file to its tables: the list of stages."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import cv2

from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.overlay import open_overlay
from fer_batch.annotation.sources import Source
from fer_batch.annotation.stages import Classifying, Detecting, in_batches, one_by_one
from fer_batch.annotation.threads import ahead, ordered_map
from fer_batch.annotation.write import SourceWriter, Totals
from fer_batch.inference.classifier import Classifies
from fer_batch.inference.detector import Detector
from fer_batch.settings import AnnotateSettings

_DECODED_AHEAD = 8


def run_stages(
    source: Source,
    folder: Path,
    settings: AnnotateSettings,
    detector: Detector | None,
    classifier: Classifies,
    told: Callable[[int], None],
) -> tuple[Totals, DecodeReport]:
    """Decode, detect, crop, classify and write one source; memory does not grow with its length.

    Args:
        source: what to read.
        folder: an empty folder for the tables and the overlay.
        settings: of `annotate`.
        detector: None where the pictures are faces already.
        classifier: reads the expressions.
        told: called with the number of frames written, after each.

    Raises:
        InputError: the source cannot be opened, or not one frame of it decoded.
        OutputError: the results cannot be written.
    """
    cv2.setNumThreads(1)  # the pool keeps the cores busy; OpenCV's own threads would only contend
    report = DecodeReport()
    cores = os.cpu_count() or 1
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(cores, thread_name_prefix="stage"))
        find = Detecting(detector, classifier, keep_images=settings.overlay)
        frames = stack.enter_context(
            closing(ahead(read_frames(source, settings.sampling, report), _DECODED_AHEAD))
        )
        detected = stack.enter_context(closing(ordered_map(pool, find, frames, 2 * cores)))
        batches = in_batches(detected)
        classified = stack.enter_context(closing(ordered_map(pool, Classifying(classifier), batches, cores)))
        writer = stack.enter_context(SourceWriter(folder, source.name, pictures=source.kind != "video"))
        overlay = stack.enter_context(open_overlay(source, folder)) if settings.overlay else None
        for annotated in one_by_one(classified):
            writer.write(annotated)
            if overlay is not None and annotated.frame.image is not None:
                overlay.write(annotated)
            told(writer.totals.frames)
    return writer.totals, report
