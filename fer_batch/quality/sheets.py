"""Contact sheets: the pictures that a check finds worst, beside each other in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.errors import UsageError
from fer_batch.storage import atomic_file

CELL = 96
"""Longer side, in pixels, of every picture that is shown: twice that of FER2013's."""

ON_SHEET = 200
"""How many pictures a sheet has room for."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_SMALLEST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 9)
_COLUMNS, _FEWEST_COLUMNS = 20, 8
_GAP, _TWIN_GAP = 12, 2
_LINE = 14
_TITLE = 40
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT_SCALE, _TITLE_SCALE = 0.38, 0.6
# (B, G, R), dark enough to be read on white.
_PAPER, _INK, _MUTED, _FLAGGED, _EMPTY = (
    (255, 255, 255),
    (30, 30, 30),
    (110, 110, 110),
    (20, 45, 180),
    (225,) * 3,
)


@dataclass(frozen=True, eq=False)
class Twin:
    """The picture that another one repeats.

    Attributes:
        id: name of the picture in its split.
        split: `train`, `val` or `test`.
        label: its class name; empty where it has none.
        picture: uint8 [H, W], gray, 0–255, of any size.
    """

    id: str
    split: str
    label: str
    picture: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Suspect:
    """A picture as a check sees it.

    Attributes:
        id: name of the picture in its split.
        split: `train`, `val` or `test`.
        label: its class name; empty where it has none.
        score: 0–1, higher is worse.
        issue: whether the score is at or over the check's threshold.
        reason: what was found, in a few words.
        picture: uint8 [H, W], gray, 0–255, of any size.
        twin: the picture it repeats, where the check is one of pairs.
    """

    id: str
    split: str
    label: str
    score: float
    issue: bool
    reason: str
    picture: NDArray[np.uint8]
    twin: Twin | None


def worst(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Positions of the highest scores, highest first, equal ones in their order.

    Args:
        scores: float32 [N], 0–1, NaN where a check does not apply.
        count: how many positions at most.

    Returns:
        int64 [M]; scores of 0 and NaN are never among them.
    """
    suspicious = np.flatnonzero(scores > 0)
    return suspicious[np.argsort(-scores[suspicious], kind="stable")][:count]


def fit(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A gray picture (uint8 [H, W]) with `CELL` as its longer side, in its own proportions.

    Where every pixel becomes a square of whole pixels, none is mixed with its neighbours; else it is
    shrunk by area averaging or enlarged bilinearly.
    """
    factor = CELL / max(picture.shape)
    if factor.is_integer():
        interpolation = cv2.INTER_NEAREST
    else:
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    height, width = (max(1, round(factor * side)) for side in picture.shape)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation), np.uint8)


def require_picture_suffix(path: Path) -> None:
    """Refuse a sheet's path before anything is measured for it.

    Raises:
        UsageError: no picture can be written under such a name.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{path} must end in one of {', '.join(_SUFFIXES)}: it becomes a picture")


def write_sheet(suspects: Sequence[Suspect], path: Path, title: str = "") -> None:
    """Draw suspects in rows, in their order, each with its twin, score, label and name.

    Those at or over the threshold are framed in red.

    Args:
        suspects: what to show; only the first `ON_SHEET` are.
        path: the PNG, JPEG or WebP file to write.
        title: what they have in common, over the pictures.

    Raises:
        UsageError: the path's suffix is not that of a picture.
        OutputError: the file cannot be written.
    """
    require_picture_suffix(path)
    shown = suspects[:ON_SHEET]
    if len(shown) < len(suspects):
        title = f"{title} (the first {len(shown)} of {len(suspects):,})"
    encoded = cv2.imencode(path.suffix, _draw(shown, title), _SMALLEST_PNG)[1]
    with atomic_file(path) as partial:
        partial.write_bytes(encoded.tobytes())


def _draw(suspects: Sequence[Suspect], title: str) -> NDArray[np.uint8]:
    pictures = 2 if any(suspect.twin for suspect in suspects) else 1
    columns = min(_COLUMNS, max(_FEWEST_COLUMNS, len(suspects) * pictures)) // pictures
    rows = -(-len(suspects) // columns)
    width, height = pictures * CELL + (pictures - 1) * _TWIN_GAP + _GAP, CELL + 2 * _LINE + _GAP
    sheet = np.full((_TITLE + rows * height + _GAP, columns * width + _GAP, 3), _PAPER, np.uint8)
    text = title if suspects else f"{title}: no picture" if title else "no picture"
    room = sheet.shape[1] - 2 * _GAP
    shrunk = min(1.0, room / max(_width(text, _TITLE_SCALE), 1))  # all of a long title, if in small letters
    _write(sheet, text, _GAP, _TITLE - _GAP, sheet.shape[1], _INK, shrunk * _TITLE_SCALE)
    for number, suspect in enumerate(suspects):
        row, column = divmod(number, columns)
        _draw_suspect(sheet, suspect, _GAP + column * width, _TITLE + row * height)
    return sheet


def _draw_suspect(sheet: NDArray[np.uint8], suspect: Suspect, x: int, y: int) -> None:
    colour = _FLAGGED if suspect.issue else _MUTED
    _draw_picture(sheet, suspect.picture, x, y)
    _write(sheet, f"{suspect.score:.3f} {suspect.label}", x, y + CELL + _LINE - 2, CELL, colour)
    _write(sheet, suspect.id, x, y + CELL + 2 * _LINE - 2, CELL, _MUTED)
    right = x + CELL
    if (twin := suspect.twin) is not None:
        right += _TWIN_GAP
        _draw_picture(sheet, twin.picture, right, y)
        _write(sheet, f"twin {twin.label}", right, y + CELL + _LINE - 2, CELL, colour)
        _write(sheet, twin.id, right, y + CELL + 2 * _LINE - 2, CELL, _MUTED)
        right += CELL
    if suspect.issue:
        cv2.rectangle(sheet, (x - 2, y - 2), (right + 1, y + CELL + 1), _FLAGGED, 2)


def _draw_picture(sheet: NDArray[np.uint8], picture: NDArray[np.uint8], x: int, y: int) -> None:
    sheet[y : y + CELL, x : x + CELL] = _EMPTY
    fitted = fit(picture)
    height, width = fitted.shape
    top, left = y + (CELL - height) // 2, x + (CELL - width) // 2
    sheet[top : top + height, left : left + width] = fitted[:, :, None]


def _write(
    sheet: NDArray[np.uint8],
    text: str,
    x: int,
    baseline: int,
    width: int,
    colour: tuple[int, int, int],
    scale: float = _TEXT_SCALE,
) -> None:
    """Write text into so many pixels; of what is too long the end stays, which tells files apart."""
    start = 0
    while _width(text[start:], scale) > width:
        start += 1
    cv2.putText(sheet, _drawable(text[start:]), (x, baseline), _FONT, scale, colour, 1, cv2.LINE_AA)


def _width(text: str, scale: float) -> int:
    """How wide a text is drawn, in pixels."""
    return cv2.getTextSize(_drawable(text), _FONT, scale, 1)[0][0]


def _drawable(text: str) -> str:
    """The text in the letters that OpenCV's fonts have."""
    return text.encode("ascii", "replace").decode()
