"""Stages end cleanly, whoever ends first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.threads import ahead, ordered_map


def numbers(n: int, error: Exception | None = None) -> Generator[int, None, None]:
    yield from range(n)
    if error:
        raise error


def no_producer_left() -> bool:
    return not any(thread.name == "ahead" for thread in threading.enumerate())


@given(n=st.integers(0, 50), depth=st.integers(1, 8))
def test_the_same_items_in_the_same_order(n: int, depth: int) -> None:
    assert list(ahead(numbers(n), depth)) == list(range(n))
    with ThreadPoolExecutor(3) as pool:
        assert list(ordered_map(pool, lambda x: x * x, numbers(n), depth)) == [x * x for x in range(n)]


def test_the_producers_error_arrives_after_its_items() -> None:
    got = []
    with pytest.raises(OSError, match="broken"):
        got.extend(ahead(numbers(5, OSError("broken")), 2))
    assert no_producer_left()


def test_a_caller_that_stops_early_leaves_no_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def endless() -> Generator[int, None, None]:
        try:
            yield from count()
        finally:
            closed.set()

    with closing(ahead(endless(), 3)) as items:
        assert next(items) == 0
    assert closed.is_set()
    assert no_producer_left()


def test_the_producer_runs_at_most_so_far_ahead() -> None:
    made = []

    def noted() -> Generator[int, None, None]:
        for number in range(100):
            made.append(number)
            yield number

    with closing(ahead(noted(), 4)) as items:
        for _ in range(10):
            next(items)
        threading.Event().wait(0.2)
        assert len(made) <= 10 + 4 + 1


def test_work_that_fails_is_raised_in_its_place_and_the_rest_is_cancelled() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    got = []
    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="three"):  # noqa: PT012 - items come first
        for value in ordered_map(pool, work, count(), 4):
            got.append(value)  # noqa: PERF402 - extend would lose them when it raises
    assert got == [0, 1, 2]


class _AtOnce(Executor):
    """Has done what it is given when it takes it."""

    def submit(self, fn: Callable[..., int], /, *given: int, **_: object) -> Future[int]:
        done: Future[int] = Future()
        done.set_result(fn(*given))
        return done


def test_what_is_done_does_not_wait_for_more_to_be_under_way() -> None:
    read = []
    items = (number for number in range(6) if read.append(number) is None)
    with closing(ordered_map(_AtOnce(), lambda number: number, items, 1000)) as done:
        for number in range(6):
            assert next(done) == number
            assert len(read) == number + 1
