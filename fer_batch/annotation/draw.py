"""What a person sees of a face's row: box, label and bars, drawn into the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.annotation.blur import Box
from fer_batch.annotation.marks import Chart, Colour, Label, outline
from fer_batch.annotation.place_charts import ChartSizes, ChartSpot, Where, place_charts
from fer_batch.annotation.place_labels import LabelSpot, place_labels
from fer_batch.annotation.rectangles import Bearing, Corners, Size, bearing
from fer_batch.emotions import Emotion

_GRAY, _MARGIN = (110, 110, 110), (32, 32, 32)
_SIDE = 720
"""Shorter side, in pixels, of a picture in which these are the sizes; in others they are in proportion:"""
_FONT, _SMALLEST_FONT, _ROW, _GAP, _LINE = 24, 8, 26, 6, 2
"""of a label's text, and the least it shrinks to, of a bar's row, beside a chart, and of a box's line."""
_MIN_FONT, _LEGIBLE_FONT, _MIN_ROW, _MIN_GAP = 14, 11, 16, 4
"""What they are at least, the line but for one pixel. Letters below the legible font run together."""
_ROWS_OF_FACE, _ROWS_OF_MARGIN = 8, 20
"""A chart's row is at most so small a part of the face's height; in a margin, of the picture's side."""
_LOWEST_FACE, _LOWEST_FACE_KEPT = 0.6, 0.5
"""Height, in that of its chart, below which a face gets none: it would draw more attention than the face.
And below which it loses it, so that charts do not flicker."""
_GLASS = {Where.PICTURE: 4, Where.MARGIN: 4, Where.FACE: 2}
"""So many times darker is what is behind a chart."""


@dataclass(frozen=True)
class DrawnFace:
    """A face as it is shown."""

    box: Box
    emotion: Emotion | None
    """None where it is uncertain."""
    probabilities: Sequence[float]
    """Seven, 0–1, in the order of `Emotion`."""
    track: int | None = None
    """None in pictures, which have no tracks."""

    @property
    def expression(self) -> str:
        """What the face expresses, in a word."""
        return "uncertain" if self.emotion is None else self.emotion.label

    @property
    def probability(self) -> str:
        """That of the expression in percent; empty where it is uncertain."""
        return "" if self.emotion is None else f"{self.probabilities[self.emotion]:.0%}"

    @property
    def colour(self) -> Colour:
        """The expression's."""
        return _GRAY if self.emotion is None else self.emotion.colour

    def corners(self, picture: Size) -> Corners:
        """The part of the box that is in a picture, in whole pixels."""
        width, height = picture
        x0, y0, x1, y1 = (round(value) for value in self.box)
        return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)

    def enlarged(self, factor: int) -> DrawnFace:
        """The same face in a picture enlarged by a factor."""
        x0, y0, x1, y1 = (factor * value for value in self.box)
        return replace(self, box=(x0, y0, x1, y1))


class FaceDrawer:
    """Draws the faces of one picture after the other.

    A face's label and bars stay on the side of its box where they were in the frame before, if they can.
    """

    def __init__(self, *, may_grow: bool) -> None:
        """Begin.

        Args:
            may_grow: where a face fills a picture, its bars may be in a margin on the right or below.
        """
        self._may_grow = may_grow
        self._earlier: dict[int | None, tuple[Bearing | None, Bearing | None]] = {}

    def draw(self, image: NDArray[np.uint8], faces: Sequence[DrawnFace]) -> NDArray[np.uint8]:
        """Draw each face's box, track, expression and probability, and bars for all seven.

        Args:
            image: uint8 [H, W, 3], RGB; changed in place.
            faces: what to draw; of those that are outside of the picture, nothing is.

        Returns:
            The picture: uint8 [H, W, 3], or larger with a margin.
        """
        picture = image.shape[1], image.shape[0]
        style = _Style.of(picture)
        shown = [_Shown.of(face, picture, style) for face in faces if _area(face.corners(picture))]
        # Older tracks choose first, so that nobody gives way to whoever comes in; in pictures large faces.
        shown.sort(key=lambda one: (one.face.track or 0, -_area(one.box)))
        self._place(shown, picture, style)
        image = _with_margin(image, shown, style.gap)
        for one in shown:
            outline(image, one.box, one.face.colour, style.line)
        for one in shown:
            one.draw_marks(image, style.line)
        return image

    def _place(self, shown: Sequence[_Shown], picture: Size, style: _Style) -> None:
        """Find where labels and charts go, and remember it."""
        boxes = [one.box for one in shown]
        earlier = [self._earlier.get(one.face.track, (None, None)) for one in shown]
        versions = [[label.size for label in one.labels] for one in shown]
        labels = place_labels(boxes, versions, picture, style.line, [label for label, _ in earlier])
        sizes = [
            one.chart_sizes(may_grow=self._may_grow, earlier=chart)
            for one, (_, chart) in zip(shown, earlier, strict=True)
        ]
        covered = [corners for spot in labels if spot for corners in spot.covers]
        charts = place_charts(boxes, sizes, covered, picture, style.gap)
        self._earlier = {}
        for one, label, chart in zip(shown, labels, charts, strict=True):
            one.label_at, one.chart_at = label, chart
            if one.face.track is not None:
                self._earlier[one.face.track] = _bearing(label, one.box), _bearing(chart, one.box)


@dataclass(frozen=True)
class _Style:
    """Sizes in pixels, which follow from the picture's."""

    font: int
    smallest_font: int
    row: int
    margin_row: int
    gap: int
    line: int

    @classmethod
    def of(cls, picture: Size) -> _Style:
        scale = min(picture) / _SIDE
        return cls(
            font=max(_MIN_FONT, round(_FONT * scale)),
            smallest_font=max(_LEGIBLE_FONT, round(_SMALLEST_FONT * scale)),
            row=max(_MIN_ROW, round(_ROW * scale)),
            margin_row=min(picture) // _ROWS_OF_MARGIN,
            gap=max(_MIN_GAP, round(_GAP * scale)),
            line=math.ceil(_LINE * scale),
        )


@dataclass
class _Shown:
    """A face in a picture, and what is drawn of it."""

    face: DrawnFace
    box: Corners
    labels: list[Label]
    """Versions of its label: as wide as the box if that can be read, as small as can be, in a word."""
    charts: dict[Where, Chart]
    """Its chart on each ground."""
    label_at: LabelSpot | None = None
    chart_at: ChartSpot | None = None

    @classmethod
    def of(cls, face: DrawnFace, picture: Size, style: _Style) -> _Shown:
        box = face.corners(picture)
        track = "" if face.track is None else f"#{face.track}"
        full = Label(face.expression, face.probability, track, style.font, style.smallest_font, face.colour)
        fitting = style.font * (box[2] - box[0]) // full.size[0]
        small = replace(full, font=style.smallest_font)
        fitted = replace(full, font=max(style.smallest_font, min(style.font, fitting)))
        word = replace(small, probability="", track="")
        row = min(style.row, (box[3] - box[1]) // _ROWS_OF_FACE)
        row = max(row, Chart.smallest_row(style.smallest_font))
        rows = {Where.PICTURE: row, Where.MARGIN: max(row, style.margin_row), Where.FACE: row}
        charts = {
            where: Chart(face.probabilities, row, face.colour, _GLASS[where]) for where, row in rows.items()
        }
        return cls(face, box, list(dict.fromkeys((fitted, small, word))), charts)

    def chart_sizes(self, *, may_grow: bool, earlier: Bearing | None) -> ChartSizes | None:
        """None where the face is too small for a chart."""
        picture = self.charts[Where.PICTURE].size
        lowest = _LOWEST_FACE if earlier is None else _LOWEST_FACE_KEPT
        if self.box[3] - self.box[1] < lowest * picture[1]:
            return None
        margin = self.charts[Where.MARGIN].size if may_grow else None
        return ChartSizes(picture, margin, earlier)

    def draw_marks(self, image: NDArray[np.uint8], line: int) -> None:
        if self.chart_at is not None:
            self.charts[self.chart_at.where].draw(image, self.chart_at.rectangle)
        if self.label_at is not None:
            if self.label_at.leader is not None:
                outline(image, self.label_at.leader, self.face.colour, line)
            self.labels[self.label_at.version].draw(image, self.label_at.rectangle)


def _area(box: Corners) -> int:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def _bearing(spot: LabelSpot | ChartSpot | None, box: Corners) -> Bearing | None:
    return None if spot is None else bearing(spot.rectangle, box)


def _with_margin(image: NDArray[np.uint8], shown: Sequence[_Shown], gap: int) -> NDArray[np.uint8]:
    """The picture, grown on the right and below to whatever is placed there."""
    places = [one.chart_at.rectangle for one in shown if one.chart_at is not None]
    height, width = image.shape[:2]
    right = max((x1 + gap - width for _, _, x1, _ in places if x1 > width), default=0)
    below = max((y1 + gap - height for _, _, _, y1 in places if y1 > height), default=0)
    if not right and not below:
        return image
    grown = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=_MARGIN)
    return cast(NDArray[np.uint8], grown)
