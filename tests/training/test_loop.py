"""Training learns, records, and goes on after a kill as if nothing had been."""

from __future__ import annotations

import csv
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets_made import write_stripes
from processes import run, stop_when
from runtimes import needs_cuda

from fer_batch.dataset import prepare
from fer_batch.errors import InputError, ModelError, OutputError, UsageError
from fer_batch.inference.classifier import Classifier
from fer_batch.model.architectures import Network
from fer_batch.model.checkpoint import load_checkpoint
from fer_batch.model.crop_geometry import CropGeometry
from fer_batch.model.onnx_file import load_card
from fer_batch.settings import Head, TrainRuntime, TrainSettings, build, load_toml
from fer_batch.storage import file_sha256, read_json, write_json
from fer_batch.training import loop, run_folder, train
from fer_batch.training.augment import move
from fer_batch.training.data import load_training_data
from fer_batch.training.loop import fit
from fer_batch.training.teacher import Teacher

SHORT = {"epochs": 3, "batch_size": 16, "width": 0.5, "optimizer": {"learning_rate": 1e-3}}
TINY = {"epochs": 1, "batch_size": 16, "width": 0.25}
CPU = TrainRuntime(device="cpu", threads=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_folder = tmp_path_factory.mktemp("runs") / "short"
    train(dataset, run_folder, build(TrainSettings, SHORT), runtime=CPU)
    return run_folder


def history(run_folder: Path) -> list[dict[str, str]]:
    with (run_folder / "history.csv").open() as stream:
        return [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(stream)
        ]


def test_a_run_folder_holds_all_it_should(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        ".lock",
        "best.safetensors",
        "checkpoint.safetensors",
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "curves.png",
        "history.csv",
        "manifest.json",
        "model.onnx",
        "settings.toml",
    }
    manifest = read_json(trained / "manifest.json")
    assert (manifest["status"], manifest["epochs"], manifest["data"]["train"]) == ("ok", 3, 140)
    assert len(manifest["data"]["fingerprint"]) == 64
    assert build(TrainSettings, load_toml(trained / "settings.toml")) == build(TrainSettings, SHORT)
    rows = history(trained)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["train_loss"]) < float(rows[0]["train_loss"])


def test_the_model_is_the_best_epoch_with_its_card(trained: Path) -> None:
    card, manifest = load_card(trained / "model.onnx"), read_json(trained / "manifest.json")
    best = max(history(trained), key=lambda row: float(row["val_accuracy"]))
    assert card.training["epoch"] == manifest["best_epoch"] == int(best["epoch"])
    assert set(card.heads) == {"fer2013", "crowd"}
    assert card.figures["val"] == manifest["figures"]["val"]
    assert card.figures["val"]["fer2013"]["n"] == 35
    assert card.training["data_fingerprint"] == manifest["data"]["fingerprint"]
    assert Classifier(trained / "model.onnx").probabilities(np.zeros((2, 48, 48), np.uint8)).shape == (2, 7)


def test_killed_and_resumed_it_follows_the_same_curve(dataset: Path, trained: Path, tmp_path: Path) -> None:
    settings = tmp_path / "short.toml"
    settings.write_text("epochs = 3\nbatch_size = 16\nwidth = 0.5\n[optimizer]\nlearning_rate = 1e-3\n")
    arguments = ("train", dataset, tmp_path / "run", "--config", settings, "--device", "cpu", "--threads", 2)
    code, _ = stop_when((tmp_path / "run" / "history.csv").exists, *arguments)
    assert code == -signal.SIGKILL
    assert not (tmp_path / "run" / "model.onnx").exists()
    refused = run(*arguments)
    assert refused.returncode == 2
    assert "--resume continues it" in refused.stderr
    done = run(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert history(tmp_path / "run") == history(trained)
    for name in ("best", "checkpoint"):
        resumed, _ = load_checkpoint(tmp_path / "run" / f"{name}.safetensors")
        undisturbed, _ = load_checkpoint(trained / f"{name}.safetensors")
        assert resumed.keys() == undisturbed.keys()
        for key, tensor in undisturbed.items():
            torch.testing.assert_close(resumed[key], tensor, rtol=1e-4, atol=1e-5)


@needs_cuda
@pytest.mark.parametrize("compiled", [False, True])
def test_on_cuda_it_learns_as_well(dataset: Path, trained: Path, tmp_path: Path, *, compiled: bool) -> None:
    augment = {"blur": 1.0, "noise": 8.0, "erase": 0.5, "mixup": 0.2, "framed": 0.5}
    settings = SHORT | {"epochs": 12, "teacher": [str(trained)], "teacher_views": 2, "early_share": 0.3}
    result = train(
        dataset,
        tmp_path / "run",
        build(TrainSettings, settings | {"augment": augment}),
        runtime=TrainRuntime(device="cuda", compile=compiled),
    )
    how = {"from_epoch": 1, "device": "cuda", "precision": "bf16", "compiled": compiled}
    assert read_json(tmp_path / "run" / "manifest.json")["trained_on"] == [how]
    assert result.figures["fer2013"]["accuracy"] > 0.5


def test_resuming_a_finished_run_changes_nothing(dataset: Path, trained: Path) -> None:
    before = (trained / "model.onnx").read_bytes()
    result = train(dataset, trained, build(TrainSettings, SHORT), runtime=CPU, resume=True)
    assert (result.epochs, (trained / "model.onnx").read_bytes()) == (3, before)


def test_until_it_is_calibrated_there_is_no_other_model(
    dataset: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> float:
        raise KeyboardInterrupt

    copy = shutil.copytree(trained, tmp_path / "run")
    (copy / "model.onnx").write_text("the former")
    (copy / "history.csv").unlink()  # as if killed between the checkpoint and its row
    monkeypatch.setattr(run_folder, "calibrate", killed)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, copy, build(TrainSettings, SHORT), runtime=CPU, resume=True)
    assert (copy / "model.onnx").read_text() == "the former"
    assert history(copy) == history(trained)


def test_what_is_no_run_is_not_gone_on_with(dataset: Path, trained: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(trained, tmp_path / "run")
    shutil.copy(copy / "best.safetensors", copy / "checkpoint.safetensors")
    with pytest.raises(ModelError, match="is no checkpoint of this run: put its own back"):
        train(dataset, copy, build(TrainSettings, SHORT), runtime=CPU, resume=True)
    for other in ("[]", '{"settings": []}'):
        (copy / "manifest.json").write_text(other)
        with pytest.raises(InputError, match=r"manifest\.json is not the manifest of a run"):
            train(dataset, copy, build(TrainSettings, SHORT), runtime=CPU, resume=True)


def test_fitting_in_memory_is_the_same_training_without_the_export(
    dataset: Path, trained: Path, tmp_path: Path
) -> None:
    settings = build(TrainSettings, SHORT)
    data = load_training_data(dataset, settings)
    told: list[tuple[str, int, int | None]] = []
    fitted = fit(data, tmp_path, settings, runtime=CPU, progress=lambda *values: told.append(values))
    best, _ = load_checkpoint(trained / "best.safetensors")
    for name, tensor in fitted.state_dict().items():
        torch.testing.assert_close(tensor, best[name], rtol=1e-4, atol=1e-5)
    assert told == [("training", batch, 3 * 8) for batch in range(1, 3 * 8 + 1)]
    assert not (tmp_path / "model.onnx").exists()
    again = fit(data, tmp_path, settings, runtime=CPU, progress=lambda *values: told.append(values))
    assert len(told) == 3 * 8
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in fitted.state_dict().items())


def test_other_settings_cannot_resume(dataset: Path, trained: Path) -> None:
    with pytest.raises(UsageError, match="other settings: epochs was 3, now 4"):
        train(dataset, trained, build(TrainSettings, SHORT | {"epochs": 4}), runtime=CPU, resume=True)


def test_a_run_of_an_earlier_release_goes_on(dataset: Path, trained: Path, tmp_path: Path) -> None:
    run_folder = shutil.copytree(trained, tmp_path / "run")
    manifest = read_json(run_folder / "manifest.json")
    del manifest["settings"]["start"], manifest["settings"]["augment"]["framed"]
    del manifest["heads"], manifest["note"]
    write_json(run_folder / "manifest.json", manifest)
    assert train(dataset, run_folder, build(TrainSettings, SHORT), runtime=CPU, resume=True).epochs == 3
    manifest["settings"]["of_later"] = 1
    write_json(run_folder / "manifest.json", manifest)
    with pytest.raises(UsageError, match=r"manifest\.json: there is no setting 'of_later'"):
        train(dataset, run_folder, build(TrainSettings, SHORT), runtime=CPU, resume=True)


def test_other_data_cannot_resume(trained: Path, tmp_path: Path) -> None:
    other = write_stripes(tmp_path, train=70)
    with pytest.raises(UsageError, match="other data"):
        train(other, trained, build(TrainSettings, SHORT), runtime=CPU, resume=True)


def test_a_folder_with_something_else_is_not_touched(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="holds no run"):
        train(dataset, tmp_path, build(TrainSettings, SHORT), runtime=CPU)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_run_folder_that_cannot_be_is_refused_first(dataset: Path, tmp_path: Path) -> None:
    settings = build(TrainSettings, SHORT)
    with pytest.raises(OutputError, match=r"cannot write .*x: File name too long"):
        train(dataset, tmp_path / ("x" * 300), settings, runtime=CPU)
    with pytest.raises(OutputError, match=r"cannot write .*caf%E9: its path is no text on one line"):
        train(dataset, tmp_path / "caf\udce9", settings, runtime=CPU)
    assert list(tmp_path.iterdir()) == []


def test_the_results_of_another_command_are_no_run(dataset: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {"status": "ok", "settings": {}, "made_from": {}})
    for resume in (False, True):
        with pytest.raises(InputError, match=r"manifest\.json is not the manifest of a run"):
            train(dataset, tmp_path, build(TrainSettings, SHORT), runtime=CPU, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_finished_run_without_its_checkpoint_is_not_trained_anew(
    dataset: Path, trained: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(trained, tmp_path / "run")
    (copy / "checkpoint.safetensors").unlink()
    with pytest.raises(UsageError, match=r"is finished, and its checkpoint\.safetensors is gone"):
        train(dataset, copy, build(TrainSettings, SHORT), runtime=CPU, resume=True)
    assert (copy / "model.onnx").read_bytes() == (trained / "model.onnx").read_bytes()


def test_the_best_weights_are_the_checkpoints(dataset: Path, trained: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(trained, tmp_path / "run")
    _, header = load_checkpoint(copy / "best.safetensors")
    (copy / "best.safetensors").write_bytes(b"of an epoch that a kill undid")
    (copy / ".checkpoint.1.partial.safetensors").write_bytes(b"half of one")
    (copy / "model.onnx").unlink()
    result = train(dataset, copy, build(TrainSettings, SHORT), runtime=CPU, resume=True)
    tensors, found = load_checkpoint(copy / "best.safetensors")
    assert found == header == {"epoch": result.best_epoch}
    kept, _ = load_checkpoint(trained / "best.safetensors")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in tensors.items())
    assert {path.name for path in copy.iterdir()} == {path.name for path in trained.iterdir()}


def test_what_a_run_goes_on_with_is_written_down(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate, epochs = loop._validate, []

    def stopping(*arguments: object, **options: object) -> dict[str, float]:
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return validate(*arguments, **options)

    monkeypatch.setattr(loop, "_validate", stopping)
    settings = build(TrainSettings, SHORT)
    fp32, bf16 = (TrainRuntime(device="cpu", precision=precision) for precision in ("fp32", "bf16"))
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path / "run", settings, runtime=fp32)
    result = train(dataset, tmp_path / "run", settings, runtime=bf16, resume=True)
    assert read_json(result.run / "manifest.json")["trained_on"] == [
        {"from_epoch": 1, "device": "cpu", "precision": "fp32", "compiled": False},
        {"from_epoch": 2, "device": "cpu", "precision": "bf16", "compiled": False},
    ]
    assert "on another curve: precision was 'fp32', now 'bf16'" in caplog.text
    before = (result.run / "manifest.json").read_bytes()
    train(dataset, result.run, settings, runtime=fp32, resume=True)  # trains nothing
    assert (result.run / "manifest.json").read_bytes() == before


def test_without_votes_there_is_one_head_and_a_holdout_without_val(trained: Path, tmp_path: Path) -> None:
    dataset = write_stripes(tmp_path, ferplus=False)
    (dataset / "val.parquet").unlink()
    settings = build(TrainSettings, SHORT | {"epochs": 2, "loss": {"class_weighting": True}})
    told: list[tuple[str, int, int | None]] = []
    result = train(
        dataset, tmp_path / "run", settings, runtime=CPU, progress=lambda *values: told.append(values)
    )
    assert set(result.figures) == {"fer2013"}
    assert result.figures["fer2013"]["n"] == 8  # of 140, by their hashes
    assert read_json(result.run / "manifest.json")["heads"] == {"fer2013": "labels"}
    assert result.note is not None
    assert read_json(result.run / "manifest.json")["note"] == result.note
    # Its head for votes that are not here stays behind.
    begun = train(dataset, tmp_path / "next", replace(settings, epochs=1, start=str(trained)), runtime=CPU)
    assert set(begun.figures) == {"fer2013"}
    assert told == [(f"epoch {epoch}/2", batch, 8) for epoch in (1, 2) for batch in range(1, 9)]


def test_a_holdout_without_rows_is_named(tmp_path: Path) -> None:
    dataset = write_stripes(tmp_path, train=4, held_out=1, ferplus=False)
    (dataset / "val.parquet").unlink()
    with pytest.raises(UsageError, match=r"holdout is 1e-06: of the 4 labelled training pictures"):
        load_training_data(dataset, TrainSettings(holdout=1e-6))


def test_a_holdout_is_the_same_with_every_seed_and_keeps_copies_together(tmp_path: Path) -> None:
    write_stripes(tmp_path, train=40, held_out=0, ferplus=False)
    header, *rows = (tmp_path / "fer2013.csv").read_text().splitlines()
    thrice = tmp_path / "thrice.csv"
    thrice.write_text("\n".join([header, *rows * 3]))
    dataset = tmp_path / "thrice"
    prepare(thrice, dataset)
    (dataset / "val.parquet").unlink(missing_ok=True)
    first, again = (load_training_data(dataset, TrainSettings(holdout=0.21, seed=seed)) for seed in (0, 1))
    assert len(first.train) + len(first.val) == 120
    assert len(first.val) % 3 == 0
    assert first.fingerprint == again.fingerprint
    assert not set(first.val.sha256) & set(first.train.sha256)
    # What a run has learned from is nothing that one which starts from it is chosen by.
    for holdout in (0.3, 0.5, 0.8):
        larger = load_training_data(dataset, TrainSettings(holdout=holdout))
        fewer, more = sorted((set(first.val.sha256), set(larger.val.sha256)), key=len)
        assert fewer <= more


def test_one_picture_is_not_learned_from(tmp_path: Path) -> None:
    dataset = write_stripes(tmp_path, train=1, held_out=2)
    with pytest.raises(UsageError, match="has 1 labelled training picture: batch statistics need 2"):
        train(dataset, tmp_path / "run", build(TrainSettings, SHORT | {"arch": "cnn7"}), runtime=CPU)


def test_without_a_majority_to_be_measured_on_a_head_has_no_figures(tmp_path: Path) -> None:
    write_stripes(tmp_path, train=14, held_out=7)
    votes = (tmp_path / "votes.csv").read_text().splitlines()
    votes = [",".join([*row.split(",")[:2], *"1" * 10]) if "PublicTest" in row else row for row in votes]
    (tmp_path / "votes.csv").write_text("\n".join(votes) + "\n")
    prepare(tmp_path / "fer2013.csv", tmp_path / "torn", ferplus=tmp_path / "votes.csv")
    settings = build(TrainSettings, {"epochs": 1, "batch_size": 14, "width": 0.25})
    result = train(tmp_path / "torn", tmp_path / "run", settings, runtime=CPU)
    assert (result.figures["crowd"]["n"], result.figures["fer2013"]["n"]) == (0, 7)
    assert load_card(result.model).heads["crowd"] == 1
    assert "val: accuracy -, macro-F1 -, n 0" in run("model", "show", result.run).stdout


def test_cnn7_trains_with_its_recipe_and_stops_early(dataset: Path, tmp_path: Path) -> None:
    values = {
        "arch": "cnn7",
        "epochs": 30,
        "patience": 2,
        "ema_decay": 0.0,
        "optimizer": {"name": "sgd", "learning_rate": 1e-9},
    }
    result = train(dataset, tmp_path / "run", build(TrainSettings, values | {"batch_size": 35}), runtime=CPU)
    assert result.epochs < 30
    assert result.epochs - result.best_epoch == 2


def test_cnn7_takes_no_smaller_pictures(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cnn7 takes pictures of 48 pixels only"):
        train(dataset, tmp_path / "run", build(TrainSettings, {"arch": "cnn7", "early_share": 0.5}))
    assert not (tmp_path / "run").exists()


def test_a_loss_that_diverges_is_named_and_a_lower_rate_begins_anew(dataset: Path, tmp_path: Path) -> None:
    values = {"epochs": 1, "batch_size": 16, "width": 0.25}
    optimizer = {"name": "sgd", "learning_rate": 1e30, "gradient_clip": 0.0, "schedule": "constant"}
    runtime = TrainRuntime(device="cpu", precision="fp32")
    wild = build(TrainSettings, values | {"optimizer": optimizer})
    with pytest.raises(UsageError, match=r"optimizer\.learning_rate is 1e\+30: the loss is (nan|inf)"):
        train(dataset, tmp_path / "run", wild, runtime=runtime)
    # The last step alone shows in what is validated.
    few = write_stripes(tmp_path / "few", train=14, held_out=7)
    once = values | {"batch_size": 14, "optimizer": optimizer | {"learning_rate": 1e20}}
    with pytest.raises(UsageError, match=r"optimizer\.learning_rate is 1e\+20: the loss is (nan|inf)"):
        train(few, tmp_path / "once", build(TrainSettings, once), runtime=runtime)
    tame = build(TrainSettings, values)
    assert train(dataset, tmp_path / "run", tame, runtime=runtime).epochs == 1
    assert build(TrainSettings, load_toml(tmp_path / "run" / "settings.toml")) == tame


def test_it_starts_from_the_best_epoch_of_another_run(dataset: Path, trained: Path, tmp_path: Path) -> None:
    before = shutil.copytree(trained, tmp_path / "before")
    barely = {"epochs": 1, "optimizer": {"learning_rate": 1e-9, "schedule": "constant"}, "ema_decay": 0.0}
    settings = build(TrainSettings, SHORT | barely | {"start": str(before)})
    result = train(dataset, tmp_path / "next", settings, runtime=CPU)
    first, _ = load_checkpoint(before / "best.safetensors")
    then, _ = load_checkpoint(result.run / "best.safetensors")
    weights = [name for name in first if name.endswith("weight")]
    assert weights
    for name in weights:
        torch.testing.assert_close(then[name], first[name], rtol=0, atol=1e-6)
    digest = file_sha256(before / "best.safetensors")
    assert read_json(result.run / "manifest.json")["start"] == {str(before): digest}
    assert load_card(result.model).training["start"] == {str(before): digest}
    shutil.rmtree(before)  # what is begun goes on without it
    assert train(dataset, result.run, settings, runtime=CPU, resume=True).epochs == 1


def test_what_cannot_be_started_from(dataset: Path, trained: Path, tmp_path: Path) -> None:
    nowhere = build(TrainSettings, SHORT | {"start": str(tmp_path)})
    with pytest.raises(ModelError, match=r"start: .* is no run folder with best\.safetensors"):
        train(dataset, tmp_path / "next", nowhere, runtime=CPU)
    assert not (tmp_path / "next" / "manifest.json").exists()
    too_long = build(TrainSettings, SHORT | {"start": str(tmp_path / ("x" * 300))})
    with pytest.raises(ModelError, match=r"start: cannot read .*best\.safetensors: File name too long"):
        train(dataset, tmp_path / "next", too_long, runtime=CPU)
    wider = build(TrainSettings, SHORT | {"width": 0.75, "start": str(trained)})
    with pytest.raises(
        ModelError, match="another architecture, width, depth or full_blocks, or lacks a head"
    ):
        train(dataset, tmp_path / "next", wider, runtime=CPU)
    # Neither is in the way of settings that can be.
    assert train(dataset, tmp_path / "next", build(TrainSettings, SHORT | {"epochs": 1}), runtime=CPU).epochs


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, dict[Head, torch.Tensor]]]:
    """Of every batch that a network learns from: the pictures it is shown, and what it should answer."""
    shown: list[torch.Tensor] = []
    found: list[tuple[torch.Tensor, dict[Head, torch.Tensor]]] = []
    forward, loss = Network.forward, loop.training_loss

    def seen(network: Network, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        if network.training:
            shown.append(pixels)
        return forward(network, pixels)

    def asked(
        outputs: dict[str, torch.Tensor], targets: dict[Head, torch.Tensor], *rest: object
    ) -> torch.Tensor:
        found.append((shown[-1], dict(targets)))
        return loss(outputs, targets, *rest)

    monkeypatch.setattr(Network, "forward", seen)
    monkeypatch.setattr(loop, "training_loss", asked)
    return found


ONLY_MOVED = {"brightness": 0.0, "contrast": 0.0, "erase": 0.0}


def test_a_pupil_learns_its_teachers_answers_to_the_pictures_that_it_is_shown(
    dataset: Path,
    trained: Path,
    tmp_path: Path,
    lessons: list[tuple[torch.Tensor, dict[Head, torch.Tensor]]],
) -> None:
    values = TINY | {"early_share": 0.0, "augment": ONLY_MOVED, "teacher": [str(trained)]}
    settings = build(TrainSettings, values | {"loss": {"teacher_weight": 1.0}})
    runtime = TrainRuntime(device="cpu", precision="fp32")
    fit(load_training_data(dataset, settings), tmp_path, settings, runtime=runtime)
    assert len(lessons) == 8
    teacher = Teacher([str(trained)], ["fer2013", "crowd"], torch.device("cpu"))
    for pictures, targets in lessons:
        answers = teacher.probabilities(pictures, bf16=False)
        assert targets.keys() == answers.keys()
        for head, target in targets.items():
            torch.testing.assert_close(target, answers[head], atol=1e-4, rtol=0)
            assert (target - target[0]).abs().max() > 1e-2  # and they are not all the same


def test_a_head_without_votes_learns_its_teachers_answers_alone(
    trained: Path,
    tmp_path: Path,
    lessons: list[tuple[torch.Tensor, dict[Head, torch.Tensor]]],
) -> None:
    dataset = write_stripes(tmp_path / "plain", ferplus=False)
    values = TINY | {"early_share": 0.0, "augment": ONLY_MOVED, "teacher": [str(trained)]}
    settings = build(TrainSettings, values | {"loss": {"teacher_weight": 0.25}})
    data = load_training_data(dataset, settings, teachable=("fer2013", "crowd"))
    fit(data, tmp_path / "run", settings, runtime=TrainRuntime(device="cpu", precision="fp32"))
    assert len(lessons) == 8
    teacher = Teacher([str(trained)], ["fer2013", "crowd"], torch.device("cpu"))
    for pictures, targets in lessons:
        answers = teacher.probabilities(pictures, bf16=False)
        torch.testing.assert_close(targets["crowd"], answers["crowd"], atol=1e-4, rtol=0)
        labels = (targets["fer2013"] - 0.25 * answers["fer2013"]) / 0.75
        torch.testing.assert_close(labels.amax(1), torch.ones(16), atol=1e-3, rtol=0)


def test_early_epochs_show_smaller_pictures(
    dataset: Path, tmp_path: Path, lessons: list[tuple[torch.Tensor, dict[Head, torch.Tensor]]]
) -> None:
    settings = build(TrainSettings, TINY | {"epochs": 2, "early_share": 0.5, "early_size": 24})
    fit(load_training_data(dataset, settings), tmp_path, settings, runtime=CPU)
    assert [pictures.shape[-1] for pictures, _ in lessons] == [24] * 8 + [48] * 8


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_pictures_are_mixed_as_their_targets_are(
    dataset: Path,
    tmp_path: Path,
    lessons: list[tuple[torch.Tensor, dict[Head, torch.Tensor]]],
    mixup: float,
) -> None:
    values = TINY | {"early_share": 0.0, "augment": ONLY_MOVED | {"mixup": mixup}}
    settings = build(TrainSettings, values)
    data = load_training_data(dataset, settings)
    grays = 30 * torch.arange(1, 8)  # one to an expression, wherever a picture is moved to
    images = grays.byte().numpy()[data.train.labels][:, None, None].repeat(48, 1).repeat(48, 2)
    fit(replace(data, train=replace(data.train, images=images)), tmp_path, settings, runtime=CPU)
    targets = torch.cat([targets["fer2013"] for _, targets in lessons])
    pictures = torch.cat([pictures for pictures, _ in lessons])
    wanted = (targets @ grays.float()).view(-1, 1, 1, 1).expand_as(pictures)
    torch.testing.assert_close(pictures, wanted, atol=0.1, rtol=0)
    mixed = (targets.amax(1) < 0.99).float().mean()
    assert mixed > 0.5 if mixup else mixed == 0


def test_pictures_are_framed_before_they_are_moved(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = []

    def moved(pixels: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        sides.extend(torch.linalg.det(moves[:, :, :2]).abs().sqrt().tolist())
        return move(pixels, moves)

    def frames(images: np.ndarray, _: object) -> torch.Tensor:
        return torch.tensor([0.0, 0.0, 4.0]).expand(len(images), 3)

    monkeypatch.setattr(loop, "detector_frames", frames)  # the stripes hold no face to be found
    monkeypatch.setattr(loop, "move", moved)
    values = SHORT | {"epochs": 1, "augment": {"framed": 0.5, "scale": 0.0}}
    train(dataset, tmp_path / "run", build(TrainSettings, values), runtime=CPU)
    rounded = [round(side, 3) for side in sides]
    assert set(rounded) == {1.0, 4.0}
    assert 0.3 < rounded.count(4.0) / len(rounded) < 0.7
    # Cut out in another way the other half would be other pictures.
    monkeypatch.setattr(run_folder, "FER2013_CROP", CropGeometry())
    with pytest.raises(UsageError, match="begun with other crop: landmarks was"):
        train(dataset, tmp_path / "run", build(TrainSettings, values), runtime=CPU, resume=True)
