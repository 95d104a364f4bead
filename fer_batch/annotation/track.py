"""Which faces of successive frames are one person's: by geometry and time alone.

A Kalman filter for each face predicts where it is next (Kalman 1960; Bewley et al. 2016, "Simple
Online and Realtime Tracking"), and one optimal assignment a frame gives each detection to the track
that it is likeliest to come from. Where the camera moves, predictions
move with it: by what was measured of the picture, and by what all faces together tell. What a face
looks like is never used: a track says nothing about who it is, and a person who leaves and comes back
has another one.

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
from fer_batch.inference.detections import overlap
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
NO_SHIFT = (0.0, 0.0)
"""Of a camera that rests, or whose motion is not known."""
_SAME = 0.5
"""Overlap with where a face was last seen, from which a box is never too unlikely to be its."""
_SHIFT_ERROR = 0.002
"""Standard deviation of the measured shift of a camera that moves, in widths of the frame."""
_SURPRISE = 9.0
"""Largest squared distance, in variances, of a coordinate that a track takes for chance: what is beyond is
taken for a change of its velocity."""
_ALIKE = 0.3
"""Largest difference of the logarithms of the heights of one face in two successive searches."""
_CAMERA_SPEED = 15.0
"""So many face heights a second may the camera move beyond what was measured."""
_CAMERA_KNOWN_S = 0.25
"""Longest time in seconds between searches over which faces tell of the camera: over more, each has gone
where it likes."""
_CAMERA_WAY = 0.6, 5.0
"""Least and greatest distance in face heights by which it may, whatever the time."""
_CAMERA_MISFIT = 0.1
"""Standard deviation, in heights, of faces that move with the camera."""
_CAMERA_VOTES = 0.5, 0.25
"""How much better a shift must explain where the faces are: by so many faces, and by that share of them."""
_CAMERA_TRIES = 256
"""No more shifts are tried in one frame."""


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

    def doubt(self, measured: float, deviation: float, dt: float) -> None:
        """Take a measurement too far away for chance as a change of velocity in the last `dt` seconds."""
        excess = (measured - self.value) ** 2 / _SURPRISE - self.p_value - deviation * deviation
        if excess > 0 and dt > SAME_TIME_S:
            self.p_value += excess
            self.p_both += excess / dt
            self.p_velocity += excess / (dt * dt)

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
    seen: list[float]
    """Its box when it was last seen: x0, y0, x1, y1 in pixels of that frame."""
    shifted: list[float]
    """How far the camera has moved the picture's content since then, in pixels to the right and down."""
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

    def shift(self, x: float, y: float, deviation: float) -> None:
        """Move with the picture's content by so many pixels, give or take `deviation`."""
        for axis, way in ((self.x, x), (self.y, y)):
            axis.value += way
            axis.p_value += deviation * deviation
        self.shifted = [self.shifted[0] + x, self.shifted[1] + y]

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
    corners: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels."""

    @classmethod
    def from_corners(cls, box: NDArray[np.float32]) -> _Box:
        x0, y0, x1, y1 = (float(value) for value in box)
        width, height = max(x1 - x0, 1e-3), max(y1 - y0, 1e-3)
        return cls((x0 + x1) / 2, (y0 + y1) / 2, math.log(height), width / height, (x0, y0, x1, y1))


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
        shift: tuple[float, float] = NO_SHIFT,
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
            shift: how far the camera moved the picture's content since the last frame, searched or not, in
                pixels to the right and down. It may be some pixels off; what all faces move beyond it is
                taken for the camera's motion too.

        Returns:
            int64 [N]: numbers from 0 in the order of appearance, each used for one track only.
        """
        if cut:
            self._tracks = []
        self._predict(time_s, size, shift)
        found = [_Box.from_corners(box) for box in boxes]
        self._shift_by_faces(found, time_s)
        self._searched_s = time_s
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
        self, time_s: float, size: tuple[int, int], shift: tuple[float, float] = NO_SHIFT
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Where the faces of the last searched frame are expected in one that is not searched.

        Args:
            time_s: presentation time of the frame, in seconds.
            size: height and width of the frame in pixels.
            shift: as of `update`.

        Returns:
            int64 [N], their tracks; float32 [N, 4], their boxes: x0, y0, x1, y1 in pixels;
            float32 [N, P, 2], the points that were last seen, moved and grown with the faces; and
            float32 [N], their scores when they were last seen.
        """
        self._predict(time_s, size, shift)
        going = [track for track in self._tracks if track.seen_s == self._searched_s]
        boxes = np.array([track.box for track in going], np.float32).reshape(-1, 4)
        points = np.array([track.moved_points for track in going], np.float32)
        scores = np.array([track.score for track in going], np.float32)
        return np.array([track.number for track in going], np.int64), boxes, points, scores

    def _predict(self, time_s: float, size: tuple[int, int], shift: tuple[float, float]) -> None:
        """Move every track on to this time, and with the camera.

        Those missed for too long, or gone from the picture, are forgotten.
        """
        # A time that runs backwards, as in damaged files, is a frame in which nothing moved.
        dt, self._time_s = max(0.0, time_s - self._time_s), time_s
        deviation = _SHIFT_ERROR * size[1] if any(shift) else 0.0
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
            track.shift(*shift, deviation)
            if _in_picture(track, size):
                kept.append(track)
        self._tracks = kept

    def _shift_by_faces(self, found: list[_Box], time_s: float) -> None:
        """Move all tracks by what the camera moved unmeasured, where most faces agree on it.

        One shift is tried after the other that would bring a track to a detection. What is taken for motion
        of the camera leaves the velocities alone: one that shakes comes back.
        """
        dt = time_s - self._searched_s
        recent = [track for track in self._tracks if track.seen_s == self._searched_s]
        if not recent or not found or not 0 < dt <= _CAMERA_KNOWN_S + SAME_TIME_S:
            return
        heights = np.array([track.height for track in recent])
        variances = np.array([track.x.p_value for track in recent]) + (_CAMERA_MISFIT * heights) ** 2
        places = np.array([(track.x.value, track.y.value) for track in recent])
        ways = np.array([(box.x, box.y) for box in found]) - places[:, None]  # [tracks, detections, 2]
        grown = np.array([box.log_height for box in found]) - np.log(heights)[:, None]
        alike = np.abs(grown) <= _ALIKE

        def explained(shift: NDArray[np.float64]) -> float:
            """How many of the faces are where this shift would have them."""
            squares = ((ways - shift) ** 2).sum(2) / variances[:, None]
            return float(np.where(alike, np.exp(-squares / 2), 0.0).max(1).sum())

        best = np.zeros(2)
        by_best = explained(best)
        better_by = max(_CAMERA_VOTES[0], _CAMERA_VOTES[1] * len(recent))
        if by_best + better_by >= len(recent):  # nothing explains so much more
            return
        # What was measured may be wrong altogether: somebody walked in front of a camera that rests.
        unshifted = -np.array(recent[0].shifted)
        if (by_unshifted := explained(unshifted)) > by_best:
            best, by_best = unshifted, by_unshifted
        nearest, farthest = _CAMERA_WAY
        limit = heights * min(max(_CAMERA_SPEED * dt, nearest), farthest)
        tried = ways[alike & (np.hypot(ways[..., 0], ways[..., 1]) <= limit[:, None])][:_CAMERA_TRIES]
        likeliest = max(tried, key=explained, default=best)
        best = likeliest if explained(likeliest) >= by_best + better_by else best
        if best.any():
            for track in self._tracks:
                track.shift(float(best[0]), float(best[1]), _CAMERA_MISFIT * track.height)

    def _assign(self, found: list[_Box]) -> dict[int, _Track]:
        """For detections, by index, the track that each goes on with: the likeliest of all pairings."""
        if not self._tracks or not found:
            return {}
        costs = np.array([[_cost(track, box, gated=True) for track in self._tracks] for box in found])
        if (costs == _NEVER).any():
            for row, column in np.argwhere((costs == _NEVER) & (self._overlaps(found) > _SAME)):
                costs[row, column] = _cost(self._tracks[column], found[row], gated=False)
        rows, columns = linear_sum_assignment(costs)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return {row: self._tracks[column] for row, column in pairs if costs[row, column] < _NEVER}

    def _overlaps(self, found: list[_Box]) -> NDArray[np.float32]:
        """Overlaps with where each face was last seen, float32 [detections, tracks].

        That is where it has been moved to by the camera since, or where it was: whatever overlaps more.
        """
        boxes = np.array([box.corners for box in found], np.float32)
        seen = np.array([track.seen for track in self._tracks], np.float32)
        shifted = np.array([track.shifted for track in self._tracks], np.float32)
        return np.maximum(overlap(boxes, seen), overlap(boxes, seen + np.tile(shifted, 2)))

    def _begin(self, box: _Box, time_s: float) -> _Track:
        axes = _resting(box.x, box.y, box.log_height, _MEASURED)
        track = _Track(
            self._next, time_s, *axes, aspect=box.aspect, seen=[*box.corners], shifted=[0.0, 0.0], points=[]
        )
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
    deviation, dt = _MEASURED * track.height, time_s - track.seen_s
    for axis, measured, error in (
        (track.x, box.x, deviation),
        (track.y, box.y, deviation),
        (track.log_height, box.log_height, _MEASURED),
    ):
        axis.doubt(measured, error, dt)
        axis.update(measured, error)
    track.aspect += _ASPECT_SHARE * (box.aspect - track.aspect)
    track.seen_s, track.seen, track.shifted = time_s, [*box.corners], [0.0, 0.0]


def _cost(track: _Track, box: _Box, *, gated: bool) -> float:
    """Minus twice the logarithm of the density of this box, were it the track's; beyond the gate, never.

    The density, not the distance alone: a track that has been missed for long is near to everything.

    Args:
        track: whose face it may be.
        box: what was found.
        gated: else the box is not refused for its distance, but at the gate's worst.
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
        if gated and distance > _GATE:  # as nearly all are in a crowd
            return _NEVER
        spread += math.log(variance / (unit * unit))
    return min(distance, _GATE) + spread
