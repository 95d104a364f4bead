"""What running over many items promises, in this process and in several."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_batch.engine import local
from fer_batch.engine.local import WorkerDied, run_local
from fer_batch.errors import UsageError

_PATIENCE_S = 60
_SCRIPT = """
import os, sys, time
from pathlib import Path
from fer_batch.engine.local import run_local

def work(item):
    (Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(600)

def main():
    list(run_local(work, [1, 2], 2))

"""


def double(item: int) -> int:
    return 2 * item


def die_at_three(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def refuse(item: int) -> int:
    raise ValueError(f"item {item} is refused")


def refuse_while_another_sleeps(item: Path) -> None:
    try:
        item.mkdir()
    except FileExistsError:
        raise ValueError("refused, while another sleeps") from None
    time.sleep(10 * _PATIENCE_S)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_has_one_outcome(workers: int) -> None:
    outcomes = list(run_local(double, [1, 2, 3, 4], workers))
    assert sorted((outcome.item, outcome.result) for outcome in outcomes) == [(1, 2), (2, 4), (3, 6), (4, 8)]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_work_raises_is_raised(workers: int) -> None:
    with pytest.raises(ValueError, match="is refused"):
        list(run_local(refuse, [1, 2], workers))


def test_what_one_raises_is_not_kept_waiting_by_the_others(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused, while another sleeps"):
        list(run_local(refuse_while_another_sleeps, [tmp_path / "a", tmp_path / "a", tmp_path / "b"], 2))
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_to_do(workers: int) -> None:
    assert list(run_local(double, [], workers)) == []


def test_one_worker_keeps_the_order() -> None:
    assert [outcome.item for outcome in run_local(double, [3, 1, 2], 1)] == [3, 1, 2]


def test_a_dead_worker_takes_its_own_item_along_and_no_other() -> None:
    outcomes = {outcome.item: outcome.result for outcome in run_local(die_at_three, [1, 2, 3, 4, 5, 6], 2)}
    assert isinstance(outcomes.pop(3), WorkerDied)
    assert outcomes == {1: 1, 2: 2, 4: 4, 5: 5, 6: 6}


@pytest.mark.parametrize("fails", [1, 2])
def test_a_dead_workers_successor_has_two_tries(monkeypatch: pytest.MonkeyPatch, fails: int) -> None:
    starts = iter([True, *[False] * fails, True])
    spawn = local._spawn

    def at_times() -> object:
        if not next(starts):
            raise UsageError("no worker process starts")
        return spawn()

    monkeypatch.setattr(local, "_spawn", at_times)
    outcomes = run_local(die_at_three, [3, 4, 5], 1, apart=True)
    assert isinstance(next(outcomes).result, WorkerDied)
    if fails == 1:
        assert [outcome.result for outcome in outcomes] == [4, 5]
    else:  # what was not begun is due the next time, and nobody's fault
        with pytest.raises(UsageError):
            list(outcomes)


def test_apart_from_this_process_even_one_worker_may_die() -> None:
    outcomes = {outcome.item: outcome.result for outcome in run_local(die_at_three, [1, 3, 5], 1, apart=True)}
    assert isinstance(outcomes.pop(3), WorkerDied)
    assert outcomes == {1: 1, 5: 5}
    (alone,) = run_local(die_at_three, [3], 4, apart=True)
    assert isinstance(alone.result, WorkerDied)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(tmp_path: Path, by: signal.Signals) -> None:
    script, seen = tmp_path / "script.py", tmp_path / "seen"
    script.write_text(_SCRIPT + 'if __name__ == "__main__":\n    main()\n')
    seen.mkdir()
    process = subprocess.Popen([sys.executable, script, seen], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(seen.iterdir())) == 2)
    process.send_signal(by)
    process.wait(_PATIENCE_S)
    wait_until(lambda: not any(alive(int(path.name)) for path in seen.iterdir()))


@pytest.mark.parametrize("from_a_file", [True, False])
def test_a_script_that_workers_cannot_read_again_is_told_so(tmp_path: Path, from_a_file: bool) -> None:
    script, text = tmp_path / "script.py", _SCRIPT + "main()\n"
    script.write_text(text)
    name, given = (script, "") if from_a_file else ("-", text)
    done = subprocess.run(
        [sys.executable, name, tmp_path], input=given, capture_output=True, text=True, check=False
    )
    assert "UsageError: no worker process starts" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not reached():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        # An orphan that has ended and that nobody has waited for is a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
