"""Transfer functions: what becomes of light, and what is said of it."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, ColorTrc
from numpy.typing import NDArray
from videos import in_pq

from fer_batch.annotation.colour import colour_notes, needs_table, sdr_table

CURVES = [ColorTrc.LINEAR, ColorTrc.LOG, ColorTrc.LOG_SQRT, ColorTrc.SMPTE2084, ColorTrc.SMPTE428]
LEVELS = np.arange(256, dtype=np.uint8)
HIGHLIGHTS = 230
"""The level from which on light is compressed."""


def frame(transfer: int, name: str = "yuv444p16le", full: bool = True, matrix: int = 9) -> av.VideoFrame:
    made = av.VideoFrame(16, 16, name)
    made.color_trc, made.colorspace = transfer, matrix
    made.color_range = ColorRange.JPEG if full else ColorRange.MPEG
    return made


def signals(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """PQ's signal of light in cd/m2."""
    power = (light / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


@pytest.mark.parametrize("transfer", CURVES)
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "yuv444p12le", "gray", "gray10le", "gbrp10le"])
@pytest.mark.parametrize("full", [False, True])
def test_more_signal_is_never_darker(transfer: int, name: str, full: bool) -> None:
    table = sdr_table(frame(transfer, name, full))
    assert table.dtype == np.uint8
    assert table.shape == (65536,)
    assert (np.diff(table.astype(int)) >= 0).all()
    assert (table[0], table[-1]) == (0, 255)


def test_what_is_no_highlight_is_exact() -> None:
    table = sdr_table(frame(ColorTrc.SMPTE2084))
    found = table[(in_pq(LEVELS) / 65_280 * 65_535).round().astype(int)]
    assert set((found.astype(int) - LEVELS)[:HIGHLIGHTS]) <= {0, 1}


def test_highlights_keep_some_detail_and_end_in_white() -> None:
    table = sdr_table(frame(ColorTrc.SMPTE2084)).astype(int)
    found = table[
        (65_535 * signals(np.array([150.0, 203, 250, 300, 1000, 4000, 10_000]))).round().astype(int)
    ]
    assert (np.diff(found[:4]) > 1).all()
    assert 240 < found[1] < 250  # SDR white leaves room for more
    assert found[4:].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("transfer", "signal", "shown"),
    [
        # Light by the formulas of ITU-T H.273, and the sRGB level of that light.
        (ColorTrc.LINEAR, 0.2140, 127.5),
        (ColorTrc.LINEAR, 1, 255),
        (ColorTrc.LOG, 1 + np.log10(0.2140) / 2, 127.5),
        (ColorTrc.LOG, 0, 0),
        (ColorTrc.LOG_SQRT, 1 + np.log10(0.2140) / 2.5, 127.5),
        (ColorTrc.SMPTE428, (48 / 52.37 * 0.2140) ** (1 / 2.6), 127.5),
    ],
)
def test_the_other_curves_are_undone_too(transfer: int, signal: float, shown: float) -> None:
    assert sdr_table(frame(transfer))[round(65_535 * signal)] == pytest.approx(shown, abs=1)


@pytest.mark.parametrize("transfer", [1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15, 18])
def test_curves_like_that_of_pictures_are_left_alone(transfer: int) -> None:
    assert not needs_table(frame(transfer))
    assert colour_notes(frame(transfer)) == ()


def test_what_is_done_to_colours_or_cannot_be_is_said() -> None:
    assert colour_notes(frame(16)) == ("HDR (PQ) converted to SDR, white at 203 cd/m2",)
    assert colour_notes(frame(8)) == ("linear light converted to SDR",)
    (note,) = colour_notes(frame(3))
    assert "transfer function 3" in note
    (note,) = colour_notes(frame(2, matrix=14))
    assert "matrix coefficients 14" in note
    assert len(colour_notes(frame(16, matrix=15))) == 2
