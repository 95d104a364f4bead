"""The project's own promises: layers, documents, licences."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fer_batch import storage
from fer_batch.annotation.suffixes import STILL_SUFFIXES, UNREAD_SUFFIXES, VIDEO_SUFFIXES
from fer_batch.dataset.writer import REJECTED_COLUMNS
from fer_batch.model.onnx_file import default_model, load_card
from fer_batch.quality.checks import CHECKS
from fer_batch.quality.clean import DROPPED_COLUMNS
from fer_batch.settings import CheckName, FilterSettings, TrainSettings, build
from fer_batch.storage import Column, file_sha256
from fer_batch.training.recipes import load_recipe

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ("macro_f1", "balanced_accuracy", "loss", "ece")
TABLES = (
    storage.DATASET_COLUMNS,
    storage.VOTE_COLUMNS,
    storage.FACE_COLUMNS,
    storage.QUALITY_PARTS,
    storage.LANDMARK_COLUMNS,
    storage.FRAME_COLUMNS,
    storage.SUMMARY_COLUMNS,
    storage.PREDICTION_COLUMNS,
    storage.MEASUREMENT_COLUMNS,
    storage.VERDICT_COLUMNS,
)


def test_imports_point_down_only() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "column", [column for table in TABLES for column in table], ids=lambda column: column.name
)
def test_every_column_is_explained(column: Column) -> None:
    explained = (ROOT / "docs" / "columns.md").read_text(encoding="utf-8")
    assert re.search(
        rf"^\| `{column.name}` \| [a-z/]+ \| {re.escape(column.meaning)} \|$", explained, re.MULTILINE
    )


@pytest.mark.parametrize("columns", [REJECTED_COLUMNS, DROPPED_COLUMNS], ids=["rejected", "dropped"])
def test_every_list_is_explained(columns: tuple[str, ...]) -> None:
    explained = (ROOT / "docs" / "columns.md").read_text(encoding="utf-8")
    assert any(re.findall(r"`(\w+)`", cells) == list(columns) for cells in explained.split(" | "))


def test_every_suffix_that_is_read_is_listed() -> None:
    formats = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    listed = [
        set(re.findall(r"`(\.[\w-]+)`", line)) for line in formats.splitlines() if line.startswith("`.")
    ]
    assert listed == [VIDEO_SUFFIXES, STILL_SUFFIXES, set(UNREAD_SUFFIXES)]


@pytest.mark.parametrize("name", CHECKS)
def test_the_readme_explains_every_check(name: CheckName) -> None:
    settings, readme = FilterSettings(), (ROOT / "README.md").read_text(encoding="utf-8")
    threshold, dropped = getattr(settings.thresholds, name), "yes" if name in settings.drop else ""
    assert f"| `{name}` | {CHECKS[name].meaning} | {threshold:g} | {dropped} |" in readme


def test_the_bundled_model_is_small_and_its_recipe_is_known() -> None:
    assert default_model().stat().st_size <= 12_000_000
    recipe = build(TrainSettings, load_recipe("distilled"))
    assert build(TrainSettings, load_card(default_model()).training["settings"]) == recipe


def test_the_model_card_states_the_bundled_models_figures() -> None:
    text = (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8")
    size, sha256 = default_model().stat().st_size, file_sha256(default_model())
    assert f"{size:,} bytes, SHA-256 `{sha256}`" in text
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for head, figures in load_card(default_model()).figures["val"].items():
        row = (f"{figures['accuracy']:.2%}", *(f"{figures[name]:.3f}" for name in FIGURES))
        assert f"| `{head}` | {figures['n']:,} | {' | '.join(row)} |" in text
        assert f"| {figures['accuracy']:.1%} | {figures['macro_f1']:.3f} |" in readme
    for label, row in load_card(default_model()).figures["val"]["fer2013"]["per_class"].items():
        assert f"| {label} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} |" in text


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "CHANGELOG.md"])
def test_the_papers_are_in_order(name: str) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8")) > 500
