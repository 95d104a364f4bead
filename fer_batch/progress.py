"""How long work tells how far it is, without printing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called again and again with what is done so far; the command line turns it into a bar."""

    def __call__(self, what: str, done: int, total: int | None, /) -> None:
        """Say that `done` of `total` units (None: unknown) of the work called `what` are finished."""
        ...


def silent(what: str, done: int, total: int | None, /) -> None:
    """The default: tells nobody."""
