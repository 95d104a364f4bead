"""What every reader of a source yields: an item that may become a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fer_batch.emotions import Emotion


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture with what is known about it.

    Attributes:
        split: `train`, `val` or `test`.
        label: its expression; None where the source tells none.
        image: uint8 [48, 48], gray, 0–255.
        sha256: fingerprint of the pixels as the source has them.
        resized: whether the source had it in another size.
    """

    split: str
    label: Emotion | None
    image: NDArray[np.uint8]
    sha256: str
    resized: bool = False


class Item(Protocol):
    """A row or picture file that has been found; finding is cheap and in order, loading is not."""

    @property
    def row(self) -> int:
        """Position in its file or folder, from 0; rows that turn out bad count too."""
        ...

    @property
    def id(self) -> str:
        """Name of the picture in the data set."""
        ...

    @property
    def file(self) -> str:
        """The CSV file's name, or the picture's path in the source folder."""
        ...

    @property
    def line(self) -> int | None:
        """Line of the CSV file, from 1, its header included; None for picture files."""
        ...

    @property
    def content(self) -> bytes:
        """The row itself, for the list of rejected rows; empty for picture files."""
        ...

    @property
    def units(self) -> float:
        """How much further the source is read after it, in units of the source's `total`."""
        ...

    def load(self) -> Sample:
        """Interpret the item.

        Raises:
            ValueError: it cannot be used; the message is the reason.
        """
        ...


def attempt(load: Callable[..., Sample], *arguments: object) -> Sample | ValueError:
    """What `load` returns, or the reason why it cannot."""
    try:
        return load(*arguments)
    except ValueError as error:
        return error


ItemT = TypeVar("ItemT", bound=Item)


class Source(Protocol[ItemT]):
    """Something that `prepare` reads."""

    @property
    def dialect(self) -> str:
        """What kind of source it is, as `dataset.json` records it."""
        ...

    @property
    def has_usage(self) -> bool:
        """Whether each row names its `Usage`, so that another table can be joined safely."""
        ...

    @property
    def files_named(self) -> bool:
        """Whether items are files of their own, so that `file` is worth a column."""
        ...

    @property
    def unit(self) -> str:
        """What `total` counts, for the progress bar."""
        ...

    @property
    def total(self) -> int | None:
        """How many units there are; None where that is unknown before the end."""
        ...

    def sha256(self) -> str:
        """SHA-256 of what is read, in hexadecimal.

        Of a file its own; of a folder that of the lines `sha256sum` prints for the files used.
        """
        ...

    def items(self) -> Iterator[ItemT]:
        """Every row or picture, in order.

        Raises:
            InputError: the source cannot be read on.
        """
        ...

    def load(self, items: Sequence[ItemT], /) -> list[Sample | ValueError]:
        """Interpret some of its items together; a reason stands where one cannot be used."""
        ...
