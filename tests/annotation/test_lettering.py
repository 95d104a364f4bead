"""Words as they are drawn into overlays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font

from fer_batch.annotation.lettering import lettered
from fer_batch.emotions import LABELS

TEXTS = (*LABELS, "uncertain", "0%", "57%", "100%", "#0", "#123")


@pytest.mark.parametrize("size", [11, 13, 14, 18, 24, 25, 40, 72])
def test_no_letter_is_cut_off(size: int) -> None:
    font = FT2Font(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")))
    font.set_size(size, 72)
    for text in TEXTS:
        font.set_text(text)
        font.draw_glyphs_to_bitmap(antialiased=True)
        whole = np.asarray(font.get_image())
        assert lettered(text, size).sum(dtype=int) == whole.sum(dtype=int), text


@pytest.mark.parametrize("size", [11, 24, 72])
def test_lines_of_one_size_stand_on_one_line(size: int) -> None:
    masks = {text: lettered(text, size) for text in TEXTS}
    assert len({mask.shape[0] for mask in masks.values()}) == 1
    # Digits and letters without a tail end at the same row, and are anti-aliased.
    ends = {
        np.flatnonzero((masks[text] > 128).any(1))[-1] for text in ("fear", "sad", "neutral", "57%", "#0")
    }
    assert max(ends) - min(ends) <= 1
    assert all(((mask > 0) & (mask < 255)).any() for mask in masks.values())
