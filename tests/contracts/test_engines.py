"""What running over many items promises, in this process and in several."""

from __future__ import annotations

import os
import signal

import pytest

from fer_batch.engine.local import WorkerDied, run_local


def double(item: int) -> int:
    return 2 * item


def die_at_three(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def refuse(item: int) -> int:
    raise ValueError(f"item {item} is refused")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_has_one_outcome(workers: int) -> None:
    outcomes = list(run_local(double, [1, 2, 3, 4], workers))
    assert sorted((outcome.item, outcome.result) for outcome in outcomes) == [(1, 2), (2, 4), (3, 6), (4, 8)]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_work_raises_is_raised(workers: int) -> None:
    with pytest.raises(ValueError, match="is refused"):
        list(run_local(refuse, [1, 2], workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_to_do(workers: int) -> None:
    assert list(run_local(double, [], workers)) == []


def test_one_worker_keeps_the_order() -> None:
    assert [outcome.item for outcome in run_local(double, [3, 1, 2], 1)] == [3, 1, 2]


def test_a_dead_worker_takes_its_own_item_along_and_no_other() -> None:
    outcomes = {outcome.item: outcome.result for outcome in run_local(die_at_three, [1, 2, 3, 4, 5, 6], 2)}
    assert isinstance(outcomes.pop(3), WorkerDied)
    assert outcomes == {1: 1, 2: 2, 4: 4, 5: 5, 6: 6}
