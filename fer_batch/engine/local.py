"""Sources on this machine, in this process or in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class WorkerDied:
    """In place of a result: the process that worked on the item is gone."""

    reason: str = "the worker process died (out of memory, or killed)"


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What came of one item."""

    item: Item
    result: Result | WorkerDied


def run_local(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Outcome[Item, Result]]:
    """`work` of every item, as each is finished.

    With one worker the items are done here, in order. With more, `work` and the items are sent to
    spawned processes; one that dies takes its own item along and no other, and is replaced.

    Args:
        work: picklable where `workers` > 1; what it raises is raised here.
        items: what to do.
        workers: processes at most.
    """
    if workers == 1 or len(items) <= 1:
        for item in items:
            yield Outcome(item, work(item))
        return
    workers = min(workers, len(items))
    slots: SimpleQueue[_Slot] = SimpleQueue()
    for _ in range(workers):
        slots.put(_Slot())

    def in_a_slot(item: Item) -> Outcome[Item, Result]:
        slot = slots.get()
        try:
            return Outcome(item, slot.run(work, item))
        finally:
            slots.put(slot)

    threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
    try:
        for future in as_completed([threads.submit(in_a_slot, item) for item in items]):
            yield future.result()
    finally:
        threads.shutdown(cancel_futures=True)
        for _ in range(workers):
            slots.get().close()


class _Slot:
    """A process of its own, replaced when it dies: a shared pool would fail all its items at once."""

    def __init__(self) -> None:
        self._pool = self._spawn()

    @staticmethod
    def _spawn() -> ProcessPoolExecutor:
        # Forking a process that has threads may deadlock in the child.
        return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def run(self, work: Callable[[Item], Result], item: Item) -> Result | WorkerDied:
        try:
            return self._pool.submit(work, item).result()
        except BrokenProcessPool:
            self.close()
            self._pool = self._spawn()
            return WorkerDied()

    def close(self) -> None:
        self._pool.shutdown()
