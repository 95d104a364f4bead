"""No text of somebody else's runs in a spreadsheet, and all of it comes back."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fer_batch.spreadsheet import neutral, neutral_table, restored

RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take them too


@given(st.text() | st.from_regex(r"\A'*[=+@\-]'?", fullmatch=True))
@example("'=1+1")
@example("''@SUM(A1)")
@example("")
def test_a_cell_never_runs_and_gives_its_text_back(text: str) -> None:
    cell = neutral(text)
    assert not cell.startswith(RUN)
    assert restored(cell) == text


@pytest.mark.parametrize("text", ["clip", "caf\u00e9", "'quoted'", "a=b", "1-2", "2024-01-01 10.00"])
def test_ordinary_names_stay_as_they_are(text: str) -> None:
    assert neutral(text) == text


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_the_texts_of_a_table_are_cells_and_its_numbers_stay(texts: list[str | None]) -> None:
    numbers = pa.array([-1.5] * len(texts), pa.float32())
    table = pa.table({"name": pa.array(texts, pa.string()), "number": numbers})
    made = neutral_table(table)
    assert made["name"].to_pylist() == [None if text is None else neutral(text) for text in texts]
    assert made["number"].equals(table["number"])
    assert made.schema == table.schema
