"""Evaluating the bundled model on small data: which rows, which labels, which files."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets_made import write_stripes
from networks_made import write_model
from processes import run

from fer_batch.dataset import load_split, prepare
from fer_batch.errors import DatasetFormatError, InputError, OutputError, UsageError
from fer_batch.inference.classifier import Classifier
from fer_batch.model.onnx_file import default_model, load_card
from fer_batch.settings import EvaluateSettings, ExpectedShares, Head
from fer_batch.storage import PREDICTION_COLUMNS, read_json
from fer_batch.training import evaluate, evaluation
from fer_batch.training.evaluation import head_labels


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("stripes"))


def test_figures_are_those_of_the_files_one_forward_pass(dataset: Path, tmp_path: Path) -> None:
    result = evaluate("default", dataset, tmp_path)
    split = load_split(dataset, "val")
    probabilities = Classifier(default_model(), head="fer2013").probabilities(split.images)
    assert result.metrics["accuracy"] == (probabilities.argmax(1) == split.labels).mean()
    assert read_json(tmp_path / "metrics.json") == result.metrics
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.column_names == [column.name for column in PREDICTION_COLUMNS]
    assert table["id"].to_pylist() == split.ids
    np.testing.assert_allclose(table["happy"].to_numpy(), probabilities[:, 3], atol=1e-5)
    assert {path.name for path in tmp_path.iterdir()} == {
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "metrics.json",
        "predictions.parquet",
        "unreadable.csv",
    }


def test_twins_of_training_pictures_are_found_and_left_out(dataset: Path, tmp_path: Path) -> None:
    metrics = evaluate("default", dataset, tmp_path).metrics
    assert (metrics["n"], metrics["without_training_twins"]["n"]) == (35, 34)
    twins = pq.read_table(tmp_path / "predictions.parquet")["training_twin"].to_pylist()
    assert twins == [True] + [False] * 34
    on_train = evaluate("default", dataset, tmp_path, EvaluateSettings(split="train")).metrics
    assert on_train["without_training_twins"] is None


def test_flip_averages_the_mirror_image(dataset: Path, tmp_path: Path) -> None:
    evaluate("default", dataset, tmp_path, EvaluateSettings(flip=True, batch_size=8))
    images = load_split(dataset, "val").images
    classifier = Classifier(default_model(), head="fer2013")
    mirrored = classifier.probabilities(np.ascontiguousarray(images[:, :, ::-1]))
    wanted = (classifier.probabilities(images) + mirrored) / 2
    found = pq.read_table(tmp_path / "predictions.parquet")["sad"].to_numpy()
    np.testing.assert_allclose(found, wanted[:, 4], atol=1e-5)


def test_the_crowd_head_is_held_against_the_crowd(dataset: Path, tmp_path: Path) -> None:
    metrics = evaluate("default", dataset, tmp_path, EvaluateSettings(head="crowd")).metrics
    assert (metrics["labels"], metrics["n"]) == ("ferplus_majority", 35)
    rows, labels = head_labels(load_split(dataset, "val"), "crowd")
    assert np.array_equal(labels, load_split(dataset, "val").labels[rows])


def measured_with(metrics: dict[str, Any]) -> tuple[str, Any]:
    return metrics["settings"]["head"], metrics["settings"]["prior"]


def test_fer2013_is_measured_by_the_head_that_learned_its_labels(dataset: Path, tmp_path: Path) -> None:
    for settings in (None, EvaluateSettings(split="test"), EvaluateSettings(split="train", flip=True)):
        metrics = evaluate("default", dataset, tmp_path, settings).metrics
        assert measured_with(metrics) == ("fer2013", "training")
        assert measured_with(read_json(tmp_path / "metrics.json")) == ("fer2013", "training")


def test_any_other_pictures_are_measured_as_annotate_reads(dataset: Path, tmp_path: Path) -> None:
    metrics = evaluate("default", dataset / "images", tmp_path).metrics
    assert measured_with(metrics) == ("crowd", "natural")
    split = load_split(dataset, "val")
    wanted = Classifier(default_model(), head="crowd", prior="natural").probabilities(split.images)
    found = pq.read_table(tmp_path / "predictions.parquet")
    rows = {name: row for row, name in enumerate(found["id"].to_pylist())}
    assert len(rows) == len(split)
    np.testing.assert_allclose(sorted(found["neutral"].to_pylist()), np.sort(wanted[:, 6]), atol=1e-5)
    prepare(dataset / "images", tmp_path / "prepared")  # of class folders, and so it stays
    again = evaluate("default", tmp_path / "prepared", tmp_path / "again").metrics
    assert measured_with(again) == ("crowd", "natural")


def test_what_is_stated_counts_on_any_data(dataset: Path, tmp_path: Path) -> None:
    shares = ExpectedShares(1, 1, 1, 4, 1, 1, 6)
    for data, head, prior in (
        (dataset, "crowd", "balanced"),
        (dataset / "images", "fer2013", "training"),
        (dataset, "fer2013", shares),
    ):
        stated = EvaluateSettings(head=head, prior=prior)
        metrics = evaluate("default", data, tmp_path / head, stated).metrics
        assert measured_with(metrics) == (head, asdict(prior) if prior is shares else prior)
    # One of the two stated leaves the other to the data.
    metrics = evaluate("default", dataset, tmp_path / "crowd", EvaluateSettings(head="crowd")).metrics
    assert measured_with(metrics) == ("crowd", "training")


@pytest.mark.parametrize("head", ["fer2013", "crowd"])
def test_a_model_with_one_head_is_measured_with_it(dataset: Path, tmp_path: Path, head: Head) -> None:
    write_model(tmp_path / "one.onnx", "cnn7", heads=(head,))
    prior = EvaluateSettings(prior="training")
    for data in (dataset, dataset / "images"):
        metrics = evaluate(tmp_path / "one.onnx", data, tmp_path / data.name, prior).metrics
        assert measured_with(metrics) == (head, "training")


def test_the_prior_changes_the_figures_as_it_changes_the_answers(dataset: Path, tmp_path: Path) -> None:
    images = load_split(dataset, "val").images
    for prior in ("training", "natural", "balanced"):
        evaluate("default", dataset, tmp_path, EvaluateSettings(head="crowd", prior=prior))
        wanted = Classifier(default_model(), head="crowd", prior=prior).probabilities(images)
        found = pq.read_table(tmp_path / "predictions.parquet")["angry"].to_numpy()
        np.testing.assert_allclose(found, wanted[:, 0], atol=1e-5)


def test_any_folder_of_class_folders_at_any_size(tmp_path: Path) -> None:
    for name, size in (("happy", 48), ("sadness", 97)):
        (tmp_path / "faces" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "faces" / name / "a.png"), np.full((size, size, 3), 90, np.uint8))
    (tmp_path / "faces" / "happy" / "bad.png").write_text("no picture")
    result = evaluate("default", tmp_path / "faces", tmp_path / "out")
    assert result.metrics["n"] == 2
    assert result.metrics["without_training_twins"] is None
    assert result.metrics["settings"]["split"] is None
    assert [picture.path for picture in result.unreadable] == ["happy/bad.png"]
    listed = (tmp_path / "out" / "unreadable.csv").read_text().splitlines()
    assert listed == ["file,reason", f"happy/bad.png,{result.unreadable[0].reason}"]


def test_of_class_folders_in_splits_the_one_that_is_asked_for(dataset: Path, tmp_path: Path) -> None:
    settings = EvaluateSettings(split="test", head="fer2013", prior="training")
    found = evaluate("default", dataset / "images", tmp_path, settings).metrics
    wanted = evaluate("default", dataset, tmp_path, settings).metrics
    assert (found["n"], found["settings"]["split"], found["data"]["name"]) == (35, "test", "test")
    assert found["loss"] == pytest.approx(wanted["loss"])
    assert found["without_training_twins"]["n"] == 34
    (tmp_path / "faces" / "train" / "happy").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no split 'test': it has train; choose with --split"):
        evaluate("default", tmp_path / "faces", tmp_path, settings)


def test_the_results_of_another_command_are_not_written_over(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="is not empty and holds no evaluation"):
        evaluate("default", dataset, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("stopped_in", ["write_confusion", "_write_predictions", "write_json"])
def test_what_was_stopped_is_measured_anew(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: str
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    written: dict[str, bytes] = {}
    for before in ("nothing", "another evaluation"):
        with monkeypatch.context() as patched:
            patched.setattr(evaluation, stopped_in, stop)
            with pytest.raises(KeyboardInterrupt):
                evaluate("default", dataset, out, EvaluateSettings(flip=True))
        left = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
        assert left == written, before
        assert evaluate("default", dataset, out).metrics == read_json(out / "metrics.json")
        written = {path.name: path.read_bytes() for path in out.iterdir()}
        assert len(written) == 5


@pytest.mark.parametrize("name", ["confusion_matrix.png", "predictions.parquet", ".notes.partial.txt"])
def test_a_users_file_is_not_written_over(dataset: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no evaluation"):
        evaluate("default", dataset, tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*x: File name too long"):
        evaluate("nowhere", tmp_path, tmp_path / ("x" * 300))
    with pytest.raises(OutputError, match=r"cannot write .*caf%E9: its path is no text on one line"):
        evaluate("nowhere", tmp_path, tmp_path / "caf\udce9")
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_measure_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        evaluate("default", tmp_path / "gone", tmp_path / "out")
    with pytest.raises(DatasetFormatError, match="no class folders"):
        evaluate("default", tmp_path, tmp_path / "out")
    (tmp_path / "out").mkdir()
    assert list((tmp_path / "out").iterdir()) == []


def test_it_runs_without_pytorch(dataset: Path, tmp_path: Path) -> None:
    program = (
        "import sys, fer_batch\n"
        "n = fer_batch.evaluate('default', sys.argv[1], sys.argv[2]).metrics['n']\n"
        "print(n, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(dataset), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "35 False\n"


def test_the_command_prints_the_figures(dataset: Path, tmp_path: Path) -> None:
    done = run("evaluate", "default", dataset, tmp_path / "out", "--split", "test", "--flip")
    assert done.returncode == 0
    assert "fer2013 head on test, two views, prior training, labels from data" in done.stdout
    assert "without training twins" in done.stdout
    wrong = run("evaluate", "default", dataset, tmp_path / "out", "--split", "exam")
    assert wrong.returncode == 2


def test_the_bundled_model_gives_its_cards_figures(shared_data: Path) -> None:
    table = pq.read_table(shared_data / "fer2013_train_public.parquet").to_pydict()
    rows = [row for row, usage in enumerate(table["Usage"]) if usage == "PublicTest"]
    images = [cv2.imdecode(np.frombuffer(table["png"][row], np.uint8), cv2.IMREAD_GRAYSCALE) for row in rows]
    labels = np.array([table["emotion"][row] for row in rows])
    classifier = Classifier(default_model(), head="fer2013")
    found = (classifier.probabilities(np.stack(images)).argmax(1) == labels).mean()
    assert found == pytest.approx(load_card(default_model()).figures["val"]["fer2013"]["accuracy"], abs=1e-3)
    assert found >= 0.68
