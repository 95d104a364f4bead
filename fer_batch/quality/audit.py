"""The audit page: what every check found, and what a clean data set would keep, to be read by a person.

One file without any request to anywhere: it opens offline, from a mail, and prints.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from fer_batch.errors import InputError, UsageError
from fer_batch.quality.sheets import CELL, Suspect, Twin, fit, worst
from fer_batch.storage import write_text

__all__ = ["ON_PAGE", "Audit", "CheckAudit", "Suspect", "Twin", "require_own_page", "write_audit"]

ON_PAGE = 60
"""How many pictures of each check the page shows."""

_MARK = '<meta name="generator" content="fer-batch filter">'
"""By which a page is known again, in its head."""
_HEAD = 4096
"""Bytes of a page in which that is looked for."""

_BINS = 100
_PLOT_HEIGHT = 150
"""Height of a histogram, in CSS pixels; its width is the page's."""
_AXIS = (_BINS + 1) / _BINS
"""Where the axis of scores ends: scores of exactly 1 have a bar of their own behind 1."""
_LOWEST = 0.5
"""Count at the foot of the logarithmic axis: a single picture is still a bar."""
_SCORE_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# FER2013's own pixels, which the page enlarges twofold, are kept; what was resized needs no such care.
_LOSSLESS = (cv2.IMWRITE_WEBP_QUALITY, 101)
_LOSSY = (cv2.IMWRITE_WEBP_QUALITY, 90)


@dataclass(frozen=True, eq=False)
class CheckAudit:
    """What one check found.

    Attributes:
        name: of the check, as the command line knows it.
        meaning: what a high score says, in a sentence.
        threshold: scores at or over it are issues.
        scores: float32 [N], 0–1; NaN where the check does not apply or could not measure.
        dropped: whether a clean data set lacks its issues.
        note: what else must be known; where nothing was measured, why.
        suspects: its pictures of highest score, as `sheets.worst` chooses `ON_PAGE` of them. Of more
            the highest are shown.
    """

    name: str
    meaning: str
    threshold: float
    scores: NDArray[np.float32]
    dropped: bool
    note: str
    suspects: Sequence[Suspect]

    @property
    def issues(self) -> NDArray[np.bool_]:
        """Bool [N]: which pictures are at or over the threshold."""
        return self.scores >= self.threshold


@dataclass(frozen=True, eq=False)
class Audit:
    """What is known of a data set after its checks.

    Attributes:
        name: of the data set.
        checks: in the order of the page; all have scores of the same N pictures.
        counts: pictures before and after dropping, by split and class name.
        facts: settings and versions, as pairs of a name and a value.
    """

    name: str
    checks: Sequence[CheckAudit]
    counts: Mapping[str, Mapping[str, tuple[int, int]]]
    facts: Sequence[tuple[str, str]]


def require_own_page(path: Path) -> None:
    """Refuse to replace a page that `write_audit` has not written; there need be none.

    Raises:
        UsageError: it is somebody else's.
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as page:
            head = page.read(_HEAD)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if _MARK.encode() not in head:
        raise UsageError(f"{path} is in the way and is no page of filter: move it away")


def write_audit(audit: Audit, path: Path) -> None:
    """Write the page; the same audit gives the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("fer_batch.quality", ""),
        autoescape=True,  # names of files and classes may be anything
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "part": _part,
        "percent": _percent,
        "threshold": _threshold,
    }
    page = environment.get_template("audit.html.jinja").render(
        mark=_MARK,
        name=audit.name,
        flagged=_flagged(audit.checks),
        splits=[_Split(name, classes) for name, classes in audit.counts.items()],
        checks=[_section(check) for check in audit.checks],
        facts=audit.facts,
        cell=CELL,
        plot_height=_PLOT_HEIGHT,
    )
    write_text(path, page)


def _number(value: int) -> str:
    return f"{value:,}"


def _percent(part: int, whole: int) -> str:
    """A share to be read: nothing that occurs is 0.0%."""
    share = _part(part, whole) / 100
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _threshold(value: float) -> str:
    """Two decimals, and more where it has more."""
    return max(f"{value:.2f}", f"{value:g}", key=len)


def _part(part: int, whole: int) -> float:
    """A share in percent, to be drawn."""
    return round(100 * part / whole, 3) if whole else 0.0


def _flagged(checks: Sequence[CheckAudit]) -> int:
    """How many pictures are an issue of at least one check."""
    return int(np.logical_or.reduce([check.issues for check in checks]).sum()) if checks else 0


@dataclass(frozen=True)
class _Split:
    """A split's classes, and what is summed over them."""

    name: str
    classes: Mapping[str, tuple[int, int]]

    @property
    def before(self) -> int:
        return sum(before for before, _ in self.classes.values())

    @property
    def after(self) -> int:
        return sum(after for _, after in self.classes.values())

    @property
    def largest(self) -> int:
        return max((before for before, _ in self.classes.values()), default=0)


@dataclass(frozen=True)
class _Image:
    """An encoded picture and the size, in CSS pixels, that it is shown in."""

    source: str
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class _Card:
    """A suspect, and its pictures encoded: its own, and its twin's behind it."""

    suspect: Suspect
    images: tuple[_Image, ...]


@dataclass(frozen=True)
class _Bar:
    """A bar of a histogram: x and width in percent of the plot, y and height in CSS pixels from its top."""

    x: float
    width: float
    y: float
    height: float
    over: bool
    text: str


@dataclass(frozen=True)
class _Histogram:
    """A histogram of scores: bars, the threshold and both axes' ticks as places and texts."""

    bars: Sequence[_Bar]
    threshold: float
    score_ticks: Sequence[tuple[float, str]]
    count_ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True, eq=False)
class _Section:
    """All that the page says of a check."""

    check: CheckAudit
    total: int
    measured: int
    suspicious: int
    issues: int
    histogram: _Histogram
    over: Sequence[_Card]
    under: Sequence[_Card]


def _section(check: CheckAudit) -> _Section:
    scores = np.array([suspect.score for suspect in check.suspects], np.float32)
    cards = [_card(check.suspects[position]) for position in worst(scores, ON_PAGE)]
    return _Section(
        check=check,
        total=len(check.scores),
        measured=int(np.isfinite(check.scores).sum()),
        suspicious=int((check.scores > 0).sum()),
        issues=int(check.issues.sum()),
        histogram=_histogram(check),
        over=[card for card in cards if card.suspect.issue],
        under=[card for card in cards if not card.suspect.issue],
    )


def _card(suspect: Suspect) -> _Card:
    pictures = [suspect.picture] if suspect.twin is None else [suspect.picture, suspect.twin.picture]
    return _Card(suspect, tuple(_image(picture) for picture in pictures))


def _image(picture: NDArray[np.uint8]) -> _Image:
    """A picture as a data URI: lossless where its pixels only have to be enlarged, else at its size."""
    height, width = (max(1, round(side * CELL / max(picture.shape))) for side in picture.shape)
    if max(picture.shape) < CELL and CELL % max(picture.shape) == 0:
        data = cv2.imencode(".webp", picture, _LOSSLESS)[1]
    else:
        data = cv2.imencode(".webp", fit(picture), _LOSSY)[1]
    return _Image(f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode()}", width, height)


def _histogram(check: CheckAudit) -> _Histogram:
    # The threshold is an edge of the bins, and all are compared as float32, as the scores are: the
    # bars from it on hold exactly the issues.
    edges = np.append(np.arange(_BINS + 2) / _BINS, check.threshold).astype(np.float32)
    edges = np.unique(edges)
    scores = check.scores[np.isfinite(check.scores)]
    counts, _ = np.histogram(scores, edges)
    highest = max(int(counts.max()), 1)
    return _Histogram(
        bars=list(_bars(counts, edges, np.float32(check.threshold), highest)),
        threshold=_place(check.threshold),
        score_ticks=[(_place(score), f"{score:g}") for score in _SCORE_TICKS],
        count_ticks=[
            (_PLOT_HEIGHT - _height(10**power, highest), _number(10**power))
            for power in range(int(math.log10(highest)) + 1)
        ],
    )


def _bars(
    counts: NDArray[np.int64], edges: NDArray[np.float32], threshold: np.float32, highest: int
) -> Iterator[_Bar]:
    for count, left, right in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        if count:
            height = _height(count, highest)
            span = f"{left:.2f}–{right:.2f}" if left < 1 else "1"
            yield _Bar(
                x=_place(float(left)),
                width=_place(float(right - left)),
                y=_PLOT_HEIGHT - height,
                height=height,
                over=bool(left >= threshold),
                text=f"score {span}: {_number(count)}",
            )


def _place(score: float) -> float:
    """Where a score lies on its axis, in percent."""
    return round(100 * score / _AXIS, 3)


def _height(count: int, highest: int) -> float:
    """How high a count stands on the logarithmic axis, in CSS pixels."""
    return round(_PLOT_HEIGHT * math.log(count / _LOWEST) / math.log(1.1 * highest / _LOWEST), 2)
