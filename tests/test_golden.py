"""What is written today is what was written before."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_files import FOLDER, GOLDEN


@pytest.mark.parametrize("name", GOLDEN)
def test_equals_the_golden_file(name: str, tmp_path: Path) -> None:
    assert GOLDEN[name](tmp_path) == (FOLDER / name).read_text(encoding="utf-8")


def test_no_golden_file_is_forgotten() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.suffix in {".txt", ".csv"}} == set(GOLDEN)
