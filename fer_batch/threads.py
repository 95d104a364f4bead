"""Stages side by side: bounded, in order, and gone when the work is over."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")

_STOP_POLL_S = 0.05


def ahead(items: Generator[A, None, None], depth: int) -> Generator[A, None, None]:
    """The same items, made in a thread of their own at most `depth` ahead of their use.

    An error of the producer is raised where the item would have come. When the caller stops early
    or fails, the thread is stopped and joined, and `items` is closed.
    """
    producer = _Producer(items, depth)
    thread = threading.Thread(target=producer.run, name="ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(entry := producer.ready.get(), _End):
            yield entry
        if entry.error is not None:
            raise entry.error
    finally:
        producer.stopped.set()
        thread.join()


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class _Producer(Generic[A]):
    def __init__(self, items: Generator[A, None, None], depth: int) -> None:
        self._items = items
        self.ready: queue.Queue[A | _End] = queue.Queue(depth)
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            with closing(self._items):
                for item in self._items:
                    if not self._offer(item):
                        return
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread, whatever it is
            self._offer(_End(error))
        else:
            self._offer(_End(None))

    def _offer(self, entry: A | _End) -> bool:
        """Wait for a place in the queue; False when nobody wants the entry any more."""
        while not self.stopped.is_set():
            try:
                self.ready.put(entry, timeout=_STOP_POLL_S)
            except queue.Full:
                continue
            return True
        return False


def ordered_map(
    pool: Executor, work: Callable[[A], B], items: Iterable[A], depth: int
) -> Generator[B, None, None]:
    """`work` of every item, done in a pool with at most `depth` items under way, in the items' order.

    What is done is given out as soon as the next item is there, for results may be large. When the
    caller stops early or an item fails, what has not begun is cancelled and what has is waited for.
    """
    pending: deque[Future[B]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            while pending and (len(pending) >= depth or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for future in pending:
            if not future.cancelled():
                future.exception()
