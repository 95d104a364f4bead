"""The checks: one threshold, one meaning and one reason each; what cannot be read is judged by nothing."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import numpy as np
import pytest

from fer_batch.quality.checks import BY_OUT_OF_FOLD, CHECKS, find_issues, score_all
from fer_batch.settings import CheckName, FilterSettings, ThresholdSettings
from fer_batch.storage import MEASUREMENT_COLUMNS, PICTURE_COLUMNS


def columns(count: int) -> dict[str, np.ndarray]:
    """Measurements of ordinary pictures without an issue."""
    made: dict[str, np.ndarray] = {}
    for column in (*PICTURE_COLUMNS, *MEASUREMENT_COLUMNS):
        kind = str(column.type)
        value = {"string": "", "int64": -1}.get(kind, 0.0)
        made[column.name] = np.full(count, value, {"string": object, "int64": np.int64}.get(kind, np.float32))
    ordinary = {"deviation": 50, "dark_tenth": 40, "light_tenth": 200, "contrast": 170, "sharpness": 0.4}
    for name, value in (ordinary | {"face_score": 0.9, "face_size": 1}).items():
        made[name][:] = value
    made["split"][:] = "train"
    made["label"][:] = np.arange(count) % 7
    made["suggested_label"] = made["label"].copy()
    return made


def test_every_check_has_a_name_a_threshold_and_an_entry() -> None:
    assert set(CHECKS) == set(get_args(CheckName)) == {field.name for field in fields(ThresholdSettings)}
    assert set(FilterSettings().drop) <= set(CHECKS)
    assert set(CHECKS) >= BY_OUT_OF_FOLD


def test_ordinary_pictures_have_no_issue() -> None:
    found = find_issues(score_all(columns(20)), ThresholdSettings())
    assert {name: int(flags.sum()) for name, flags in found.items() if flags.any()} == {}


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("unreadable", {"unreadable": "broken"}),
        ("blank", {"deviation": 0}),
        ("dark", {"light_tenth": 40}),
        ("bright", {"dark_tenth": 220}),
        ("low_contrast", {"contrast": 20}),
        ("blurry", {"sharpness": 0.21}),
        ("not_a_face", {"no_face": 0.9}),
        ("occluded", {"eyes_hidden": 0.9}),
        ("occluded", {"mouth_hidden": 0.9}),
        ("watermark", {"print": 0.9}),
        ("off_centre", {"face_roll": 80}),
        ("near_duplicate", {"near_similarity": 0.99}),
        ("cross_split_leak", {"leak_similarity": 0.99}),
        ("outlier", {"oddness": 0.99}),
        ("label_issue", {"label_doubt": 0.99}),
    ],
)
def test_each_check_sees_its_own(check: CheckName, changes: dict) -> None:
    measured = columns(3)
    for name, value in changes.items():
        measured[name][1] = value
    found = find_issues(score_all(measured), ThresholdSettings())
    assert found[check].tolist() == [False, True, False]
    values = {name: column[1] for name, column in measured.items()} | {"leaked_from": "00000"}
    assert "{" not in CHECKS[check].reason.format(**values)


def test_copies_and_contradictions_follow_from_groups_and_labels() -> None:
    measured = columns(6)
    measured["exact_group"][:] = [0, -1, 0, 1, 1, 0]
    measured["label"][:] = [3, 0, 3, 1, 2, -1]
    found = find_issues(score_all(measured), ThresholdSettings())
    assert found["exact_duplicate"].tolist() == [False, False, True, False, True, True]
    assert found["contradictory_duplicate"].tolist() == [False, False, False, True, True, False]


def test_where_there_is_no_face_nothing_hides_one() -> None:
    measured = columns(1)
    measured["eyes_hidden"][:] = measured["no_face"][:] = 0.95
    assert score_all(measured)["occluded"][0] < 0.1


def test_what_cannot_be_read_is_judged_by_nothing_else() -> None:
    measured = columns(2)
    measured["unreadable"][0] = "not a picture that can be decoded"
    scores = score_all(measured)
    assert all(np.isnan(values[0]) for name, values in scores.items() if name != "unreadable")


def test_what_was_not_measured_is_no_issue() -> None:
    measured = columns(2)
    measured["label_doubt"][:] = measured["oddness"][:] = np.nan
    found = find_issues(score_all(measured), ThresholdSettings(label_issue=0.0))
    assert not found["label_issue"].any()
