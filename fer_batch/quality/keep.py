"""The pictures that a person wants to keep, whatever the checks say."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_batch.errors import InputError, UsageError
from fer_batch.quality.pictures import Records


def read_kept(path: Path, records: Records) -> NDArray[np.bool_]:
    """Which pictures a file names: one id a line, or a CSV file with a column `id`, as `dropped.csv` has.

    Args:
        path: of the file, UTF-8.
        records: the pictures of the data set.

    Returns:
        bool [N].

    Raises:
        InputError: the file cannot be read.
        UsageError: an id is none of the data set's.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--keep {path} cannot be read: {error}") from error
    column = 0
    if rows and "id" in rows[0]:
        column = rows[0].index("id")
        rows = rows[1:]
    places = {name: place for place, name in enumerate(records.ids)}
    kept = np.zeros(len(records), bool)
    for number, row in enumerate(rows, 1):
        name = row[column].strip() if column < len(row) else ""
        if name not in places:
            raise UsageError(f"--keep {path}: entry {number}, {name!r}, is no picture of the data set")
        kept[places[name]] = True
    return kept
