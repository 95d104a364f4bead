"""Text in CSV files that spreadsheets open, which run a cell as a formula if it begins like one.

Names of files come from whoever made them: a video called `=HYPERLINK(...).mp4` must not run on the desk of
whoever opens the summary (OWASP, "CSV Injection"). Such a cell gets an apostrophe in front, and so does one
that has apostrophes in front of such a beginning already, so that taking one away always gives the text back.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_BEGINNING = "'*[=+\\-@\\t\\r\\n＝＋－＠]"  # noqa: RUF001 - some spreadsheets take full-width signs for the others
_RUNS = re.compile(_BEGINNING)
_NEUTRAL = re.compile(f"'{_BEGINNING}")


def neutral(text: str) -> str:
    """The text as a cell that no spreadsheet runs; nearly always the text itself."""
    return f"'{text}" if _RUNS.match(text) else text


def restored(cell: str) -> str:
    """The text that `neutral` made a cell of."""
    return cell[1:] if _NEUTRAL.match(cell) else cell


def neutral_table(table: pa.Table) -> pa.Table:
    """A table, each text of which is `neutral`; numbers stay as they are."""
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            cells = pc.replace_substring_regex(table.column(index), f"^({_BEGINNING})", r"'\1")  # pyright: ignore[reportAttributeAccessIssue] - made at run time
            table = table.set_column(index, field, cells)
    return table
