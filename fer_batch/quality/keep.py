"""The pictures that a person wants to keep, whatever the checks say."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_batch.errors import InputError, UsageError
from fer_batch.quality.pictures import Records
from fer_batch.spreadsheet import restored


def read_kept(
    path: Path, records: Records, dropped_before: Collection[str] = ()
) -> tuple[NDArray[np.bool_], list[str]]:
    """Which pictures a file names: one id a line, or a CSV file with a column `id`, as `dropped.csv` has.

    An id with a comma in it may be quoted on its line, as in a CSV file, or not.

    Args:
        path: of the file, UTF-8.
        records: the pictures of the data set.
        dropped_before: ids of pictures that it lacks because an earlier step of `filter` dropped them: the
            `dropped.csv` of a later step lists them too.

    Returns:
        bool [N], and the ids that are among those dropped before.

    Raises:
        InputError: the file cannot be read.
        UsageError: an id is none of the data set's.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
        named = list(_named(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--keep {path} cannot be read: {error}") from error
    places = {name: place for place, name in enumerate(records.ids)}
    kept, lacking = np.zeros(len(records), bool), []
    for number, readings in named:
        place = next((places[name] for name in readings if name in places), None)
        before = next((name for name in readings if name in dropped_before), None)
        if place is not None:
            kept[place] = True
        elif before is not None:
            lacking.append(before)
        else:
            raise UsageError(
                f"--keep {path}: line {number}, {readings[0]!r}, is no picture of the data set; "
                "give its ids as quality.parquet and dropped.csv have them"
            )
    return kept, lacking


def _named(lines: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """What each entry may mean, the likelier first, with the number of its last line."""
    rows = csv.reader(line + "\n" for line in lines)
    header = next((row for row in rows if any(map(str.strip, row))), [])
    if "id" in header:
        column = header.index("id")
        for row in rows:
            if any(map(str.strip, row)):
                cell = row[column].strip() if column < len(row) else ""
                yield rows.line_num, (cell, restored(cell))
        return
    for number, line in enumerate(map(str.strip, lines), 1):
        if line:
            quoted = next(csv.reader([line]))
            readings = (line, quoted[0]) if len(quoted) == 1 else (line,)
            yield number, (*readings, *map(restored, readings))
