from __future__ import annotations

from pathlib import Path

import pytest

from fer_batch.engine.due import LATER_ATTEMPT, Due, judge
from fer_batch.storage import write_json

MADE_FROM = {"source": {"bytes": 1}, "settings": {"every": 1}, "results_version": 1}


@pytest.mark.parametrize(
    ("status", "made_from", "retry", "force", "due"),
    [
        ("ok", MADE_FROM, False, False, Due.FINISHED),
        ("ok", MADE_FROM, True, False, Due.FINISHED),
        ("ok", MADE_FROM, False, True, Due.FORCED),
        ("ok", MADE_FROM | {"results_version": 2}, False, False, Due.CHANGED),
        ("ok", MADE_FROM | {"source": {"bytes": 2}}, False, False, Due.CHANGED),
        ("partial", MADE_FROM, False, False, Due.WAITING),
        ("failed", MADE_FROM, False, False, Due.WAITING),
        ("failed", MADE_FROM, True, False, Due.RETRY),
        ("failed", MADE_FROM | {"settings": {}}, False, False, Due.CHANGED),
    ],
)
def test_what_lies_on_the_disk_decides(
    tmp_path: Path, status: str, made_from: dict, retry: bool, force: bool, due: Due
) -> None:
    write_json(tmp_path / "manifest.json", {"status": status, "made_from": made_from})
    assert judge(tmp_path / "manifest.json", MADE_FROM, retry=retry, force=force) is due


@pytest.mark.parametrize(
    ("tried", "retry", "due"),
    [
        (MADE_FROM, False, Due.WAITING),
        (MADE_FROM, True, Due.CHANGED),
        (MADE_FROM | {"source": {"bytes": 3}}, False, Due.CHANGED),
    ],
)
def test_what_failed_to_be_replaced_waits_for_a_retry(
    tmp_path: Path, tried: dict, retry: bool, due: Due
) -> None:
    before = {"status": "ok", "made_from": {"source": {"bytes": 2}}, LATER_ATTEMPT: {"made_from": tried}}
    write_json(tmp_path / "manifest.json", before)
    assert judge(tmp_path / "manifest.json", MADE_FROM, retry=retry, force=False) is due


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"status": "ok"}'])
def test_no_manifest_or_a_damaged_one_is_as_if_never_done(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    due = judge(tmp_path / "manifest.json", MADE_FROM, retry=False, force=False)
    assert due is Due.NEW
    assert due.to_do
