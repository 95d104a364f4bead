"""No model judges what it saw; wrong labels and odd pictures stand out; a kill costs little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets_made import write_stripes
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.dataset import load_split
from fer_batch.errors import UsageError
from fer_batch.model.architectures import Network, build_network
from fer_batch.progress import Progress, silent
from fer_batch.quality.out_of_fold import (
    RECIPE,
    OutOfFold,
    assign_folds,
    class_distances,
    label_issue_scores,
    out_of_fold,
)
from fer_batch.settings import TrainRuntime, TrainSettings, build
from fer_batch.storage import read_json
from fer_batch.training import loop
from fer_batch.training.data import TrainingData

FLIPPED = [3, 50, 71, 120]
UNLABELLED, ITS_COPY, NO_COPY = 20, 27, 30
ODD = 9
TINY = build(
    TrainSettings,
    {
        "width": 0.25,
        "epochs": 10,
        "batch_size": 8,
        "ema_decay": 0.9,
        "dropout": 0.0,
        "augment": {"rotation": 0.0, "erase": 0.0},
        "loss": {"label_smoothing": 0.0},
    },
)
CPU = TrainRuntime(device="cpu", threads=1)


class Made:
    """Striped pictures of which a few have wrong labels, one has none, and one is no stripes."""

    def __init__(self, dataset: Path) -> None:
        split = load_split(dataset, "train")
        self.pixels, self.labels = split.images.copy(), split.labels.copy()
        self.true = split.labels
        self.labels[FLIPPED] = (self.labels[FLIPPED] + 3) % 7
        self.labels[[UNLABELLED, NO_COPY]] = -1
        self.pixels[UNLABELLED] = self.pixels[ITS_COPY]
        self.pixels[ODD] = np.random.default_rng(0).integers(0, 256, (48, 48))
        self.groups = np.full(len(self.labels), -1)
        self.groups[[UNLABELLED, ITS_COPY]] = 0
        self.groups[[1, 8, 15]] = 5

    def judged(self, work: Path, progress: Progress = silent) -> OutOfFold:
        return out_of_fold(
            self.pixels,
            self.labels,
            self.groups,
            work,
            folds=2,
            recipe=TINY,
            runtime=CPU,
            progress=progress,
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(write_stripes(tmp_path_factory.mktemp("stripes"), held_out=7, ferplus=False))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def judged(made: Made, work: Path) -> OutOfFold:
    return made.judged(work)


def test_wrong_labels_have_the_highest_scores(judged: OutOfFold, made: Made) -> None:
    worst = np.argsort(-np.nan_to_num(judged.label_issue))
    assert set(FLIPPED) <= set(worst[:6])
    np.testing.assert_array_equal(judged.suggested[FLIPPED], made.true[FLIPPED])
    np.testing.assert_allclose(judged.probabilities.sum(1), 1, atol=1e-5)


def test_wrong_labels_and_odd_pictures_are_far_from_their_class(judged: OutOfFold) -> None:
    assert {*FLIPPED, ODD} <= set(np.argsort(-np.nan_to_num(judged.outlier))[:9])
    assert 0 <= np.nanmin(judged.outlier) < np.nanmax(judged.outlier) < 1


def test_without_a_label_there_is_a_suggestion_and_no_score(judged: OutOfFold, made: Made) -> None:
    for scores in (judged.label_issue, judged.outlier):
        np.testing.assert_array_equal(np.isnan(scores), made.labels < 0)
    assert (judged.folds[NO_COPY], judged.suggested[NO_COPY]) == (-1, made.true[NO_COPY])
    np.testing.assert_allclose(judged.probabilities[UNLABELLED], judged.probabilities[ITS_COPY], atol=1e-6)


def test_every_fold_is_a_run_folder_with_its_own_rows(judged: OutOfFold, made: Made, work: Path) -> None:
    counts = sorted(
        manifest["data"]["train"] + manifest["data"]["val"]
        for manifest in (read_json(run / "manifest.json") for run in work.iterdir())
    )
    labelled = made.labels >= 0
    assert counts == sorted(int((labelled & (judged.folds != fold)).sum()) for fold in range(2))


def test_stopped_in_an_epoch_it_ends_with_the_same_bytes(
    judged: OutOfFold, made: Made, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def stop(_what: str, done: int, _total: int | None, /) -> None:
        if done == 13:
            raise StoppedError

    with pytest.raises(StoppedError):
        made.judged(tmp_path, stop)
    told: list[tuple[str, int, int | None]] = []
    again = made.judged(tmp_path, lambda *values: told.append(values))
    for name in ("probabilities", "label_issue", "outlier", "folds", "suggested"):
        assert getattr(again, name).tobytes() == getattr(judged, name).tobytes()
    assert {(what, total) for what, _, total in told} == {("judging labels", told[-1][1])}
    done = [count for _, count, _ in told]
    assert done == list(range(done[0], done[-1] + 1))
    assert 1 < done[0] <= 13


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[TrainingData]:
    """What was to be trained on, fold by fold; the networks are untrained."""
    seen: list[TrainingData] = []

    def pretend(data: TrainingData, _run: Path, settings: TrainSettings, **_: object) -> Network:
        seen.append(data)
        return build_network(settings, data.heads)

    monkeypatch.setattr(loop, "fit", pretend)
    return seen


def test_no_model_has_seen_what_it_judges(made: Made, tmp_path: Path, seen: list[TrainingData]) -> None:
    folds = made.judged(tmp_path).folds
    for fold, data in enumerate(seen):
        train, val = ([int(row) for row in split.ids] for split in (data.train, data.val))
        own = set(np.flatnonzero(folds == fold))
        assert own
        assert own.isdisjoint([*train, *val])
        assert sorted([*train, *val]) == list(np.flatnonzero((folds != fold) & (made.labels >= 0)))
        np.testing.assert_array_equal(data.train.images, made.pixels[train])
        np.testing.assert_array_equal(data.val.labels, made.labels[val])
        assert data.heads == ("fer2013",)
        assert data.train.votes is None
    assert len(seen) == 2
    assert folds[UNLABELLED] == folds[ITS_COPY]
    assert len(set(folds[[1, 8, 15]])) == 1


def test_a_label_that_a_model_was_never_shown_is_not_judged(
    made: Made, tmp_path: Path, seen: list[TrainingData]
) -> None:
    labels = made.labels.copy()
    labels[labels == 1] = 2
    labels[1] = 1
    judged = out_of_fold(made.pixels, labels, made.groups, tmp_path, folds=2, recipe=TINY, runtime=CPU)
    assert len(seen) == 2
    assert np.isnan(judged.label_issue[1])
    assert np.isnan(judged.outlier[1])
    assert np.isnan(judged.label_issue).sum() == 3


def test_too_few_pictures_and_what_knows_them_are_refused(made: Made, tmp_path: Path) -> None:
    some, copies = slice(0, 40), np.zeros(40, np.int64)
    with pytest.raises(UsageError, match=r"38 labelled pictures, .* are too few for 2 folds"):
        out_of_fold(made.pixels[some], made.labels[some], copies, tmp_path)
    for name, knows in (("teacher", ["default"]), ("start", "default")):
        recipe = build(TrainSettings, {"width": 0.5, name: knows})
        with pytest.raises(UsageError, match=f"{name} is default: it may have seen"):
            out_of_fold(made.pixels, made.labels, made.groups, tmp_path, recipe=recipe)
    assert list(tmp_path.iterdir()) == []


def test_the_recipe_learns_from_labels_alone() -> None:
    assert (RECIPE.loss.crowd_weight, RECIPE.teacher) == (0, ())
    assert build(TrainSettings, {"width": 0.5}).arch == RECIPE.arch


@given(
    st.lists(st.tuples(st.integers(-1, 6), st.integers(-1, 12)), min_size=1, max_size=80),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_groups_stay_together(rows: list[tuple[int, int]], folds: int, seed: int) -> None:
    labels, groups = np.array(rows, np.int64).T
    dealt = assign_folds(labels, groups, folds, seed)
    assert set(dealt) <= set(range(-1, folds))
    for group in set(groups) - {-1}:
        members = groups == group
        assert len(set(dealt[members])) == 1
        assert (dealt[members] >= 0).any() == (labels[members] >= 0).any()
    alone = groups == -1
    np.testing.assert_array_equal(dealt[alone] >= 0, labels[alone] >= 0)
    np.testing.assert_array_equal(assign_folds(labels, groups, folds, seed), dealt)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.integers(2, 5))
def test_folds_have_equal_shares_of_each_class(values: list[int], folds: int) -> None:
    labels = np.array(values, np.int64)
    dealt = assign_folds(labels, np.full(len(labels), -1), folds, 0)
    for label in set(values):
        counts = np.bincount(dealt[labels == label], minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_another_seed_deals_other_folds() -> None:
    labels, groups = np.arange(70) % 7, np.full(70, -1)
    assert (assign_folds(labels, groups, 5, 0) != assign_folds(labels, groups, 5, 1)).any()


def test_label_issue_is_the_normalised_margin() -> None:
    probabilities = np.zeros((4, 7), np.float32)
    probabilities[:, :3] = [[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.4, 0.4, 0.2], [1, 0, 0]]
    scores = label_issue_scores(probabilities, np.array([0, 0, 0, -1]))
    np.testing.assert_allclose(scores, [0.25, 0.75, 0.5, np.nan], atol=1e-6)


def test_distance_is_to_the_own_class() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(16)[:2]
    other_labels = np.arange(200) % 2
    others = (centres[other_labels] + rng.normal(0, 0.05, (200, 16))).astype(np.float32)
    features = np.concatenate([2 * centres, centres[::-1], centres[:1], centres[:1]]).astype(np.float32)
    distances = class_distances(features, np.array([0, 1, 0, 1, -1, 2]), others, other_labels)
    assert distances.dtype == np.float32
    assert distances[2:4].min() > 3 * distances[:2].max()
    assert np.isnan(distances[4:]).all()


def test_alike_features_are_no_distance_apart() -> None:
    same = np.ones((6, 4), np.float32)
    labels = np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(class_distances(same, labels, same, labels), 0, atol=0.1)
