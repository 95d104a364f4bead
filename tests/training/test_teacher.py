"""A teacher is the mean of its networks, on the pictures that its pupil sees."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets_made import write_stripes
from scipy.special import softmax

from fer_batch.dataset import load_split
from fer_batch.errors import ModelError, UsageError
from fer_batch.inference.classifier import Classifier
from fer_batch.model.onnx_file import default_model, load_card, save_with_card
from fer_batch.settings import PriorName, TrainRuntime, TrainSettings, build
from fer_batch.storage import read_json, write_json
from fer_batch.training import train
from fer_batch.training.augment import move
from fer_batch.training.data import load_training_data, missing_crowd
from fer_batch.training.recipe import uses_bf16
from fer_batch.training.teacher import Teacher, Views, blend, calibrated_answers, common_heads

CPU = TrainRuntime(device="cpu", threads=2)
SHORT = {"epochs": 1, "batch_size": 16, "width": 0.5, "early_share": 1.0, "early_size": 24}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("stripes"), train=70, held_out=14)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures and labels, without votes."""
    return write_stripes(tmp_path_factory.mktemp("plain"), train=70, held_out=14, ferplus=False)


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
    nothing = torch.zeros(2, 7)
    both = blend({"fer2013": label, "crowd": nothing}, {"fer2013": taught, "crowd": taught}, 0.75, ["crowd"])
    torch.testing.assert_close(both["crowd"], taught)
    torch.testing.assert_close(both["fer2013"], blended["fer2013"])


def test_its_calibrated_answers_are_the_mean_of_its_models(tmp_path: Path) -> None:
    card = load_card(default_model())
    hotter = replace(card, heads={"fer2013": 0.5, "crowd": 3.0})
    save_with_card(default_model().read_bytes(), hotter, tmp_path / "hotter.onnx")
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    logits = Classifier(default_model(), head="crowd").logits(images)
    wanted = [softmax(logits / temperature, axis=1) for temperature in (card.heads["crowd"], 3.0)]
    found = calibrated_answers(["default", str(tmp_path / "hotter.onnx")], images, "crowd")
    np.testing.assert_allclose(found, np.mean(wanted, axis=0), atol=1e-5)
    assert np.abs(wanted[0] - wanted[1]).max() > 0.1


PUPIL = SHORT | {"epochs": 2, "teacher": ["default"], "teacher_views": 1}


@pytest.fixture(scope="module")
def pupil(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a data set without votes, by a teacher that knows them."""
    run = tmp_path_factory.mktemp("runs") / "pupil"
    train(plain, run, build(TrainSettings, PUPIL), runtime=CPU)
    return run


def test_without_votes_a_crowd_head_says_that_a_teacher_alone_taught_it(pupil: Path, master: Path) -> None:
    manifest, card = read_json(pupil / "manifest.json"), load_card(pupil / "model.onnx")
    assert manifest["heads"] == card.training["heads"] == {"fer2013": "labels", "crowd": "teacher"}
    assert manifest["note"] is None
    assert set(card.heads) == set(card.shares) == set(card.priors) == {"fer2013", "crowd"}
    figures = card.figures["val"]
    assert manifest["figures"]["val"] == figures
    assert set(figures["crowd"]) == {"compared_with", "n", "agreement", "divergence"}  # and no accuracy
    assert (figures["crowd"]["compared_with"], figures["crowd"]["n"]) == ("teacher", 14)
    assert figures["fer2013"]["accuracy"] is not None
    votes = load_card(master / "model.onnx")
    assert "heads" not in votes.training
    assert votes.figures["val"]["crowd"]["accuracy"] is not None


def test_its_training_shares_are_what_it_was_taught(pupil: Path, plain: Path) -> None:
    shares = load_card(pupil / "model.onnx").shares
    pixels = torch.from_numpy(load_split(plain, "train").images)[:, None]
    teacher, bf16 = Teacher(["default"], ["crowd"], torch.device("cpu")), uses_bf16(CPU, torch.device("cpu"))
    views = Views(teacher, pixels, build(TrainSettings, PUPIL), bf16=bf16)
    counts = views.of_epoch(1).taught["crowd"].double().sum(0) + 1
    assert shares["crowd"] == pytest.approx((counts / counts.sum()).tolist(), abs=1e-5)
    assert shares["fer2013"] == pytest.approx([1 / 7] * 7, abs=1e-6)
    assert max(abs(share - 1 / 7) for share in shares["crowd"]) > 0.1  # which are no labels


def test_its_confidence_is_the_accuracy_that_its_teacher_expects(pupil: Path, plain: Path) -> None:
    images, card = load_split(plain, "val").images, load_card(pupil / "model.onnx")
    taught = Classifier(default_model(), head="crowd").probabilities(images)
    priors: tuple[PriorName, ...] = ("training", "natural", "balanced")
    for prior in priors:
        found = Classifier(pupil / "model.onnx", head="crowd", prior=prior).probabilities(images)
        expected = taught[np.arange(len(images)), found.argmax(1)].mean()
        hot = card.heads["crowd"] if prior == "training" else card.priors["crowd"][prior].temperature
        gap = float(found.max(1).mean() - expected)
        assert abs(gap) < 1e-3 or (hot == 5 and gap > 0) or (hot == 0.2 and gap < 0)


def test_where_no_teacher_has_the_head_there_is_none(
    plain: Path, dataset: Path, master: Path, tmp_path: Path
) -> None:
    single = build(TrainSettings, SHORT | {"width": 0.25, "loss": {"crowd_weight": 0.0}})
    train(dataset, tmp_path / "single", single, runtime=CPU)
    models = [str(master), str(tmp_path / "single")]
    assert common_heads([str(master)]) == ("fer2013", "crowd")
    assert common_heads(models) == ("fer2013",)
    assert common_heads([]) == ()
    settings = build(TrainSettings, SHORT | {"teacher": models})
    for teachable, without in (((), settings), (common_heads(models), settings), (("crowd",), single)):
        data = load_training_data(plain, without, teachable=teachable)
        assert (data.heads, data.taught) == (("fer2013",), ())
        assert missing_crowd(data, without.loss) is not None
    data = load_training_data(plain, settings, teachable=common_heads(models[:1]))
    assert (data.heads, data.taught) == (("fer2013", "crowd"), ("crowd",))
    data = load_training_data(dataset, settings, teachable=("fer2013", "crowd"))
    assert (data.heads, data.taught) == (("fer2013", "crowd"), ())


def test_a_pupil_of_an_earlier_release_has_no_such_head(pupil: Path, plain: Path, tmp_path: Path) -> None:
    settings = build(TrainSettings, PUPIL)
    before = (pupil / "model.onnx").read_bytes()
    assert train(plain, pupil, settings, runtime=CPU, resume=True).note is None
    assert (pupil / "model.onnx").read_bytes() == before
    copy = shutil.copytree(pupil, tmp_path / "pupil")
    manifest = read_json(copy / "manifest.json")
    del manifest["heads"], manifest["note"]
    write_json(copy / "manifest.json", manifest)
    with pytest.raises(UsageError, match="begun with other heads: crowd was None, now 'teacher'"):
        train(plain, copy, settings, runtime=CPU, resume=True)


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
