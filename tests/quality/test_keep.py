"""The list of what is kept by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_batch.errors import InputError, UsageError
from fer_batch.quality.keep import read_kept
from fer_batch.quality.pictures import Records

RECORDS = Records(["00000", "00001", 'a, "b".png'], np.arange(3), ["train"] * 3, np.zeros(3, np.int64))


@pytest.mark.parametrize(
    "text",
    [
        '00001\n"a, ""b"".png"\n',
        '\ufeff00001\n\n"a, ""b"".png"',
        'split,id,reason\ntrain,00001,"dark, and more"\nval,"a, ""b"".png",\n',
        '  \n00001\r\n \t \na, "b".png \n',
        '\nid,reason\n00001,\n , \n"a, ""b"".png",dark',
    ],
)
def test_ids_in_lines_or_in_a_column(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keep.csv"
    path.write_text(text, encoding="utf-8")
    kept, lacking = read_kept(path, RECORDS)
    assert kept.tolist() == [False, True, True]
    assert lacking == []


def test_what_an_earlier_step_dropped_is_passed_over_and_told(tmp_path: Path) -> None:
    path = tmp_path / "keep.csv"
    path.write_text('id,reason\n00007,dark\n00001,\n"c, d",\n', encoding="utf-8")
    kept, lacking = read_kept(path, RECORDS, {"00001", "00007", "c, d"})
    assert kept.tolist() == [False, True, False]
    assert lacking == ["00007", "c, d"]
    with pytest.raises(UsageError, match="line 4, 'c, d', is no picture"):
        read_kept(path, RECORDS, {"00007"})


def test_an_id_may_be_written_as_a_cell_that_no_spreadsheet_runs(tmp_path: Path) -> None:
    path = tmp_path / "keep.csv"
    for text in ("id,reason\n'=7,dark\n00001,\n", "'=7\n00001\n", "=7\n00001\n"):
        path.write_text(text, encoding="utf-8")
        kept, lacking = read_kept(path, RECORDS, {"=7"})
        assert (kept.tolist(), lacking) == ([False, True, False], ["=7"])


def test_an_id_that_is_none_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "keep.txt"
    path.write_text("00001\n\n7, of val\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"keep\.txt: line 3, '7, of val', is no picture"):
        read_kept(path, RECORDS)
    path.write_text('id,reason\n00001,"dark,\n and more"\n,dark\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"keep\.txt: line 4, '', is no picture"):
        read_kept(path, RECORDS)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_kept(tmp_path / "nowhere", RECORDS)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="cannot be read"):
        read_kept(tmp_path / "binary", RECORDS)
