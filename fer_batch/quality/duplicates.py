"""Pictures that are there more than once: copies of the same pixels, and near copies of one photograph.

A near copy was resized, cut, moved, mirrored, brightened or compressed. Near copies are found in three
steps: a descriptor of 64 numbers for each picture (`describe`), the few most similar earlier pictures by
products of descriptors, and a comparison of the pixels of those (`find_near`). What is similar enough is
linked, so that copies of copies are found to be copies (`link_pairs`). All pairs are looked at, so
the second step's time is quadratic: on two cores FER2013's 32 thousand pictures take 20 seconds, 3 of them
for that; half a million would take a quarter of an hour for it, and at most ten minutes for pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from fer_batch.dataset.images import SIDE
from fer_batch.progress import Progress, silent

_RANK = {"train": 0, "val": 1, "test": 2}

# Root mean squares of FER2013's cosine coefficients over its 27,473 different training pictures, in percent
# of a picture's standard deviation; rows are vertical frequencies. Divided by them, what all faces have in
# common weighs no more than what tells them apart. They are constants, not taken from the data set at hand,
# so that two pictures are compared alike whatever else is there.
_SPREAD = np.array(
    [
        [np.inf, 33.5, 36.8, 16.6, 15.4, 10.4, 10.0, 7.5],  # infinite: the mean is left out
        [25.0, 16.3, 19.5, 11.3, 11.2, 8.2, 7.5, 5.8],
        [19.4, 11.3, 13.2, 8.7, 10.7, 7.2, 8.9, 6.0],
        [13.3, 8.1, 9.7, 7.0, 9.2, 6.1, 7.3, 5.0],
        [10.7, 6.9, 8.5, 6.4, 6.6, 5.0, 5.0, 4.2],
        [11.6, 5.7, 8.9, 5.1, 6.2, 4.3, 4.9, 3.6],
        [9.4, 4.6, 7.1, 4.6, 5.5, 3.7, 4.2, 3.2],
        [5.8, 3.9, 5.1, 4.1, 4.4, 3.3, 3.5, 2.9],
    ],
    np.float32,
)
_FREQUENCIES = np.arange(len(_SPREAD))
# The finer a wave, the sooner a move by a pixel or two turns it round.
_REACH = 3.0
_WEIGHTS = (
    np.exp(-np.add.outer(_FREQUENCIES**2, _FREQUENCIES**2) / (2 * _REACH**2)).astype(np.float32) / _SPREAD
)
_COSINES = np.cos(np.outer(_FREQUENCIES, np.pi * (np.arange(SIDE) + 0.5) / SIDE)).astype(np.float32)
_COSINES /= np.linalg.norm(_COSINES, axis=1, keepdims=True)
_SYMMETRIC = _WEIGHTS.size // 2
"""So many numbers of a descriptor are the same for the mirrored picture; the others change their sign."""
_FAINT = 2.0
"""Gray levels by which coarse shapes, and the middle of a picture, must deviate to be comparable."""

_CANDIDATE = 0.79
"""Product of descriptors from which pixels are compared. At 0.77 a quarter more pairs of FER2013 have to
be, for 2 % more near copies, which are cut more differently."""
_MOST_CANDIDATES = 8

_FINEST, _COARSEST = 1.2, 3.0
"""Details that are compared: Gaussians, in pixels. Coarser ones are light, and alike in all faces."""
_NOISE = 2.0
"""Deviation of details, in gray levels, up to which they may be noise, and are enlarged less than others."""
_FLAT = 0.05
"""The same after that, where all details are about 1: what is flat must not be similar by rounding errors."""
_CENTRE = 36
"""Pixels, of 48, of the square in the middle of one picture that is searched for in the other."""
_MARGIN = (SIDE - _CENTRE) // 2
_PAIRS_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class NearCopies:
    """For each of N pictures the earlier one that it is most similar to, directly or through others.

    Whether it is a near copy is a matter of a threshold on `similarity`: at every threshold these links
    join the same pictures as all pairs that were compared, exact copies aside.

    Attributes:
        similarity: float32 [N], 0–1; 0 where no earlier picture comes close, and for extra exact copies,
            in whose stead the first of them was compared. Through others it is the least similarity on the
            way.
        twin: int64 [N], where that picture is, through others the first one of all that are as similar; -1
            where similarity is 0.
    """

    similarity: NDArray[np.float32]
    twin: NDArray[np.int64]


def exact_groups(sha256: Iterable[str]) -> NDArray[np.int64]:
    """Number the groups of pictures that have the same fingerprint.

    Args:
        sha256: a fingerprint for each picture, "" for one that has none.

    Returns:
        int64 [N]: the number of the picture's group, in the order of their first members; -1 where it has
        no copy.
    """
    first: dict[str, int] = {}
    leaders = [first.setdefault(text, place) if text else place for place, text in enumerate(sha256)]
    return _numbered(np.array(leaders, np.int64))


def near_groups(exact: NDArray[np.int64], near: NearCopies, threshold: float) -> NDArray[np.int64]:
    """Number the groups of pictures that are exact or near copies, directly or through others.

    Args:
        exact: int64 [N], see `exact_groups`.
        near: see `find_near`.
        threshold: the similarity from which a picture is a near copy, over 0.

    Returns:
        int64 [N], as `exact_groups`.
    """
    similarity, leader = _linked(exact, near)
    leader = np.where(similarity >= threshold, leader, np.arange(len(leader)))
    while not np.array_equal(leader, further := leader[leader]):
        leader = further
    return _numbered(leader)


def first_of_group(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the first of each picture's group is, its own place where it is in none: int64 [N].

    Args:
        groups: int64 [N], -1 for none.
    """
    own = np.arange(len(groups))
    first = np.full(groups.max(initial=0) + 1, len(groups))
    np.minimum.at(first, groups[groups >= 0], own[groups >= 0])
    return np.where(groups >= 0, first[groups], own)


def is_extra_copy(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pictures are not the first of their group: bool [N], of groups as int64 [N], -1 for none."""
    return first_of_group(groups) < np.arange(len(groups))


def is_spare_copy(
    groups: NDArray[np.int64], copies: NDArray[np.bool_], dropped: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which copies can be dropped, because another picture of their group stays.

    The one that stays is the first that is no copy, or, where all of those are dropped, the first copy.

    Args:
        groups: int64 [N], -1 for none.
        copies: bool [N], pictures that are to be dropped where they can.
        dropped: bool [N], pictures that are dropped for other reasons, copies or not.

    Returns:
        bool [N].
    """
    own = np.arange(len(groups))
    left = (groups >= 0) & ~dropped
    rank = own + len(own) * copies  # copies after all others
    first = np.full(groups.max(initial=0) + 1, 2 * len(own))
    np.minimum.at(first, groups[left], rank[left])
    return left & copies & (rank > first[groups])


def has_contradiction(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which labelled pictures are in a group with more than one label.

    Args:
        groups: int64 [N], -1 for none.
        labels: int64 [N], -1 where there is none, which contradicts nothing.

    Returns:
        bool [N].
    """
    counted = (groups >= 0) & (labels >= 0)
    different = np.unique(np.stack([groups[counted], labels[counted]]), axis=1)[0]
    several = np.bincount(different, minlength=groups.max(initial=0) + 1) > 1
    return counted & several[groups]


def has_twin_in_earlier_split(groups: NDArray[np.int64], splits: Iterable[str]) -> NDArray[np.bool_]:
    """Which pictures have one of their group in an earlier split; train is before val, val before test.

    Args:
        groups: int64 [N], -1 for none.
        splits: `train`, `val` or `test`, for each picture.

    Returns:
        bool [N].
    """
    ranks, grouped = _ranks(splits), groups >= 0
    earliest = np.full(groups.max(initial=0) + 1, len(_RANK))
    np.minimum.at(earliest, groups[grouped], ranks[grouped])
    return grouped & (earliest[groups] < ranks)


def leak_similarity(exact: NDArray[np.int64], near: NearCopies, splits: Iterable[str]) -> NDArray[np.float32]:
    """How similar pictures are to one of an earlier split, directly or through others.

    Those at a threshold or over it are what `has_twin_in_earlier_split` finds in the `near_groups` of that
    threshold.

    Args:
        exact: int64 [N], see `exact_groups`.
        near: see `find_near`.
        splits: `train`, `val` or `test`, for each picture, in that order.

    Returns:
        float32 [N], 0–1: the least similarity on the way from a picture to its twin, to that one's twin,
        and so on to an earlier split; 1 for an exact copy, 0 where there is no such way.
    """
    ranks = _ranks(splits)
    similarity, twin = _linked(exact, near)
    leaks = np.zeros(len(twin), np.float32)
    for place in np.flatnonzero(similarity):  # in order, so that what is known of the earlier twin is final
        to_twin, further = similarity[place], leaks[twin[place]]
        leaks[place] = to_twin if ranks[twin[place]] < ranks[place] else min(to_twin, further)
    return leaks


def leaking_picture(twins: NDArray[np.int64], splits: Iterable[str]) -> NDArray[np.int64]:
    """Where the picture of an earlier split is to which `leak_similarity` is the similarity.

    Args:
        twins: int64 [N], the place of each picture's earlier twin, exact or near; -1 where it has none.
        splits: as for `leak_similarity`.

    Returns:
        int64 [N]; -1 where there is none.
    """
    ranks = _ranks(splits)
    leaking = np.full(len(twins), -1)
    for place in np.flatnonzero(twins >= 0):  # in order, as there
        twin = twins[place]
        leaking[place] = twin if ranks[twin] < ranks[place] else leaking[twin]
    return leaking


def describe(pictures: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Describe pictures so that the product of two descriptors tells, coarsely, how similar they are.

    A descriptor is the 8x8 lowest coefficients of the cosine transform, the mean left out, each divided by
    how much it varies among faces, all scaled to length 1. Gain and offset of the brightness change
    nothing, and a move by a pixel or two little. The second half are the odd horizontal frequencies, which
    have the other sign in the mirrored picture; the first half is the same in it.

    Args:
        pictures: uint8 [N, 48, 48], gray.

    Returns:
        float16 [N, 64]; all 0 for pictures that are blank but for noise, all over or in the middle: they
        are not comparable.
    """
    waves = _COSINES @ pictures.astype(np.float32) @ _COSINES.T
    waves[:, 0, 0] = 0
    coarse = np.linalg.norm(waves, axis=(1, 2)) / SIDE  # deviation of coarse shapes, by Parseval's theorem
    middle = pictures[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN].std((1, 2))
    weighted = waves * _WEIGHTS
    halves = np.stack([weighted[:, :, 0::2], weighted[:, :, 1::2]], axis=1).reshape(-1, _WEIGHTS.size)
    lengths = np.linalg.norm(halves, axis=1)
    lengths[np.minimum(coarse, middle) < _FAINT] = np.inf
    return (halves / lengths[:, None]).astype(np.float16)


def find_near(
    descriptors: NDArray[np.float16],
    pixels: NDArray[np.uint8],
    exact: NDArray[np.int64],
    *,
    block: int = 1024,
    progress: Progress = silent,
) -> NearCopies:
    """Find for each picture the earlier one that it is most similar to, directly or through others.

    Candidates are the at most eight earlier pictures with the highest products of descriptors. The
    similarity to each is the best normalised cross-correlation (Lewis 1995) of fine details, over all
    places of the middle of the earlier picture, shrunk or enlarged by up to 11 %, in the later one, and,
    where that is closer, in its mirror image.

    Memory: beside the descriptors, up to 350 bytes a picture where most are near copies, and a few times
    `block`² floats.

    Args:
        descriptors: float16 [N, 64], see `describe`.
        pixels: uint8 [N, 48, 48], gray; may be mapped to a file.
        exact: int64 [N], see `exact_groups`; extra copies are not compared.
        block: how many pictures are compared with as many others at once.
        progress: told after every block.

    Returns:
        The similarities and twins.
    """
    pairs = _find_candidates(descriptors, exact, block, progress)
    similarity = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        some = pairs.take(slice(start, start + _PAIRS_AT_ONCE))
        earlier = _details(pixels[some.earlier])
        earlier[some.mirrored] = earlier[some.mirrored, :, ::-1]
        similarity[start : start + len(some)] = _correlate(earlier, _details(pixels[some.later]))
        progress("comparing details", start + len(some), len(pairs))
    return link_pairs(pairs.later, pairs.earlier, similarity, len(exact))


def link_pairs(
    later: NDArray[np.int64], earlier: NDArray[np.int64], similarity: NDArray[np.float32], count: int
) -> NearCopies:
    """Link pictures by single linkage, as Kruskal's algorithm (1956) finds a spanning forest.

    The best pair of each picture alone would not do: of three copies a later one may be most similar to
    another later one, and what either has in common with the first be lost.

    Args:
        later: int64 [P], where one picture of each pair is.
        earlier: int64 [P], where the other is, before it.
        similarity: float32 [P], 0–1.
        count: how many pictures there are, N.

    Returns:
        N similarities and twins.
    """
    result = NearCopies(np.zeros(count, np.float32), np.full(count, -1))
    towards_first = list(range(count))  # of the pictures linked so far; a list is read faster than an array

    def first_of(place: int) -> int:
        while towards_first[place] != place:
            towards_first[place] = place = towards_first[towards_first[place]]
        return place

    # The most similar first, and of equals the earliest.
    order = np.lexsort((earlier, later, -similarity))
    for pair in order[: np.count_nonzero(similarity)]:
        one, other = int(later[pair]), int(earlier[pair])
        first, joining = sorted((first_of(one), first_of(other)))
        if first != joining:
            towards_first[joining] = first
            result.similarity[joining] = similarity[pair]
            result.twin[joining] = other if joining == one else first
    return result


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pictures to compare; every field has one entry a pair."""

    later: NDArray[np.int64]
    earlier: NDArray[np.int64]
    score: NDArray[np.float32]
    """Product of descriptors, that of the mirrored picture where it is higher."""
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.later)

    def take(self, which: slice | NDArray[np.int64]) -> _Pairs:
        return _Pairs(self.later[which], self.earlier[which], self.score[which], self.mirrored[which])

    @staticmethod
    def join(parts: Sequence[_Pairs]) -> _Pairs:
        return _Pairs(
            np.concatenate([part.later for part in parts]),
            np.concatenate([part.earlier for part in parts]),
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.mirrored for part in parts]),
        )


_NO_PAIRS = _Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, bool))


def _find_candidates(
    descriptors: NDArray[np.float16], exact: NDArray[np.int64], block: int, progress: Progress
) -> _Pairs:
    """The pairs whose pixels are worth comparing, by the later picture."""
    places = np.flatnonzero(descriptors.any(1) & ~is_extra_copy(exact))
    found = [_NO_PAIRS]
    blocks = -(-len(places) // block)
    for row in range(blocks):
        later = places[row * block : (row + 1) * block]
        best = _NO_PAIRS
        least = np.full(len(later), _CANDIDATE, np.float32)
        for column in range(row + 1):
            earlier = places[column * block : (column + 1) * block]
            more = _score(descriptors, later, earlier, least)
            if len(more):
                best = _best_of_each(_Pairs.join([best, more]))
                least = _least_that_counts(best, later)
        found.append(best)
        progress("comparing pictures", (row + 1) * (row + 2) // 2, blocks * (blocks + 1) // 2)
    return _Pairs.join(found)


def _score(
    descriptors: NDArray[np.float16],
    later: NDArray[np.int64],
    earlier: NDArray[np.int64],
    least: NDArray[np.float32],
) -> _Pairs:
    """All pairs of two blocks that score over `least`, float32 [len(later)]."""
    rows, columns = descriptors[later].astype(np.float32), descriptors[earlier].astype(np.float32)
    symmetric = rows[:, :_SYMMETRIC] @ columns[:, :_SYMMETRIC].T
    antisymmetric = rows[:, _SYMMETRIC:] @ columns[:, _SYMMETRIC:].T
    score = symmetric + np.abs(antisymmetric)  # the difference is the product with the mirrored picture
    row, column = np.nonzero(score > least[:, None])
    row, column = row[ordered := earlier[column] < later[row]], column[ordered]
    return _Pairs(later[row], earlier[column], score[row, column], antisymmetric[row, column] < 0)


def _best_of_each(pairs: _Pairs) -> _Pairs:
    """The candidates with the highest scores of each later picture, by that picture."""
    pairs = pairs.take(np.lexsort((pairs.earlier, -pairs.score, pairs.later)))
    begins = np.searchsorted(pairs.later, pairs.later)
    return pairs.take(np.flatnonzero(np.arange(len(pairs)) - begins < _MOST_CANDIDATES))


def _least_that_counts(best: _Pairs, later: NDArray[np.int64]) -> NDArray[np.float32]:
    """What another candidate must score over, float32 [len(later)], given the best so far."""
    ends = np.searchsorted(best.later, later, side="right")
    full = ends - np.searchsorted(best.later, later) == _MOST_CANDIDATES
    least = np.full(len(later), _CANDIDATE, np.float32)
    least[full] = best.score[ends[full] - 1]
    return least


def _blurring(deviation: float) -> NDArray[np.float32]:
    """The matrix that blurs a column of pixels."""
    return np.asarray(gaussian_filter1d(np.eye(SIDE), deviation, axis=0, mode="nearest"), np.float32)


def _resizing(side: int) -> NDArray[np.float32]:
    """The matrix that makes a column of `_CENTRE` pixels one of `side`, bilinearly."""
    places, pixels = (np.arange(side) + 0.5) * _CENTRE / side - 0.5, np.arange(_CENTRE)
    columns = [np.interp(places, pixels, pixels == pixel) for pixel in pixels]
    return np.stack(columns, axis=1).astype(np.float32)


def _adding(side: int) -> NDArray[np.float32]:
    """The matrix that sums every `side` neighbours of a column of pixels."""
    distance = np.arange(SIDE) - np.arange(SIDE - side + 1)[:, None]
    return ((distance >= 0) & (distance < side)).astype(np.float32)


_FINE, _COARSE = _blurring(_FINEST), _blurring(_COARSEST)
_RESIZING = {side: _resizing(side) for side in range(_CENTRE - 4, _CENTRE + 5, 2)}
_ADDING = {side: _adding(side) for side in _RESIZING}


def _details(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Differences of Gaussians of pictures [P, 48, 48], divided by their deviation nearby."""
    values = pictures.astype(np.float32)
    details = _FINE @ values @ _FINE.T - _COARSE @ values @ _COARSE.T
    # Or a bar at the edge, which many pictures may share, would outweigh the face.
    nearby = np.sqrt(_COARSE @ details**2 @ _COARSE.T + _NOISE**2)
    return np.divide(details, nearby, dtype=np.float32)


def _correlate(earlier: NDArray[np.float32], later: NDArray[np.float32]) -> NDArray[np.float32]:
    """How well the middle of one picture is found in the other: float32 [P], 0–1, of details [P, 48, 48]."""
    middle = earlier[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    spectrum, squares = _spectrum(later), later**2
    best = np.zeros(len(later), np.float32)
    for side, resizing in _RESIZING.items():
        sought = resizing @ middle @ resizing.T
        sought -= sought.mean((1, 2), keepdims=True)
        everywhere = np.fft.irfft2(spectrum * _spectrum(sought).conj(), (SIDE, SIDE))
        products = everywhere[:, : SIDE - side + 1, : SIDE - side + 1]  # where it does not stick out
        area, adding = side**2, _ADDING[side]
        noise = area * _FLAT**2
        energy = adding @ squares @ adding.T - (adding @ later @ adding.T) ** 2 / area
        own = (sought**2).sum((1, 2))[:, None, None]
        best = np.maximum(best, (products / np.sqrt((energy + noise) * (own + noise))).max((1, 2)))
    return np.minimum(best, 1).astype(np.float32)


def _spectrum(values: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Fourier transforms, [P, 48, 25], of values [P, S, S] with zeros below and to the right."""
    return np.asarray(fft.rfft2(values, (SIDE, SIDE)))  # NumPy's takes twice the time


def _ranks(splits: Iterable[str]) -> NDArray[np.int64]:
    return np.array([_RANK[split] for split in splits], np.int64)


def _numbered(leaders: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups, numbered in order of their leaders, of the leader of each picture; -1 for groups of one."""
    several = np.bincount(leaders, minlength=len(leaders)) > 1
    return np.where(several[leaders], (several.cumsum() - 1)[leaders], -1)


def _linked(exact: NDArray[np.int64], near: NearCopies) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Similarity and place of each picture's twin, exact or near; 0 and its own place where there is none."""
    similarity = np.where(is_extra_copy(exact), np.float32(1), near.similarity)
    return similarity, np.where(near.twin < 0, first_of_group(exact), near.twin)
