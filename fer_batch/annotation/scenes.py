"""Where one scene of a video ends and another begins, and how the camera moved within one.

Frames are compared as thumbnails. What is left of a thumbnail without its own blur does not change with
exposure; global motion is found by phase correlation (Kuglin & Hines 1975) and taken back; what then still
does not correlate is another scene.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from statistics import median
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.picture import Picture

Floats = NDArray[np.float32]

_COLUMNS, _ROWS = 64, 36
"""Width and height of thumbnails in pixels, whatever the shape of the frame."""
_BLUR = 3.0
"""Standard deviation, in pixels of the thumbnail, of the blur that is taken away: light falls on more."""
_NEARBY = (15, 15)
"""Width and height, in pixels of the thumbnail, over which the strength of detail is taken."""
_WEAK = 4.0
"""Strength of detail, 0–255, that counts half: below lie noise and compression."""
_LARGEST_SHIFT = 0.5
"""Share of the frame's sides by which content may move from frame to frame and be recognised."""
_RESTS = 0.95
"""Correlation from which a camera rests: a tenth of a pixel of the thumbnail mostly leaves less."""
_NEAR, _NEAREST = 0.6, 0.5
"""Correlation from which content may have moved by so little that its slopes alone tell how far, and more
exactly; and by how many pixels of the thumbnail they may say that it moved."""
_NO_SHIFT = 0.05
"""Pixels of the thumbnail below which a shift is noise."""
_TILE = 6, 8
"""Height and width, in pixels of the thumbnail, of the tiles that have a say in whether the camera moved."""
_NOISE = 0.3
"""Standard deviation of a pixel of a thumbnail, 0–255, that nothing is concluded from."""
_SHIFTED = 0.05
"""How much better a shift must explain the tiles: mean fall of the logarithm of what is left unexplained. A
camera that moves before eight people who walk makes it fall by 0.5 in the median; somebody who moves in front
of a resting one lets it rise, by 0.09 at least in 702 pairs of frames."""
_SAME, _SAME_SHARE = 0.4, 0.4
"""Least correlation of two frames of one scene, and the same as a share of what is usual around them: where
much moves near the camera, frames of one scene have less in common."""
_DIFFERENT = 0.2
"""Correlation below which frames are of different scenes, whatever is usual."""
_USUAL = 5
"""Frames before that tell what is usual."""
_FLASH_S = 0.3
"""Longest time, in seconds, after which the scene before is taken up again as if nothing had been."""
_EARLIER = 3
"""How many frames are kept that tell what the scene was before a flash."""
_TICK_S, _LONGEST_TICK_S = 0.1, 0.25
"""Least and greatest time, in seconds, between the frames in which dissolves are sought."""
_DISSOLVES = 3, 4, 5, 6, 8, 10
"""Over how many of those times."""
_GONE = 0.3
"""Correlation with the scene before, at any zoom, below which another has taken its place in a dissolve."""
_BLOCK_ROWS, _BLOCK_COLUMNS, _BLOCKS_AT = slice(6, 30), 20, (2, 22, 42)
"""Rows of a thumbnail's blocks, their width, and where they begin."""
_FOUND_AGAIN = 0.45
"""Least correlation of a block with what it is in the next frame: of three blocks, the second best is at most
0.40 at 199 cuts, and at least 0.48 where a head crosses close to a camera that is shaken (four frames)."""
_FAST_ZOOMS = 0.87, 1.15
"""By how much a camera may zoom from frame to frame."""
_ZOOMS = 1.0, 1.07, 0.93, 1.15, 0.87, 1.28, 0.78, 1.42, 0.7
"""By how much a camera may have zoomed meanwhile, likeliest first."""
_BLENDED = 0.6
"""Least share of a frame in the midst of a dissolve that the scenes before and after it explain."""
_ALIKE = 0.4
"""Least sum of the squares of its correlations with the two: nearly what they explain without any motion."""
_BOTH = 0.08
"""Least share that each of the two scenes has in one such frame at least."""
LOOK_AHEAD = 2
"""Frames after one that tell whether it is a flash: a camera's falls on one or two."""
_FLAT = 1.0
"""Standard deviation of the detail of a thumbnail, 0–255, below which there is nothing to compare: black and
white frames, the ends of a fade, a covered lens."""


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """What frames are compared by."""

    brightness: NDArray[np.uint8]
    """uint8 [36, 64]."""
    size: tuple[int, int]
    """Height and width of the frame in pixels."""

    @cached_property
    def detail(self) -> Floats:
        """float32 [36, 64]: the brightness without its blur."""
        brightness = self.brightness.astype(np.float32)
        return brightness - cv2.GaussianBlur(brightness, (0, 0), _BLUR)

    @cached_property
    def slopes(self) -> Floats:
        """float32 [3, 34 * 62]: the detail within its outermost pixels, and its slopes right and down.

        To first order, what moved by less than a pixel is the detail and some of its slopes.
        """
        detail = self.detail
        right, down = detail[1:-1, 2:] - detail[1:-1, :-2], detail[2:, 1:-1] - detail[:-2, 1:-1]
        parts = detail[1:-1, 1:-1].ravel(), right.ravel() / 2, down.ravel() / 2
        return np.stack(parts, dtype=np.float32)

    @cached_property
    def evened(self) -> Floats:
        """float32 [36, 64]: the detail over its strength nearby: a head says no more than its area."""
        strength = cv2.sqrt(cv2.boxFilter(self.detail * self.detail, -1, _NEARBY))
        return cast(Floats, self.detail / (strength + _WEAK))

    @cached_property
    def energy(self) -> float:
        """The sum of the detail's squares."""
        return _energy(self.detail)

    @cached_property
    def windowed(self) -> Floats:
        """float32 [36, 64]: the detail, less towards the edges, for `_phase_shift`."""
        return self.detail * _window()

    @cached_property
    def is_flat(self) -> bool:
        """Whether there is nothing to compare."""
        return self.energy < self.detail.size * _FLAT**2

    def correlation(self, other: Thumbnail) -> float:
        """Of the details as they are, -1 to 1; 0 where one has none."""
        product = self.energy * other.energy
        return float(np.vdot(self.detail, other.detail)) / product**0.5 if product else 0.0


@dataclass(frozen=True)
class Comparison:
    """What two frames have in common."""

    correlation: float
    """Of their details where they overlap once the shift is taken back, -1 to 1; 0 where one is flat."""
    shift: tuple[float, float]
    """How far the content moved, in pixels of the frame to the right and down; (0, 0) where that is not
    known."""


def thumbnail(picture: Picture) -> Thumbnail:
    """A picture's thumbnail."""
    # Every pixel of a large picture would be averaged at the cost of decoding it.
    height, width = picture.size
    step = max(1, min(height // (2 * _ROWS), width // (2 * _COLUMNS)))
    seen = picture.gray(slice(None, None, step), slice(None, None, step))
    small = cv2.resize(seen, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA)
    return Thumbnail(cast(NDArray[np.uint8], small), picture.size)


def compare(before: Thumbnail, after: Thumbnail) -> Comparison:
    """Align two frames of one size, and tell how alike they are and how far the content moved."""
    if before.is_flat or after.is_flat:
        return Comparison(0.0, (0.0, 0.0))
    resting = before.correlation(after)
    if resting >= _RESTS:
        return Comparison(resting, (0.0, 0.0))
    right, down = _way(before, after, resting)
    if max(abs(right), abs(down)) < _NO_SHIFT:
        return Comparison(resting, (0.0, 0.0))
    moved, overlap = _moved(before.detail, right, down)
    aligned = _correlation(moved[overlap], after.detail[overlap])
    if aligned <= resting:
        return Comparison(resting, (0.0, 0.0))
    if _gain(before.detail, moved, after.detail) < _SHIFTED:
        return Comparison(aligned, (0.0, 0.0))
    height, width = after.size
    return Comparison(aligned, (right * width / _COLUMNS, down * height / _ROWS))


@dataclass(frozen=True, eq=False)
class SceneState:
    """What the frames after one are compared with."""

    last: Thumbnail
    """Of the last frame."""
    known: Thumbnail
    """Of the last frame by which the scene is known: flashes and flat frames tell nothing."""
    known_s: float
    """When that frame is shown, in seconds."""
    usual: tuple[float, ...] = ()
    """Correlations of the scene's latest frames, each with the one before it."""
    ticks: tuple[tuple[float, Thumbnail], ...] = ()
    """Some of its latest frames, evenly spread, in which dissolves are sought, and when each is shown."""
    earlier: tuple[tuple[float, Thumbnail], ...] = ()
    """The frames before by which the scene is known, and when each is shown: the latest may be of a flash
    that leaves just enough to recognise."""

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> SceneState:
        """The state that `as_json` was taken of."""

        def shown(brightness: str, size: list[int]) -> Thumbnail:
            pixels = np.frombuffer(b64decode(brightness), np.uint8).reshape(_ROWS, _COLUMNS)
            return Thumbnail(pixels, (size[0], size[1]))

        def timed(row: list[tuple[float, Any]]) -> tuple[tuple[float, Thumbnail], ...]:
            return tuple((time_s, shown(*seen)) for time_s, seen in row)

        last, known = shown(*state["last"]), shown(*state["known"])
        ticks, earlier = timed(state["ticks"]), timed(state["earlier"])
        return cls(last, known, state["known_s"], tuple(state["usual"]), ticks, earlier)

    def as_json(self) -> dict[str, Any]:
        """The state as JSON can hold it without loss."""

        def listed(seen: Thumbnail) -> list[Any]:
            return [b64encode(seen.brightness.tobytes()).decode(), list(seen.size)]

        return {
            "last": listed(self.last),
            "known": listed(self.known),
            "known_s": self.known_s,
            "usual": list(self.usual),
            "ticks": [(time_s, listed(seen)) for time_s, seen in self.ticks],
            "earlier": [(time_s, listed(seen)) for time_s, seen in self.earlier],
        }


@dataclass(frozen=True, eq=False)
class SceneStep:
    """What is known of a frame among its neighbours."""

    cut: bool
    """It begins a new scene."""
    shift: tuple[float, float]
    """As of `Comparison`, since the frame before; (0, 0) at a cut."""
    state: SceneState
    """What the next frame is compared with."""


def next_frame(
    state: SceneState | None,
    seen: Thumbnail,
    time_s: float,
    following: Sequence[tuple[Thumbnail, float]] = (),
) -> SceneStep:
    """Whether a frame begins a new scene, and how far the camera moved.

    Args:
        state: after the frame before; None for the first frame.
        seen: the frame.
        time_s: when it is shown, in seconds.
        following: up to `LOOK_AHEAD` frames after it, and when they are shown. Without them, a flash that
            leaves nothing to recognise and is not all white is a cut.
    """
    if state is None or state.last.size != seen.size:  # no box outlives another size
        return SceneStep(state is not None, (0.0, 0.0), SceneState(seen, seen, time_s))
    if seen.is_flat:
        return SceneStep(False, (0.0, 0.0), replace(state, last=seen))
    step = compare(state.last, seen)
    since = step if state.known is state.last else compare(state.known, seen)
    if state.known.is_flat or since.correlation >= _least(state, seen, since.correlation, following):
        usual = (*state.usual, since.correlation)[-_USUAL:]
        shift = step.shift if step.correlation >= _SAME else (0.0, 0.0)
        ticks = _ticks(state, seen, time_s)
        if ticks is not state.ticks and _is_dissolved([tick for _, tick in ticks]):
            return SceneStep(True, (0.0, 0.0), SceneState(seen, seen, time_s))
        return SceneStep(False, shift, SceneState(seen, seen, time_s, usual, ticks, _latest(state)))
    known = state.known
    same = _evenly(known, seen) >= _SAME or _is_found_again(known, seen) or _is_zoomed(known, seen)
    if same or _is_as_before(state, seen, time_s, following):
        state = SceneState(seen, seen, time_s, state.usual, earlier=_latest(state))
    elif _comes_back(state, following):
        state = replace(state, last=seen)
    else:
        return SceneStep(True, (0.0, 0.0), SceneState(seen, seen, time_s))
    return SceneStep(False, (0.0, 0.0), state)


def _least(
    state: SceneState, seen: Thumbnail, correlation: float, following: Sequence[tuple[Thumbnail, float]]
) -> float:
    """The least correlation with which a frame is one of the scene."""
    if correlation >= _SAME:
        return _SAME
    row = [seen, *(after for after, _ in following)]
    around = [compare(*pair).correlation for pair in pairwise(row) if pair[0].size == pair[1].size]
    return max(_DIFFERENT, min(_SAME, _SAME_SHARE * median((*state.usual, *around) or (1.0,))))


def _evenly(before: Thumbnail, after: Thumbnail) -> float:
    """The correlation of two frames in which every place has the same say."""
    right, down = _phase_shift(before.evened * _window(), after.evened * _window())
    moved, overlap = _moved(before.evened, right, down)
    return _correlation(moved[overlap], after.evened[overlap])


def _is_found_again(before: Thumbnail, after: Thumbnail) -> bool:
    """Whether most of a frame's blocks are in the next one, each wherever it is now.

    Somebody close to a camera that moves goes another way than the rest.
    """
    found = 0
    for left in _BLOCKS_AT:
        block = before.detail[_BLOCK_ROWS, left : left + _BLOCK_COLUMNS]
        if _energy(block) >= block.size * _FLAT**2:
            found += cv2.matchTemplate(after.detail, block, cv2.TM_CCOEFF_NORMED).max() >= _FOUND_AGAIN
    return found > len(_BLOCKS_AT) // 2


def _is_zoomed(before: Thumbnail, after: Thumbnail) -> bool:
    """Whether a frame is the one before enlarged or shrunk, as a camera that zooms fast makes it."""
    return any(compare(_zoomed(before, zoom), after).correlation >= _SAME for zoom in _FAST_ZOOMS)


def _latest(state: SceneState) -> tuple[tuple[float, Thumbnail], ...]:
    """The frames by which the scene is known, as far back as a flash may last."""
    if state.known.is_flat:
        return state.earlier
    return (*state.earlier, (state.known_s, state.known))[-_EARLIER:]


def _is_as_before(
    state: SceneState, seen: Thumbnail, time_s: float, following: Sequence[tuple[Thumbnail, float]]
) -> bool:
    """Whether a frame is of the scene as it was before the last frame by which that is known."""
    for shown_s, before in reversed(state.earlier):
        if time_s - shown_s > _FLASH_S:
            return False
        correlation = compare(before, seen).correlation
        if correlation >= _least(state, seen, correlation, following):
            return True
    return False


def _comes_back(state: SceneState, following: Sequence[tuple[Thumbnail, float]]) -> bool:
    """Whether one of the next frames is of the scene as it was a moment ago."""
    return any(
        time_s - state.known_s <= _FLASH_S
        and after.size == state.known.size
        and compare(state.known, after).correlation >= _SAME
        for after, time_s in following
    )


def _ticks(state: SceneState, seen: Thumbnail, time_s: float) -> tuple[tuple[float, Thumbnail], ...]:
    """The frames in which dissolves are sought, with this one where it is time for one."""
    if state.ticks and 0 <= time_s - state.ticks[-1][0] < _TICK_S:
        return state.ticks
    if state.ticks and not 0 <= time_s - state.ticks[-1][0] <= _LONGEST_TICK_S:
        return ((time_s, seen),)
    return (*state.ticks, (time_s, seen))[-_DISSOLVES[-1] - 1 :]


def _is_dissolved(row: Sequence[Thumbnail]) -> bool:
    """Whether one scene has dissolved into another over the time of some of the latest frames."""
    return any(
        _dissolves(*(row[-1 - count * step // 3] for step in (3, 2, 1, 0)))
        for count in _DISSOLVES
        if len(row) > count
    )


def _dissolves(first: Thumbnail, second: Thumbnail, third: Thumbnail, last: Thumbnail) -> bool:
    """Whether the first of four frames, about evenly spread, dissolves into the last.

    In a dissolve every frame is a blend of the two. Where something comes between, there is the one in some
    places and the other in the rest, and no blend of the whole frames explains that.
    """
    if first.correlation(last) >= _GONE:
        return False
    middle = second, third
    like_first, like_last = ([seen.correlation(end) for seen in middle] for end in (first, last))
    if like_first[0] <= like_first[1] or like_last[0] >= like_last[1]:
        return False
    if any(old**2 + new**2 < _ALIKE for old, new in zip(like_first, like_last, strict=True)):
        return False
    parts = np.concatenate([first.slopes, last.slopes])
    products = cv2.mulTransposed(parts, aTa=False)  # NumPy would wake all cores for it
    products[np.diag_indices_from(products)] += parts.shape[1] * _NOISE**2  # stripes have no slope along
    in_common = parts @ np.stack([seen.slopes[0] for seen in middle], 1)
    shares = np.linalg.solve(products, in_common)
    explained = (shares * in_common).sum(0)
    if any(share < _BLENDED * _energy(seen.slopes[0]) for share, seen in zip(explained, middle, strict=True)):
        return False
    (old, old_later), (new, new_later) = shares[0], shares[3]
    if max(min(old, new), min(old_later, new_later)) < _BOTH:
        return False
    return all(compare(_zoomed(first, zoom), last).correlation < _GONE for zoom in _ZOOMS)


def _zoomed(seen: Thumbnail, zoom: float) -> Thumbnail:
    right, down = (1 - zoom) * (_COLUMNS - 1) / 2, (1 - zoom) * (_ROWS - 1) / 2
    matrix = np.array([[zoom, 0, right], [0, zoom, down]], np.float32)
    brightness = cv2.warpAffine(seen.brightness, matrix, (_COLUMNS, _ROWS), borderMode=cv2.BORDER_REPLICATE)
    return Thumbnail(cast(NDArray[np.uint8], brightness), seen.size)


def _energy(values: Floats) -> float:
    """The sum of the squares."""
    return float(np.vdot(values, values))


def _correlation(a: Floats, b: Floats) -> float:
    """Of two details of one shape; their means are next to nothing already."""
    product = _energy(a) * _energy(b)
    return float(np.vdot(a, b)) / product**0.5 if product else 0.0


@lru_cache(maxsize=1)
def _window() -> Floats:
    """float32 [36, 64]: without it, edges of the picture would be taken for content that rests."""
    return cast(Floats, cv2.createHanningWindow((_COLUMNS, _ROWS), cv2.CV_32F))


def _phase_shift(before: Floats, after: Floats) -> tuple[float, float]:
    """How far content, fading towards the edges, moved to the right and down, in pixels of the thumbnail.

    (0, 0) where that is farther than content is recognised, or not known: OpenCV finds no place for the peak,
    and says NaN, for some pictures of nothing but stripes, such as damaged files give.
    """
    (right, down), _ = cv2.phaseCorrelate(before, after)
    known = abs(right) <= _LARGEST_SHIFT * _COLUMNS and abs(down) <= _LARGEST_SHIFT * _ROWS
    return (right, down) if known else (0.0, 0.0)


def _moved(detail: Floats, right: float, down: float) -> tuple[Floats, tuple[slice, slice]]:
    """The detail moved, and the rows and columns into which something was moved."""
    middle = (_COLUMNS - 1) / 2 - right, (_ROWS - 1) / 2 - down
    moved = cast(Floats, cv2.getRectSubPix(detail, (_COLUMNS, _ROWS), middle))
    return moved, (_inside(down, _ROWS), _inside(right, _COLUMNS))


def _inside(shift: float, side: int) -> slice:
    return slice(max(0, int(np.ceil(shift))), side - max(0, int(np.ceil(-shift))))


def _way(before: Thumbnail, after: Thumbnail, resting: float) -> tuple[float, float]:
    """How far content moved to the right and down, in pixels of the thumbnail.

    Args:
        before: the first frame.
        after: the second.
        resting: their correlation as they are.
    """
    if resting >= _NEAR:
        right, down = _step(before.detail, after.detail)
        if max(abs(right), abs(down)) <= _NEAREST:
            return right, down
    right, down = _phase_shift(before.windowed, after.windowed)
    moved, overlap = _moved(before.detail, right, down)
    more_right, more_down = _step(moved[overlap], after.detail[overlap])
    if max(abs(more_right), abs(more_down)) < 1:
        return right + more_right, down + more_down
    return right, down


def _step(before: Floats, after: Floats) -> tuple[float, float]:
    """How far content moved to the right and down, in pixels of the thumbnail, where that is not far.

    One step of Gauss and Newton (Lucas & Kanade 1981), which halves the error of a phase correlation.
    """
    across = before[1:-1, 2:] - before[1:-1, :-2]  # twice the slope
    along = before[2:, 1:-1] - before[:-2, 1:-1]
    left = before[1:-1, 1:-1] - after[1:-1, 1:-1]
    xx, xy, yy = (float(np.vdot(a, b)) for a, b in ((across, across), (across, along), (along, along)))
    x, y = 2 * float(np.vdot(across, left)), 2 * float(np.vdot(along, left))
    determinant = xx * yy - xy * xy
    if determinant < 0.01 * xx * yy or not determinant:  # stripes: nothing tells how far they moved along
        return 0.0, 0.0
    return (yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant


def _gain(resting: Floats, moved: Floats, after: Floats) -> float:
    """How much better moved content explains a frame than resting content: mean logarithm over tiles.

    Every tile has the same say, however much there is in it: a head is not the camera.
    """
    left = [_tiles(after - content) for content in (resting, moved)]
    return float(np.log(left[0] / left[1]).sum() / left[0].size)


def _tiles(difference: Floats) -> Floats:
    """The mean square of each tile, and of noise."""
    height, width = _TILE
    tiles = _COLUMNS // width, _ROWS // height
    squares = cast(Floats, cv2.resize(difference * difference, tiles, interpolation=cv2.INTER_AREA))
    return squares + np.float32(_NOISE**2)
