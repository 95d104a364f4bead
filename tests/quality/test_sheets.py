"""Contact sheets: which pictures, and what is drawn of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_batch.errors import OutputError, UsageError
from fer_batch.quality.sheets import (
    CELL,
    ON_SHEET,
    Suspect,
    Twin,
    fit,
    require_picture_suffix,
    worst,
    write_sheet,
)


def noise(seed: int, height: int = 48, width: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def suspect(seed: int, *, issue: bool = True) -> Suspect:
    return Suspect(f"{seed:05d}", "train", "happy", 0.75, issue, "dark", noise(seed), None)


def read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path)), np.uint8)


def holds(sheet: NDArray[np.uint8], picture: NDArray[np.uint8]) -> bool:
    """Whether the picture is somewhere in the sheet, pixel by pixel."""
    difference = cv2.matchTemplate(sheet[:, :, 1], picture, cv2.TM_SQDIFF)
    return bool(difference.min() < 1)


SCORES = st.floats(0, 1, width=32) | st.just(float("nan"))


@given(st.lists(SCORES, max_size=30), st.integers(0, 40))
def test_worst_are_the_highest_in_order(values: list[float], count: int) -> None:
    scores = np.array(values, np.float32)
    # Python sorts what numpy must: NaN and 0 left out, equal scores in their order.
    wanted = sorted((i for i, value in enumerate(values) if value > 0), key=lambda i: -values[i])
    assert worst(scores, count).tolist() == wanted[:count]


@pytest.mark.parametrize(
    ("shape", "fitted"),
    [
        ((48, 48), (96, 96)),
        ((32, 32), (96, 96)),
        ((512, 256), (96, 48)),
        ((40, 50), (77, 96)),
        ((1, 512), (1, 96)),
    ],
)
def test_pictures_of_any_size_fit_a_cell(shape: tuple[int, int], fitted: tuple[int, int]) -> None:
    result = fit(noise(0, *shape))
    assert (result.shape, result.dtype) == (fitted, np.uint8)


def test_pixels_of_fer2013_become_squares() -> None:
    picture = noise(1)
    assert np.array_equal(fit(picture), picture.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("name", ["sheet.png", "sheet.webp", "SHEET.PNG"])
def test_sheet_shows_every_picture_and_its_twin(name: str, tmp_path: Path) -> None:
    suspects = [suspect(seed, issue=seed < 20) for seed in range(23)]
    suspects[3] = replace(suspects[3], twin=Twin("00900", "val", "sad", noise(900)))
    path = tmp_path / "new folder" / name
    write_sheet(suspects, path, "dark")
    sheet = read(path)
    assert all(holds(sheet, fit(item.picture)) for item in suspects)
    assert holds(sheet, fit(noise(900)))
    assert not holds(sheet, fit(noise(901)))


def test_what_is_at_or_over_the_threshold_is_framed(tmp_path: Path) -> None:
    def red(*, issue: bool) -> int:
        write_sheet([suspect(0, issue=issue)], tmp_path / "sheet.png")
        sheet = read(tmp_path / "sheet.png").astype(int)
        return int((sheet[:, :, 2] - sheet[:, :, 0] > 100).sum())

    assert red(issue=False) == 0
    assert red(issue=True) > 4 * CELL


def test_sheet_may_be_empty_or_too_full(tmp_path: Path) -> None:
    heights = []
    for name, count in (("none", 0), ("full", ON_SHEET), ("more", ON_SHEET + 1)):
        write_sheet([suspect(0)] * count, tmp_path / f"{name}.jpg", "blank")
        heights.append(read(tmp_path / f"{name}.jpg").shape[0])
    assert 0 < heights[0] < CELL
    assert heights[1] == heights[2] == pytest.approx(10 * (CELL + 40), rel=0.1)


def test_names_that_no_font_has_are_drawn(tmp_path: Path) -> None:
    odd = replace(suspect(0), id="train/Überraschung/" + "長い" * 40 + ".png", label="😀" * 40)
    write_sheet([odd], tmp_path / "sheet.png", "title " * 200)
    assert holds(read(tmp_path / "sheet.png"), fit(odd.picture))


def test_same_suspects_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_sheet([suspect(seed) for seed in range(5)], tmp_path / name, "dark")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", ["sheet", "sheet.pdf", "sheet.png.txt"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end in one of \.png, \.jpg, \.jpeg, \.webp"):
        require_picture_suffix(tmp_path / name)
    with pytest.raises(UsageError):
        write_sheet([suspect(0)], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*sheet\.png"):
        write_sheet([suspect(0)], tmp_path / "file" / "sheet.png")
