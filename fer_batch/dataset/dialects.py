"""The CSV files in which FER2013 is published, and what their columns mean.

All come from the ICML 2013 challenge (Goodfellow et al. 2013, arXiv:1307.0414). A dialect is known by
the names of its columns; their order, their case and blanks around them are free. `icml_face_data.csv` is
thus the dialect of `fer2013.csv`, in which further columns are passed over. In the other two they may be
what these lack, a label or a split under another name: no column but an index is passed over there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from fer_batch.emotions import Emotion

SPLITS = ("train", "val", "test")
"""The splits, in the order in which they are always listed."""

USAGE_SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
"""The split that each `Usage` becomes."""


def place(split: str, splits: Literal["three", "two"]) -> str:
    """The split that a row of the three-way `split` goes to: with `two`, val is part of test."""
    return "test" if splits == "two" and split == "val" else split


class Dialect(Protocol):
    """What the columns of one kind of CSV file mean."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it needs, in lower case."""
        ...

    def meaning(self, fields: Mapping[str, bytes]) -> tuple[Emotion | None, str]:
        """Label and split of a row.

        Args:
            fields: the row's fields by column name, stripped of blanks and quotes.

        Raises:
            ValueError: the label or Usage is unknown; the message is the reason.
        """
        ...


@dataclass(frozen=True)
class WithUsage:
    """Each row has its label and names its split: `fer2013.csv`, `icml_face_data.csv`."""

    columns: tuple[str, ...] = ("emotion", "pixels", "usage")

    def meaning(self, fields: Mapping[str, bytes]) -> tuple[Emotion | None, str]:
        """Label and split from the columns `emotion` and `usage`."""
        usage = fields["usage"].decode("ascii")
        if usage not in USAGE_SPLITS:
            raise ValueError(f"unknown Usage {usage[:20]!r}, expected {', '.join(USAGE_SPLITS)}")
        return _label(fields["emotion"]), USAGE_SPLITS[usage]


@dataclass(frozen=True)
class Labelled:
    """Labelled rows of one split: `train.csv`."""

    columns: tuple[str, ...] = ("emotion", "pixels")

    def meaning(self, fields: Mapping[str, bytes]) -> tuple[Emotion | None, str]:
        """Label from the column `emotion`; the split is `train`."""
        return _label(fields["emotion"]), "train"


@dataclass(frozen=True)
class Unlabelled:
    """Pictures without labels: `test.csv`."""

    columns: tuple[str, ...] = ("pixels",)

    def meaning(self, fields: Mapping[str, bytes]) -> tuple[Emotion | None, str]:  # noqa: ARG002 - the protocol's
        """No label; the split is `test`."""
        return None, "test"


# Ordered from more columns to fewer: the first whose columns are all there is the file's dialect.
DIALECTS: dict[str, Dialect] = {
    "fer2013": WithUsage(),
    "train": Labelled(),
    "test": Unlabelled(),
}


_INDEX = re.compile(r"\d*|unnamed: \d+|index|id")
"""Names of a column that only numbers the rows: none at all, a number, and what pandas makes of none."""


def find_dialect(header: list[str]) -> str | None:
    """The name of the dialect that a file with this header is in; None where it is in none.

    Args:
        header: the names of its columns, in lower case.
    """
    columns = {column for column in header if not _INDEX.fullmatch(column)}
    for name, dialect in DIALECTS.items():
        wanted = set(dialect.columns)
        if columns == wanted or (columns > wanted and "usage" in wanted):
            return name
    return None


def _label(field: bytes) -> Emotion:
    text = field.decode("ascii")
    if len(text) == 1 and text in "0123456":
        return Emotion(int(text))
    raise ValueError(f"unknown label {text[:20]!r}, expected 0–6")
