"""Which faces of successive frames are one person's: by geometry and time alone.

A Kalman filter for each face predicts where it is next (Kalman 1960; Bewley et al. 2016, "Simple
Online and Realtime Tracking"), and one optimal assignment a frame gives each detection to the track
that it is likeliest to come from. What a face looks like is never used: a track says nothing about
who it is, and a person who leaves and comes back has another one.

A track ends where a search misses its face and none finds it within `max_gap_s`. Where nobody searched for
longer than that, as where few frames are sampled, no prediction holds: the track goes on in a face that is
about where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fer_batch.annotation.clock import SAME_TIME_S
from fer_batch.settings import TrackingSettings

# In heights of the face, and seconds. A head that walks past moves two heights a second; detectors
# place a box to a twentieth of its height.
_MEASURED = 0.05
"""Standard deviation of a box's centre, and of the logarithm of its height."""
_STAYED = 0.2
"""The same of a face that nobody has looked for in longer than one may be missed: within the gate, boxes that
overlap."""
_FIRST_VELOCITY = 2.0
"""Standard deviation of the velocity of a face that is seen for the first time."""
_FIRST_GROWTH = 0.3
"""The same of the logarithm of its height."""
_VELOCITY_CHANGE = 0.7
"""How much the velocity wanders in a second, as a standard deviation."""
_GROWTH_CHANGE = 0.2
"""The same of the logarithm of the height."""
_GATE = 16.27
"""Largest squared Mahalanobis distance of a detection from its track: chi-squared with three degrees of
freedom exceeds it once in a thousand times."""
_ASPECT_SHARE = 0.2
"""Share of the newest box in a track's aspect ratio."""
_NEVER = 1e6


@dataclass
class _Axis:
    """One coordinate and its velocity, with their covariance: a filter of constant velocity."""

    value: float
    velocity: float
    p_value: float
    p_both: float
    p_velocity: float

    def predict(self, dt: float, wander: float) -> None:
        """Move on by `dt` seconds; the velocity is a random walk of `wander`² a second."""
        q = wander * wander
        self.value += dt * self.velocity
        self.p_value += dt * (2 * self.p_both + dt * self.p_velocity) + q * dt**3 / 3
        self.p_both += dt * self.p_velocity + q * dt * dt / 2
        self.p_velocity += q * dt

    def update(self, measured: float, deviation: float) -> None:
        """Take in a measurement."""
        total = self.p_value + deviation * deviation
        gain, gain_velocity = self.p_value / total, self.p_both / total
        residual = measured - self.value
        self.value += gain * residual
        self.velocity += gain_velocity * residual
        self.p_velocity -= gain_velocity * self.p_both
        self.p_both *= 1 - gain
        self.p_value *= 1 - gain


@dataclass
class _Track:
    number: int
    seen_s: float
    """When it was last seen."""
    x: _Axis
    y: _Axis
    log_height: _Axis
    aspect: float
    """Width over height."""
    points: list[list[float | None]]
    """Of the face when it was last seen, from the centre and in heights; None where unknown. They move along,
    and tell nothing of which face is whose."""
    score: float | None = None
    """The detector's of the face when it was last seen; None where unknown."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> _Track:
        """The track that `asdict` was taken of."""
        axes = {name: _Axis(**state[name]) for name in ("x", "y", "log_height")}
        return cls(**{**state, **axes})

    @property
    def height(self) -> float:
        return math.exp(self.log_height.value)

    @property
    def box(self) -> tuple[float, float, float, float]:
        half = self.height / 2
        x, y, side = self.x.value, self.y.value, half * self.aspect
        return x - side, y - half, x + side, y + half

    @property
    def moved_points(self) -> NDArray[np.float64]:
        return np.array(self.points, np.float64).reshape(-1, 2) * self.height + (self.x.value, self.y.value)

    def stay(self) -> None:
        """Expect the face about where it is, whatever way it was going."""
        x, y, log_height = (axis.value for axis in (self.x, self.y, self.log_height))
        self.x, self.y, self.log_height = _resting(x, y, log_height, _STAYED)

    def keep(self, points: NDArray[np.float32]) -> None:
        """Take these points along from here."""
        relative = (points.astype(np.float64) - (self.x.value, self.y.value)) / self.height
        self.points = [[v if math.isfinite(v) else None for v in point] for point in relative.tolist()]


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    log_height: float
    aspect: float

    @classmethod
    def of(cls, box: NDArray[np.float32]) -> _Box:
        x0, y0, x1, y1 = (float(value) for value in box)
        width, height = max(x1 - x0, 1e-3), max(y1 - y0, 1e-3)
        return cls((x0 + x1) / 2, (y0 + y1) / 2, math.log(height), width / height)


class Tracker:
    """Gives the faces of a video's frames track numbers that stay with them.

    Args:
        settings: how long a face may be missed.
        state: of an earlier tracker, to go on from.
    """

    def __init__(self, settings: TrackingSettings, state: Mapping[str, Any] | None = None) -> None:
        self._settings = settings
        self._next, self._time_s, self._searched_s = 0, 0.0, 0.0
        self._tracks: list[_Track] = []
        if state is not None:
            self._next, self._time_s = state["next"], state["time_s"]
            self._searched_s = state["searched_s"]
            self._tracks = [_Track.from_state(track) for track in state["tracks"]]

    @property
    def state(self) -> dict[str, Any]:
        """All that the next frame needs, as JSON can hold it without loss."""
        return {
            "next": self._next,
            "time_s": self._time_s,
            "searched_s": self._searched_s,
            "tracks": [asdict(track) for track in self._tracks],
        }

    def update(
        self,
        time_s: float,
        boxes: NDArray[np.float32],
        size: tuple[int, int],
        *,
        points: NDArray[np.float32] | None = None,
        scores: NDArray[np.float32] | None = None,
        cut: bool = False,
    ) -> NDArray[np.int64]:
        """Give the faces of the next frame their tracks.

        Args:
            time_s: presentation time of the frame, in seconds.
            boxes: float32 [N, 4], x0, y0, x1, y1 in pixels.
            size: height and width of the frame in pixels.
            points: float32 [N, P, 2], x and y in pixels, of the faces, which `coast` moves along with them;
                NaN where unknown. In every frame as many.
            scores: float32 [N], the detector's, which `coast` tells again; NaN where unknown.
            cut: the frame begins a new scene: no track goes on.

        Returns:
            int64 [N]: numbers from 0 in the order of appearance, each used for one track only.
        """
        if cut:
            self._tracks = []
        self._predict(time_s, size)
        self._searched_s = time_s
        found = [_Box.of(box) for box in boxes]
        numbers = np.empty(len(found), np.int64)
        chosen = self._assign(found)
        for index, box in enumerate(found):
            track = chosen.get(index)
            if track is None:
                track = self._begin(box, time_s)
            else:
                _correct(track, box, time_s)
            if points is not None:
                track.keep(points[index])
            if scores is not None:
                score = float(scores[index])
                track.score = score if math.isfinite(score) else None
            numbers[index] = track.number
        return numbers

    def coast(
        self, time_s: float, size: tuple[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Where the faces of the last searched frame are expected in one that is not searched.

        Args:
            time_s: presentation time of the frame, in seconds.
            size: height and width of the frame in pixels.

        Returns:
            int64 [N], their tracks; float32 [N, 4], their boxes: x0, y0, x1, y1 in pixels;
            float32 [N, P, 2], the points that were last seen, moved and grown with the faces; and
            float32 [N], their scores when they were last seen.
        """
        self._predict(time_s, size)
        going = [track for track in self._tracks if track.seen_s == self._searched_s]
        boxes = np.array([track.box for track in going], np.float32).reshape(-1, 4)
        points = np.array([track.moved_points for track in going], np.float32)
        scores = np.array([track.score for track in going], np.float32)
        return np.array([track.number for track in going], np.int64), boxes, points, scores

    def _predict(self, time_s: float, size: tuple[int, int]) -> None:
        """Move every track on to this time; forget those missed for too long, or gone from the picture."""
        # A time that runs backwards, as in damaged files, is a frame in which nothing moved.
        dt, self._time_s = max(0.0, time_s - self._time_s), time_s
        kept = []
        for track in self._tracks:
            if time_s - track.seen_s <= self._settings.max_gap_s + SAME_TIME_S:
                height = track.height
                track.x.predict(dt, _VELOCITY_CHANGE * height)
                track.y.predict(dt, _VELOCITY_CHANGE * height)
                track.log_height.predict(dt, _GROWTH_CHANGE)
            elif track.seen_s == self._searched_s:  # nobody has looked for it since
                track.stay()
            else:
                continue
            if _in_picture(track, size):
                kept.append(track)
        self._tracks = kept

    def _assign(self, found: list[_Box]) -> dict[int, _Track]:
        """For detections, by index, the track that each goes on with: the likeliest of all pairings."""
        if not self._tracks or not found:
            return {}
        costs = np.array([[_cost(track, box) for track in self._tracks] for box in found])
        rows, columns = linear_sum_assignment(costs)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return {row: self._tracks[column] for row, column in pairs if costs[row, column] < _NEVER}

    def _begin(self, box: _Box, time_s: float) -> _Track:
        axes = _resting(box.x, box.y, box.log_height, _MEASURED)
        track = _Track(self._next, time_s, *axes, aspect=box.aspect, points=[])
        self._next += 1
        self._tracks.append(track)
        return track


def _resting(x: float, y: float, log_height: float, deviation: float) -> tuple[_Axis, _Axis, _Axis]:
    """The axes of a face that is about here, and whose velocity is not known."""
    height = math.exp(log_height)
    place, velocity = (deviation * height) ** 2, (_FIRST_VELOCITY * height) ** 2
    return (
        _Axis(x, 0.0, place, 0.0, velocity),
        _Axis(y, 0.0, place, 0.0, velocity),
        _Axis(log_height, 0.0, deviation**2, 0.0, _FIRST_GROWTH**2),
    )


def _in_picture(track: _Track, size: tuple[int, int]) -> bool:
    """Whether any of the face is still expected inside."""
    beyond = track.height / 2
    rows, columns = size
    return -beyond <= track.x.value <= columns + beyond and -beyond <= track.y.value <= rows + beyond


def _correct(track: _Track, box: _Box, time_s: float) -> None:
    deviation = _MEASURED * track.height
    track.x.update(box.x, deviation)
    track.y.update(box.y, deviation)
    track.log_height.update(box.log_height, _MEASURED)
    track.aspect += _ASPECT_SHARE * (box.aspect - track.aspect)
    track.seen_s = time_s


def _cost(track: _Track, box: _Box) -> float:
    """Minus twice the logarithm of the density of this box, were it the track's; beyond the gate, never.

    The density, not the distance alone: a track that has been missed for long is near to everything.
    """
    height = track.height
    distance, spread = 0.0, 0.0
    for axis, measured, unit in (
        (track.x, box.x, height),
        (track.y, box.y, height),
        (track.log_height, box.log_height, 1.0),
    ):
        variance = axis.p_value + (_MEASURED * unit) ** 2
        distance += (measured - axis.value) ** 2 / variance
        if distance > _GATE:  # as nearly all are in a crowd
            return _NEVER
        spread += math.log(variance / (unit * unit))
    return distance + spread
