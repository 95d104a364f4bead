"""A teacher is the mean of its networks, on the pictures that its pupil sees."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from datasets_made import write_stripes

from fer_batch.errors import ModelError, UsageError
from fer_batch.inference.classifier import Classifier
from fer_batch.model.onnx_file import default_model
from fer_batch.settings import TrainRuntime, TrainSettings, build
from fer_batch.storage import read_json
from fer_batch.training import train
from fer_batch.training.augment import move
from fer_batch.training.teacher import Teacher, Views, blend

CPU = TrainRuntime(device="cpu", threads=2)
SHORT = {"epochs": 1, "batch_size": 16, "width": 0.5, "early_share": 1.0, "early_size": 24}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("stripes"), train=70, held_out=14)


@pytest.fixture(scope="module")
def master(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "master"
    train(dataset, run, build(TrainSettings, SHORT), runtime=CPU)
    return run


def test_it_answers_as_its_model_file_does(master: Path, tmp_path: Path) -> None:
    misnamed = shutil.copy(master / "model.onnx", tmp_path / "model.json")  # a suffix says nothing
    pictures = torch.randint(0, 256, (4, 1, 48, 48), generator=torch.Generator().manual_seed(0))
    teacher = Teacher([str(master), str(misnamed)], ["fer2013", "crowd"], torch.device("cpu"))
    for head, found in teacher.probabilities(pictures.float(), bf16=False).items():
        logits = Classifier(master / "model.onnx", head=head).logits(pictures[:, 0].byte().numpy())
        torch.testing.assert_close(found, torch.from_numpy(logits).softmax(1), atol=1e-4, rtol=0)


def test_views_take_turns_and_are_answered_as_they_are_moved(master: Path) -> None:
    pixels = torch.randint(0, 256, (5, 1, 48, 48), generator=torch.Generator().manual_seed(0)).byte()
    teacher = Teacher([str(master)], ["fer2013", "crowd"], torch.device("cpu"))
    settings = TrainSettings(teacher=(str(master),), teacher_views=2)
    views = Views(teacher, pixels, settings, bf16=False)
    first, second = views.of_epoch(1), views.of_epoch(2)
    assert views.of_epoch(3) is first
    assert not torch.equal(first.moves, second.moves)
    resumed = Views(teacher, pixels, settings, bf16=False).of_epoch(4)
    assert torch.equal(resumed.moves, second.moves)
    assert torch.equal(resumed.taught["crowd"], second.taught["crowd"])
    rows = torch.tensor([3, 1])
    wanted = teacher.probabilities(move(pixels[rows], first.moves[rows]), bf16=False)
    for head, found in first.answers(rows).items():
        torch.testing.assert_close(found, wanted[head], atol=1e-5, rtol=0)


def test_a_pupil_records_whose_it_is(dataset: Path, master: Path, tmp_path: Path) -> None:
    values = SHORT | {"teacher": [str(master)], "augment": {"mixup": 0.2}}
    train(dataset, tmp_path / "pupil", build(TrainSettings, values), runtime=CPU)
    assert set(read_json(tmp_path / "pupil" / "manifest.json")["teacher"]) == {str(master)}
    result = train(dataset, tmp_path / "pupil", build(TrainSettings, values), runtime=CPU, resume=True)
    assert result.epochs == 1


def test_another_teacher_cannot_resume(dataset: Path, master: Path, tmp_path: Path) -> None:
    shutil.copytree(master, tmp_path / "master")
    settings = build(TrainSettings, SHORT | {"teacher": [str(tmp_path / "master")]})
    train(dataset, tmp_path / "pupil", settings, runtime=CPU)
    shutil.copy(default_model(), tmp_path / "master" / "model.onnx")
    with pytest.raises(UsageError, match="was begun with other teacher"):
        train(dataset, tmp_path / "pupil", settings, runtime=CPU, resume=True)


def test_blend_keeps_distributions() -> None:
    label, taught = torch.eye(7)[:2], torch.full((2, 7), 1 / 7)
    blended = blend({"fer2013": label, "crowd": label}, {"fer2013": taught}, 0.75)
    assert set(blended) == {"fer2013"}
    torch.testing.assert_close(blended["fer2013"].sum(1), torch.ones(2))
    assert float(blended["fer2013"][0, 0]) == pytest.approx(0.25 + 0.75 / 7)


def test_what_is_no_teacher(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"name a teacher.* no model 'nowhere'"):
        train(
            dataset, tmp_path / "pupil", build(TrainSettings, SHORT | {"teacher": ["nowhere"]}), runtime=CPU
        )
    single = build(TrainSettings, SHORT | {"loss": {"crowd_weight": 0.0}})
    train(dataset, tmp_path / "single", single, runtime=CPU)
    lacking = build(TrainSettings, SHORT | {"teacher": [str(tmp_path / "single")]})
    with pytest.raises(ModelError, match="has no head crowd"):
        train(dataset, tmp_path / "pupil", lacking, runtime=CPU)
    assert not (tmp_path / "pupil").exists()
