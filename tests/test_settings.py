"""Settings come from defaults, a file and the command line, in that order, and are checked."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.errors import UsageError
from fer_batch.settings import (
    AnnotateSettings,
    AugmentSettings,
    FilterSettings,
    PrivacySettings,
    TrainSettings,
    build,
    dump_toml,
    load_toml,
    merge,
    validated,
)


@given(
    epochs=st.integers(1, 1000),
    dropout=st.floats(0, 0.99),
    flip=st.floats(0, 1),
    weighting=st.booleans(),
    teacher=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=2),
)
def test_toml_round_trip(
    epochs: int, dropout: float, flip: float, weighting: bool, teacher: list[str]
) -> None:
    values = {
        "epochs": epochs,
        "dropout": dropout,
        "augment": {"flip": flip},
        "loss": {"class_weighting": weighting},
        "teacher": teacher,
    }
    settings = build(TrainSettings, values)
    assert build(TrainSettings, tomllib.loads(dump_toml(settings))) == settings


def test_what_is_not_named_keeps_its_default() -> None:
    settings = build(TrainSettings, {"augment": {"rotation": 5.0}})
    assert settings.augment == AugmentSettings(rotation=5.0)
    assert settings.epochs == TrainSettings().epochs


def test_command_line_over_file_over_default() -> None:
    file = {"epochs": 7, "augment": {"flip": 0.1, "rotation": 3.0}}
    merged = merge(file, {"epochs": None, "seed": 4, "augment": {"flip": 0.9}})
    settings = build(TrainSettings, merged)
    assert (settings.epochs, settings.seed) == (7, 4)
    assert (settings.augment.flip, settings.augment.rotation) == (0.9, 3.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs is 0, must be greater than or equal to 1"),
        ({"epoch": 3}, "there is no setting 'epoch'"),
        ({"augment": {"flip": 1.5}}, "augment.flip is 1.5"),
        ({"augment": {"rotate": 1.5}}, "there is no setting 'augment.rotate'"),
        ({"arch": "vgg"}, "arch is 'vgg', must be 'se_resnet' or 'cnn7'"),
    ],
)
def test_a_setting_that_cannot_be_is_named(values: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(TrainSettings, values, origin="run.toml")


def test_a_value_of_one_of_several_kinds_is_named_once() -> None:
    message = r"^run\.toml: detection\.size is 16, must be 'auto' or must be greater than or equal to 32$"
    with pytest.raises(UsageError, match=message):
        build(AnnotateSettings, {"detection": {"size": 16}}, origin="run.toml")


@pytest.mark.parametrize("over", [{"smoothing": {"seconds": None}}, {"smoothing": {"seconds": 1.0}}])
def test_what_should_be_a_table_is_not_passed_over(over: dict) -> None:
    with pytest.raises(UsageError, match="smoothing is 0, must be a table"):
        build(AnnotateSettings, merge({"smoothing": 0}, over))


@pytest.mark.parametrize("values", [{"detection": {"min_face": math.inf}}, {"tracking": {"max_gap_s": 61}}])
def test_what_would_never_end_is_refused(values: dict) -> None:
    with pytest.raises(UsageError, match=r"min_face|max_gap_s"):
        build(AnnotateSettings, values)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(UsageError, match=r"run\.toml: .*epochs.*batch_size"):
        build(TrainSettings, {"epochs": 0, "batch_size": 0}, origin="run.toml")


def test_settings_made_in_python_are_checked_too() -> None:
    with pytest.raises(UsageError, match="dropout"):
        validated(TrainSettings, TrainSettings(dropout=2.0))
    assert validated(TrainSettings, None) == TrainSettings()


@pytest.mark.parametrize("settings", [{"epochs": 3}, FilterSettings(), TrainSettings])
def test_settings_of_another_kind_are_refused(settings: Any) -> None:
    with pytest.raises(UsageError, match="expected TrainSettings, found"):
        validated(TrainSettings, settings)


def test_files_that_are_no_settings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_toml(tmp_path / "gone.toml")
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    with pytest.raises(UsageError, match="is not TOML"):
        load_toml(tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(UsageError, match="cannot be read"):
        load_toml(tmp_path / "latin.toml")


def test_an_end_before_the_start_cannot_be() -> None:
    with pytest.raises(UsageError, match=r"before sampling\.start_s"):
        build(AnnotateSettings, {"sampling": {"start_s": 5, "end_s": 3}})


def test_what_is_blurred_is_shown() -> None:
    assert build(AnnotateSettings, {"privacy": {"blur": True}}).overlay
    assert validated(AnnotateSettings, AnnotateSettings(privacy=PrivacySettings(blur=True))).overlay
    assert not build(AnnotateSettings, {}).overlay


def test_endless_numbers_cannot_be() -> None:
    with pytest.raises(UsageError, match=r"sampling\.fps is inf"):
        build(AnnotateSettings, {"sampling": {"fps": float("inf")}})
