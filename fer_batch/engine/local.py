"""Sources on this machine, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import Generic, TypeVar

from fer_batch.errors import UsageError

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
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, *, apart: bool = False
) -> Generator[Outcome[Item, Result], None, None]:
    """`work` of every item, as each is finished.

    With one worker the items are done here, in order. With more, or `apart`, `work` and the items are sent to
    spawned processes; one that dies takes its own item along and no other, and is replaced. They end with
    this process, however that ends, and at once where the rest of the results is no longer wanted: an
    item raised, or whoever asked was interrupted.

    Args:
        work: picklable where it is sent; what it raises is raised here.
        items: what to do.
        workers: processes at most.
        apart: spawn one even where one is enough.

    Raises:
        UsageError: processes cannot be spawned from the script that is running.
    """
    if not items or (not apart and (workers == 1 or len(items) == 1)):
        for item in items:
            yield Outcome(item, work(item))
        return
    workers = min(workers, len(items))
    every = [_Slot() for _ in range(workers)]
    slots: SimpleQueue[_Slot] = SimpleQueue()
    for slot in every:
        slots.put(slot)

    ended = threading.Event()

    def in_a_slot(item: Item) -> Outcome[Item, Result]:
        slot = slots.get()
        try:
            return Outcome(item, WorkerDied() if ended.is_set() else slot.run(work, item))
        except BaseException:
            ended.set()  # before the slot is another item's
            raise
        finally:
            slots.put(slot)

    threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
    try:
        for future in as_completed([threads.submit(in_a_slot, item) for item in items]):
            yield future.result()
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        for slot in every:
            slot.stop()
        raise
    finally:
        threads.shutdown()
        for slot in every:
            slot.close()


class _Slot:
    """A process of its own, replaced when it dies: a shared pool would fail all its items at once."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._pid = 0
        self._stopped = False

    def run(self, work: Callable[[Item], Result], item: Item) -> Result | WorkerDied:
        if self._pool is None:
            try:
                self._pool, self._pid = _spawn()
            except UsageError:
                if not self._pid:
                    raise
                # One started before, so that the script is not to blame: what ended both may have passed.
                self._pool, self._pid = _spawn()
        try:
            result = self._pool.submit(work, item)
            if self._stopped:  # while the process started
                self._terminate()
            return result.result()
        except BrokenProcessPool:
            self.close()
            return WorkerDied()

    def stop(self) -> None:
        """End the process now, whatever it does; called by another thread than `run`."""
        self._stopped = True
        self._terminate()

    def _terminate(self) -> None:
        # By the list of children: a process that is gone may have left its number to a stranger.
        for process in multiprocessing.active_children():
            if process.pid == self._pid:
                process.terminate()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None


def _spawn() -> tuple[ProcessPoolExecutor, int]:
    """A pool of one process, and its number."""
    # Forking a process that has threads may deadlock in the child.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)
    try:
        return pool, pool.submit(os.getpid).result()
    except BrokenProcessPool:
        pool.shutdown()
        raise UsageError(
            "no worker process starts: a script that asks for workers must be a file, and make its calls "
            'under `if __name__ == "__main__":`, since each worker reads it again; or take one worker'
        ) from None


def _end_with_parent() -> None:
    """Have this process end when the one that spawned it does, which may be killed without a word."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="watch", daemon=True).start()
