"""The streaming mean is the plain mean over each track's window, however the rows are cut into blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_batch.annotation.smooth import smoothed
from fer_batch.emotions import LABELS
from fer_batch.settings import QualitySettings, SmoothingSettings
from fer_batch.storage import SMOOTHED

ALL = QualitySettings(min_quality=0.0)


def face_rows(
    times: Sequence[float],
    tracks: Sequence[int] | None = None,
    probabilities: NDArray[np.float32] | None = None,
    quality: Sequence[float] | None = None,
    seed: int = 0,
) -> pa.Table:
    n = len(times)
    if probabilities is None:
        probabilities = np.random.default_rng(seed).dirichlet(np.ones(7), n).astype(np.float32)
    columns = {
        "frame": pa.array(range(n), pa.int64()),
        "time_s": pa.array(times, pa.float64()),
        "track": pa.array([0] * n if tracks is None else tracks, pa.int64()),
        "quality": pa.array([1.0] * n if quality is None else quality, pa.float32()),
    }
    return pa.table(columns | {label: probabilities[:, i] for i, label in enumerate(LABELS)})


def cut(table: pa.Table, places: Sequence[int]) -> list[pa.Table]:
    bounds = [0, *sorted(min(place, table.num_rows) for place in places), table.num_rows]
    return [table.slice(begin, end - begin) for begin, end in pairwise(bounds)]


def values(tables: Sequence[pa.Table], names: Sequence[str] = SMOOTHED) -> NDArray[np.float64]:
    """As float64 [N, 7]; NaN where null."""
    parts = [np.column_stack([table[name].to_numpy() for name in names]) for table in tables]
    return np.concatenate([np.empty((0, len(names))), *parts])


def naive(table: pa.Table, settings: SmoothingSettings, quality: QualitySettings) -> NDArray[np.float64]:
    """The definition, row against row."""
    times, tracks = table["time_s"].to_pylist(), table["track"].to_pylist()
    good = table["quality"].to_numpy() >= quality.min_quality
    raw, result = values([table], LABELS), np.full((table.num_rows, 7), np.nan)
    clock = np.cumsum([0.0, *(abs(b - a) for a, b in pairwise(times))]) if times else np.empty(0)
    deviation = settings.seconds * (2 if settings.causal else 1)
    for i in range(table.num_rows):
        total, weight = np.zeros(7), 0.0
        for j in range(table.num_rows):
            dt = abs(clock[i] - clock[j])
            wanted = good[j] and tracks[i] == tracks[j] and dt <= 3 * deviation + 1e-6
            if not wanted or (settings.causal and j > i) or (not settings.seconds and j != i):
                continue
            w = math.exp(-((dt / deviation) ** 2) / 2) if deviation else 1.0
            total, weight = total + w * raw[j], weight + w
        if weight:
            result[i] = total / weight
    return result


@st.composite
def videos(draw: st.DrawFn) -> pa.Table:
    """Frames with some of a few tracks each; now and then the time jumps, stands still or runs backwards."""
    fps = draw(st.sampled_from([1, 10, 25, 240, 1000]))
    steps = st.one_of(st.just(1 / fps), st.sampled_from([0.0, -0.1, -30.0, 5.0, 2.5 / fps]))
    time, times, tracks = draw(st.sampled_from([0.0, 3600.0])), [], []
    for _ in range(draw(st.integers(0, 30))):
        time += draw(steps)
        for track in draw(st.lists(st.integers(0, 4), max_size=4, unique=True)):
            times.append(time)
            tracks.append(track)
    quality = draw(st.lists(st.floats(0, 1, width=32), min_size=len(times), max_size=len(times)))
    return face_rows(times, tracks, quality=quality, seed=draw(st.integers(0, 9)))


@given(
    table=videos(),
    places=st.lists(st.integers(0, 120), max_size=8),
    seconds=st.sampled_from([0.0, 1e-9, 0.02, 0.25, 1.0]),
    causal=st.booleans(),
    min_quality=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_it_is_the_weighted_mean_however_the_rows_are_cut(
    table: pa.Table, places: list[int], seconds: float, causal: bool, min_quality: float
) -> None:
    settings, quality = SmoothingSettings(seconds, causal), QualitySettings(min_quality)
    whole = list(smoothed([table], settings, quality))
    parts = list(smoothed(cut(table, places), settings, quality))
    assert all(part.num_rows for part in parts)
    np.testing.assert_allclose(values(parts), naive(table, settings, quality), atol=1e-6)
    assert np.array_equal(values(parts), values(whole), equal_nan=True)
    if parts:
        rejoined = pa.concat_tables(parts)
        assert rejoined.column_names == [*table.column_names, *SMOOTHED]
        assert rejoined.select(table.column_names).equals(table)
        assert rejoined.schema.field("smoothed_sad").type == pa.float32()


@given(table=videos(), places=st.lists(st.integers(0, 120), max_size=8), causal=st.booleans())
def test_equal_blocks_give_equal_tables(table: pa.Table, places: list[int], causal: bool) -> None:
    settings, blocks = SmoothingSettings(causal=causal), cut(table, places)
    first, second = (list(smoothed(blocks, settings, ALL)) for _ in range(2))
    assert len(first) == len(second)
    assert all(one.equals(other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("fps", [1, 24, 25, 1000])
def test_without_seconds_every_row_keeps_its_own_values(fps: int) -> None:
    table = face_rows([i / fps for i in range(50)])
    result = list(smoothed([table], SmoothingSettings(seconds=0.0), ALL))
    assert np.array_equal(values(result), values([table], LABELS))


def test_constant_probabilities_stay_and_add_up_to_one() -> None:
    probabilities = np.tile(np.array([0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], np.float32), (60, 1))
    table = face_rows([i / 25 for i in range(60)], probabilities=probabilities)
    for causal in (False, True):
        found = values(list(smoothed([table], SmoothingSettings(0.3, causal), ALL)))
        np.testing.assert_allclose(found, probabilities, atol=1e-7)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_a_step_stays_where_it_is_and_causally_comes_late_by_the_stated_delay() -> None:
    fps, seconds = 100, 0.25
    happy, sad = np.eye(7, dtype=np.float32)[[3, 4]]
    table = face_rows([i / fps for i in range(800)], probabilities=np.stack([happy] * 400 + [sad] * 400))
    for causal, delay in ((False, 0.0), (True, 1.35 * seconds)):
        found = values(list(smoothed([table], SmoothingSettings(seconds, causal), ALL)))
        onset = int((found.argmax(1) == 4).argmax())
        assert abs(onset / fps - 4.0 - delay) <= 2 / fps


def test_looking_back_only_averages_out_as_much_noise() -> None:
    table = face_rows([i / 25 for i in range(5000)])
    raw = values([table], LABELS).var(0).mean()
    left = [
        values(list(smoothed([table], SmoothingSettings(0.25, causal), ALL)))[100:-100].var(0).mean() / raw
        for causal in (False, True)
    ]
    assert left[0] < 0.06
    assert left[1] == pytest.approx(left[0], rel=0.15)


def test_causal_rows_ignore_later_ones_and_are_given_out_with_their_block() -> None:
    table = face_rows([i / 25 for i in range(100)])
    settings = SmoothingSettings(0.25, causal=True)
    blocks = cut(table, [10, 11, 60])
    parts = list(smoothed(blocks, settings, ALL))
    assert [part.num_rows for part in parts] == [block.num_rows for block in blocks]
    alone = list(smoothed([table.slice(0, 60)], settings, ALL))
    assert np.array_equal(values(parts)[:60], values(alone))


def test_poor_rows_weigh_on_none_and_are_null_where_none_weighs_on_them() -> None:
    times = [0.0, 0.04, 0.08, 10.0]
    table = face_rows(times, quality=[0.9, 0.1, 0.9, 0.1])
    result = pa.concat_tables(smoothed([table], SmoothingSettings(0.25), QualitySettings(0.5)))
    assert [result[name].null_count for name in SMOOTHED] == [1] * 7
    assert not result["smoothed_happy"][3].is_valid
    better = table.filter(pa.array([True, False, True, False]))
    expected = values(list(smoothed([better], SmoothingSettings(0.25), QualitySettings(0.5))))
    np.testing.assert_array_equal(values([result])[[0, 2]], expected)


def test_rows_are_given_out_once_their_window_has_passed() -> None:
    asked = 0

    def frames() -> Iterator[pa.Table]:
        nonlocal asked
        for index in range(1000):
            asked += 1
            yield face_rows([index / 25] * 3, [0, 1, 2])

    seen = 0
    for part in smoothed(frames(), SmoothingSettings(0.2), ALL):
        seen += part.num_rows
        assert 3 * asked - seen <= 3 * (0.6 * 25 + 1) or asked == 1000
    assert seen == 3000


@pytest.mark.parametrize("causal", [False, True])
def test_a_time_that_stands_still_does_not_fill_the_memory(
    causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_batch.annotation.smooth._ROWS_AWAY", 50)
    monkeypatch.setattr("fer_batch.annotation.smooth._WEIGHTS_AT_ONCE", 128)
    table = face_rows([1.0] * 500, [0, 1] * 250)
    raw, results = values([table], LABELS), []
    for places in ([], [7, 130, 131, 400], range(0, 500, 10)):
        blocks, read, seen = cut(table, places), 0, 0

        def counted(blocks: list[pa.Table] = blocks) -> Iterator[pa.Table]:
            nonlocal read
            for block in blocks:
                yield block
                read += block.num_rows

        parts = []
        for part in smoothed(counted(), SmoothingSettings(0.2, causal), ALL):
            assert read - seen <= 50 + max(block.num_rows for block in blocks)
            seen += part.num_rows
            parts.append(part)
        results.append(values(parts))
    window = range(200 - 50, 201 if causal else 251, 2)
    np.testing.assert_allclose(results[0][200], raw[window].mean(0), atol=1e-6)
    assert all(np.array_equal(result, results[0]) for result in results)


def test_what_lies_behind_a_jump_backwards_is_far_away() -> None:
    times = [100.0, 100.04, 0.0, 0.04]
    table = face_rows(times)
    found = values(list(smoothed([table], SmoothingSettings(0.25), ALL)))
    apart = [values(list(smoothed([part], SmoothingSettings(0.25), ALL))) for part in cut(table, [2])]
    np.testing.assert_allclose(found, np.concatenate(apart), atol=1e-7)


def test_no_rows_give_no_tables() -> None:
    empty = face_rows([])
    assert list(smoothed([], SmoothingSettings(), ALL)) == []
    assert list(smoothed([empty, empty], SmoothingSettings(), ALL)) == []
    table = face_rows([0.0, 0.04])
    parts = list(smoothed([empty, table, empty], SmoothingSettings(), ALL))
    assert sum(part.num_rows for part in parts) == 2
