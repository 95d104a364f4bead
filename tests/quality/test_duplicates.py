"""Copies are found, exact and near, and what follows from them; different pictures are not copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_batch.dataset.images import decode_gray
from fer_batch.quality.duplicates import (
    NearCopies,
    describe,
    exact_groups,
    find_near,
    first_of_group,
    has_contradiction,
    has_twin_in_earlier_split,
    is_extra_copy,
    is_spare_copy,
    leak_similarity,
    leaking_picture,
    link_pairs,
    near_groups,
)

Pictures = NDArray[np.uint8]
SPLITS = ("train", "val", "test")
CERTAIN = 0.87
TEXTS = st.lists(st.sampled_from(["", *"abcd"]), max_size=12)


def groups_of(texts: Sequence[str]) -> list[list[int]]:
    members = [[place for place, other in enumerate(texts) if other == text] for text in dict.fromkeys(texts)]
    return [places for places in members if len(places) > 1 and texts[places[0]]]


@given(TEXTS)
def test_groups_are_those_with_one_fingerprint(texts: list[str]) -> None:
    groups = exact_groups(texts)
    assert groups.dtype == np.int64
    assert groups.shape == (len(texts),)
    found = [np.flatnonzero(groups == number).tolist() for number in range(groups.max(initial=-1) + 1)]
    assert found == groups_of(texts)
    assert (groups == -1).sum() == len(texts) - sum(map(len, found))
    assert is_extra_copy(groups).sum() == sum(len(places) - 1 for places in found)
    first = first_of_group(groups)
    assert all(texts[place] == texts[leader] for place, leader in enumerate(first))
    assert [place for place, leader in enumerate(first) if place != leader] == sorted(
        place for places in found for place in places[1:]
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 2), st.sampled_from(SPLITS)), max_size=12))
def test_contradictions_and_leaks(rows: list[tuple[str, int, str]]) -> None:
    texts, splits = [row[0] for row in rows], [row[2] for row in rows]
    labels = np.array([row[1] for row in rows], np.int64)
    groups = exact_groups(texts)
    assert has_contradiction(groups, labels).tolist() == [
        label >= 0 and any(text == other and 0 <= known != label for other, known, _ in rows)
        for text, label, _ in rows
    ]
    assert has_twin_in_earlier_split(groups, splits).tolist() == [
        any(text == other and SPLITS.index(earlier) < SPLITS.index(split) for other, _, earlier in rows)
        for text, _, split in rows
    ]


@given(TEXTS, st.integers(0, 1000))
def test_order_changes_nothing(texts: list[str], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(texts))
    labels, groups = np.arange(len(texts)) % 3, exact_groups(texts)
    shuffled = exact_groups([texts[place] for place in order])
    together, again = groups[order][:, None] == groups[order], shuffled[:, None] == shuffled
    assert np.array_equal(together, again)
    assert np.array_equal(
        has_contradiction(groups, labels)[order], has_contradiction(shuffled, labels[order])
    )


@st.composite
def linked(draw: st.DrawFn) -> tuple[NDArray[np.int64], NearCopies, list[str]]:
    """Exact groups, near copies of the first of them, and splits in order, as `find_near` returns them."""
    texts = draw(st.lists(st.sampled_from(["", *"abcdef"]), min_size=1, max_size=12))
    exact = exact_groups(texts)
    near = NearCopies(np.zeros(len(texts), np.float32), np.full(len(texts), -1))
    compared: list[int] = []
    for place, extra in enumerate(is_extra_copy(exact)):
        if extra:
            continue
        if compared and draw(st.booleans()):
            near.twin[place] = draw(st.sampled_from(compared))
            near.similarity[place] = draw(st.sampled_from([0.25, 0.5, 0.75, 1.0]))
        compared.append(place)
    splits = [SPLITS[rank] for rank in sorted(draw(st.integers(0, 2)) for _ in texts)]
    return exact, near, splits


@given(linked(), st.sampled_from([0.25, 0.5, 0.6, 1.0]))
def test_near_groups_hold_copies_of_copies_together(
    case: tuple[NDArray[np.int64], NearCopies, list[str]], threshold: float
) -> None:
    exact, near, splits = case
    groups = near_groups(exact, near, threshold)
    links = near.similarity >= threshold
    together = np.flatnonzero(links)
    assert (groups[together] == groups[near.twin[together]]).all()
    assert (groups[together] >= 0).all()
    extra = np.flatnonzero(is_extra_copy(exact))
    assert (groups[extra] == groups[first_of_group(exact)[extra]]).all()
    # A forest: every extra picture is there for one link, and the first of a group for none.
    assert np.array_equal(is_extra_copy(groups), links | is_extra_copy(exact))
    # Moving the threshold of leaks is the same as grouping again.
    leaks = leak_similarity(exact, near, splits)
    assert np.array_equal(leaks >= threshold, has_twin_in_earlier_split(groups, splits))


@given(
    st.integers(2, 10).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.dictionaries(
                st.tuples(st.integers(1, count - 1), st.integers(0, count - 2)).filter(
                    lambda pair: pair[1] < pair[0]
                ),
                st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
            ),
            st.lists(st.sampled_from(SPLITS), min_size=count, max_size=count),
        )
    )
)
def test_links_join_what_all_pairs_join(
    case: tuple[int, dict[tuple[int, int], float], list[str]],
) -> None:
    count, pairs, names = case
    splits = sorted(names, key=SPLITS.index)
    places = np.array(list(pairs), np.int64).reshape(-1, 2)
    near = link_pairs(places[:, 0], places[:, 1], np.array(list(pairs.values()), np.float32), count)
    exact = np.full(count, -1)
    assert ((near.twin == -1) == (near.similarity == 0)).all()
    assert (near.twin < np.arange(count)).all()
    for threshold in (0.25, 0.5, 0.75, 1.0):
        together = np.eye(count, dtype=bool)
        for (one, other), similarity in pairs.items():
            together[one, other] = together[other, one] = together[one, other] or similarity >= threshold
        for between in range(count):  # Warshall's algorithm
            together |= np.outer(together[:, between], together[between])
        groups = near_groups(exact, near, threshold)
        linked = groups[:, None] == groups
        assert np.array_equal(linked & (groups >= 0) | np.eye(count, dtype=bool), together)
        leaks = leak_similarity(exact, near, splits) >= threshold
        assert leaks.tolist() == [
            any(together[place, :place] & (np.array(splits[:place]) != splits[place]))
            for place in range(count)
        ]


def made(count: int, seed: int = 0) -> Pictures:
    """Different pictures with shades and shapes."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        shades = cv2.GaussianBlur(rng.normal(0, 1, (48, 48)), (0, 0), 4)
        image = 128 + 40 * shades / shades.std()
        for _ in range(5):
            low, high = np.sort(rng.integers(4, 44, (2, 2)), axis=0)
            image[low[0] : high[0] + 2, low[1] : high[1] + 2] += rng.choice((-50, 50))
        pictures.append(clip(cv2.GaussianBlur(image, (0, 0), 0.8)))
    return np.stack(pictures)


def clip(image: NDArray[np.floating]) -> Pictures:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def jpeg(image: Pictures) -> Pictures:
    data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 60))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def resampled(image: Pictures) -> Pictures:
    return np.asarray(
        cv2.resize(cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA), (48, 48)), np.uint8
    )


def cut(image: Pictures) -> Pictures:
    return np.asarray(cv2.resize(image[1:-2, 2:-1], (48, 48)), np.uint8)


CHANGES: dict[str, Callable[[Pictures], Pictures]] = {
    "brighter": lambda image: clip(image * 1.2),
    "darker": lambda image: clip(image * 0.8),
    "lifted": lambda image: clip(image + 30.0),
    "compressed": jpeg,
    "moved": lambda image: np.pad(image, ((2, 0), (0, 2)), mode="edge")[:48, 2:],
    "cut": cut,
    "resampled": resampled,
    "mirrored": lambda image: image[:, ::-1],
    "mirrored and cut": lambda image: cut(image[:, ::-1]),
    "compressed and moved": lambda image: np.pad(jpeg(image), ((0, 2), (0, 0)), mode="edge")[2:],
}


def compare(pictures: Pictures, exact: NDArray[np.int64] | None = None, block: int = 1024) -> NearCopies:
    exact = np.full(len(pictures), -1) if exact is None else exact
    return find_near(describe(pictures), pictures, exact, block=block)


@pytest.mark.parametrize("change", CHANGES)
def test_altered_copies_are_found(change: str) -> None:
    originals = made(60)
    near = compare(np.concatenate([originals, np.stack([CHANGES[change](image) for image in originals])]))
    assert (near.similarity[:60] < CERTAIN).all()
    assert (near.similarity[60:] >= CERTAIN).mean() >= 0.95
    found = np.flatnonzero(near.similarity >= CERTAIN)
    assert (near.twin[found] == found - 60).all()


def test_different_pictures_are_not_copies() -> None:
    near = compare(made(400))
    assert near.similarity.dtype == np.float32
    assert near.twin.dtype == np.int64
    assert near.similarity.max() < CERTAIN
    assert ((near.twin == -1) == (near.similarity == 0)).all()
    assert (near.twin < np.arange(400)).all()


def test_blank_pictures_match_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = [clip(128 + rng.normal(0, deviation, (48, 48))) for deviation in (0.5, 1, 3)]
    blank = [np.full((48, 48), level, np.uint8) for level in (0, 100, 100, 255)]
    framed = [np.pad(image[6:-6, 6:-6], 6, constant_values=40) for image in blank]
    nothing = np.stack(blank + noise + framed)
    assert not describe(nothing).any()
    near = compare(np.concatenate([nothing, made(20), nothing]))
    assert (near.similarity < CERTAIN).all()
    assert not np.delete(near.similarity, np.s_[len(nothing) : len(nothing) + 20]).any()


def test_bars_that_all_pictures_share_make_no_copies() -> None:
    pictures = made(100)
    pictures[:, :8] = pictures[:, -8:] = 0
    assert (compare(pictures).similarity < CERTAIN).all()


def test_exact_copies_are_compared_once() -> None:
    one, other = made(2)
    copy = jpeg(one)
    pictures = np.stack([other, one, one, copy, copy, one])
    exact = exact_groups([picture.tobytes().hex() for picture in pictures])
    near = compare(pictures, exact)
    assert exact.tolist() == [-1, 0, 0, 1, 1, 0]
    assert near.twin.tolist() == [-1, -1, -1, 1, -1, -1]
    assert (near.similarity >= CERTAIN).tolist() == [False, False, False, True, False, False]
    assert near_groups(exact, near, CERTAIN).tolist() == [-1, 0, 0, 0, 0, 0]
    leaks = leak_similarity(exact, near, ["train", "train", "train", "val", "val", "test"])
    assert leaks.tolist() == [0, 0, 0, near.similarity[3], near.similarity[3], 1]


def test_the_most_similar_of_many_is_the_twin() -> None:
    image = made(1)[0].astype(np.float32)
    rng = np.random.default_rng(0)
    frames = [clip(image + rng.normal(0, 8, image.shape)) for _ in range(40)]
    near = compare(np.stack([*frames[:20], jpeg(frames[7]), *frames[20:], frames[3]]))
    assert (near.similarity[1:] >= CERTAIN).all()
    assert near.twin[20] == 7
    assert near.twin[-1] == 3
    assert (near_groups(np.full(42, -1), near, CERTAIN) == 0).all()


def test_a_copy_is_found_through_another_that_is_like_both() -> None:
    from skimage import data

    face = cv2.cvtColor(data.astronaut()[30:230, 130:330], cv2.COLOR_RGB2GRAY)
    cuts = [face, face[32:, 16:-16], face[16:, 8:-8]]
    pictures = np.stack([cv2.resize(cut, (48, 48), interpolation=cv2.INTER_AREA) for cut in cuts])
    first, last = compare(pictures[:2]), compare(pictures)
    assert first.similarity[1] < CERTAIN
    assert (last.similarity[1:] >= CERTAIN).all()
    assert last.twin[1] == 0
    assert (near_groups(np.full(3, -1), last, CERTAIN) == 0).all()
    leaks = leak_similarity(np.full(3, -1), last, ["train", "val", "val"])
    assert (leaks[1:] >= CERTAIN).all()


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_block_size_changes_nothing(block: int) -> None:
    originals = made(40)
    pictures = np.concatenate([originals, np.stack([cut(image) for image in originals])])
    near, again = compare(pictures), compare(pictures, block=block)
    assert np.array_equal(near.twin, again.twin)
    np.testing.assert_allclose(near.similarity, again.similarity, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_no_pairs_at_all(count: int) -> None:
    near = compare(made(2)[:count])
    assert near.similarity.tolist() == [0] * count
    assert near.twin.tolist() == [-1] * count
    exact = np.full(count, -1)
    assert near_groups(exact, near, CERTAIN).tolist() == [-1] * count
    assert leak_similarity(exact, near, ["val"] * count).tolist() == [0] * count


@given(st.lists(st.tuples(st.integers(-1, 3), st.booleans(), st.booleans()), max_size=12))
def test_of_every_group_a_picture_stays_that_nothing_else_drops(rows: list[tuple[int, bool, bool]]) -> None:
    groups = np.array([row[0] for row in rows], np.int64)
    copies, dropped = (np.array([row[place] for row in rows], bool) for place in (1, 2))
    spare = is_spare_copy(groups, copies, dropped)
    assert not (spare & ~copies).any()
    assert not (spare & dropped).any()
    assert not spare[groups < 0].any()
    for number in set(groups[groups >= 0]):
        here = (groups == number) & ~dropped
        stay = np.flatnonzero(here & ~spare)
        originals = np.flatnonzero(here & ~copies)
        assert stay.tolist() == (originals if len(originals) else np.flatnonzero(here)[:1]).tolist()


@given(st.lists(st.tuples(st.integers(0, 11), st.sampled_from(SPLITS)), max_size=12))
def test_the_leaking_picture_is_of_an_earlier_split(rows: list[tuple[int, str]]) -> None:
    splits = sorted((row[1] for row in rows), key=SPLITS.index)
    twins = np.array([min(row[0], place) - 1 for place, row in enumerate(rows)], np.int64)
    twins[twins == np.arange(len(rows))] = -1
    near = NearCopies(np.where(twins < 0, 0, 0.9).astype(np.float32), twins)
    leaking = leaking_picture(twins, splits)
    leaks = leak_similarity(np.full(len(rows), -1), near, splits) > 0
    assert (leaking >= 0).tolist() == leaks.tolist()
    for place in np.flatnonzero(leaks):
        assert SPLITS.index(splits[leaking[place]]) < SPLITS.index(splits[place])


def test_progress_reaches_its_total() -> None:
    told: dict[str, list[tuple[int, int | None]]] = {}
    pictures = np.concatenate([made(30), made(30)])
    find_near(
        describe(pictures),
        pictures,
        np.full(60, -1),
        block=16,
        progress=lambda what, done, total: told.setdefault(what, []).append((done, total)),
    )
    assert set(told) == {"comparing pictures", "comparing details"}
    for steps in told.values():
        done = [step[0] for step in steps]
        assert done == sorted(set(done))
        assert {step[1] for step in steps} == {done[-1]}


def test_a_mirrored_picture_has_the_other_sign_in_half_of_its_descriptor() -> None:
    pictures = made(5)
    here, there = describe(pictures), describe(pictures[:, :, ::-1])
    assert here.dtype == np.float16
    np.testing.assert_allclose(here[:, :32], there[:, :32], atol=1e-3)
    np.testing.assert_allclose(here[:, 32:], -there[:, 32:], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(here.astype(np.float32), axis=1), 1, atol=1e-3)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> dict[str, list]:
    return pq.read_table(shared_data / "fer2013_train_public.parquet").to_pydict()


def test_exact_copies_of_the_real_data(real: dict[str, list]) -> None:
    groups = exact_groups([str(hash(png)) for png in real["png"]])
    splits = ["train" if usage == "Training" else "val" for usage in real["Usage"]]
    labels = np.array(real["emotion"], np.int64)
    assert groups.max() + 1 == 1271
    assert is_extra_copy(groups).sum() == 1530
    assert len(np.unique(groups[has_contradiction(groups, labels)])) == 47
    later = has_twin_in_earlier_split(groups, splits)
    assert (later.sum(), len(np.unique(groups[later]))) == (280, 270)


def test_altered_copies_of_real_faces_are_found(real: dict[str, list]) -> None:
    faces = np.stack([decode_gray(png) for png in real["png"][:200]])
    count = len(faces)
    for change in CHANGES.values():
        near = compare(np.concatenate([faces, np.stack([change(image) for image in faces])]))
        assert (near.similarity[:count] < CERTAIN).all()
        found = near.similarity[count:] >= CERTAIN
        assert found.mean() >= 0.97
        assert (near.twin[count:] == np.arange(count))[found].all()
