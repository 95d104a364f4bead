"""What a run learns from: which heads, how frequent each expression, and what it lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets_made import write_stripes

from fer_batch.settings import LossSettings, TrainSettings
from fer_batch.training.data import TrainingData, load_training_data, missing_crowd
from fer_batch.training.recipes import load_recipe

TEACHABLE = ("fer2013", "crowd")


@pytest.fixture(scope="module")
def voted(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = write_stripes(tmp_path_factory.mktemp("voted"), train=28, held_out=7)
    return load_training_data(folder, TrainSettings())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = write_stripes(tmp_path_factory.mktemp("plain"), train=28, held_out=7, ferplus=False)
    return load_training_data(folder, TrainSettings(), teachable=TEACHABLE)


def test_what_each_head_learns_from(voted: TrainingData, plain: TrainingData) -> None:
    assert voted.sources == {"fer2013": "labels", "crowd": "votes"}
    assert plain.sources == {"fer2013": "labels", "crowd": "teacher"}
    assert (voted.taught, plain.taught) == ((), ("crowd",))


def test_class_shares_by_hand(voted: TrainingData) -> None:
    labels = np.array([3] * 20 + [6] * 7 + [0])
    votes = np.zeros((28, 10), np.int64)
    votes[:, 0], votes[:14, 9] = 10, 30  # neutral; the first half are no faces to three in four
    train = replace(voted.train, labels=labels, votes=votes)
    shares = replace(voted, train=train).class_shares()
    assert shares["fer2013"] == pytest.approx(np.array([2, 1, 1, 21, 1, 1, 8]) / 35, abs=1e-6)
    assert shares["crowd"] == pytest.approx(np.array([1, 1, 1, 1, 1, 1, 18.5]) / 24.5, abs=1e-6)


def test_class_shares_of_a_head_that_a_teacher_alone_teaches_are_its_answers(plain: TrainingData) -> None:
    answers = np.zeros((28, 7), np.float32)
    answers[:, 3], answers[:, 6] = 0.25, 0.75
    shares = plain.class_shares({"crowd": answers})
    assert shares["crowd"] == pytest.approx(np.array([1, 1, 1, 8, 1, 1, 22]) / 35, abs=1e-6)
    assert shares["fer2013"] == pytest.approx([1 / 7] * 7, abs=1e-6)


def test_what_is_said_of_a_model_without_a_crowd_head(voted: TrainingData, plain: TrainingData) -> None:
    assert missing_crowd(voted, LossSettings()) is None
    assert missing_crowd(plain, LossSettings()) is None
    lacking = replace(plain, heads=("fer2013",))
    note = missing_crowd(lacking, LossSettings())
    assert note is not None
    for wanted in (
        "only the fer2013 head. If its labels are FER2013's, it calls about 4 in 10 resting faces",
        "A: prepare again with FER+ votes",
        "fer-batch prepare fer2013.csv OUT --ferplus fer2013new.csv",
        "data/README.md",
        'B: let the default model teach it: teacher = ["default"], as in --config crowd_from_default',
    ):
        assert wanted in note
    assert "crowd_weight" not in note
    assert load_recipe("crowd_from_default")["teacher"] == ["default"]
    assert "fer2013new.csv" in (Path(__file__).parents[2] / "data" / "README.md").read_text()
    # Where the settings are what is in the way, they are named; votes that are there need not be prepared.
    without = LossSettings(crowd_weight=0)
    assert "loss.crowd_weight must be above 0: it is not" in (missing_crowd(lacking, without) or "")
    note = missing_crowd(replace(voted, heads=("fer2013",)), without) or ""
    assert "A: train on the FER+ votes, which this data set has" in note
    assert "prepare" not in note
