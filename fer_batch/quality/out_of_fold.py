"""What models that have not seen a picture say of it: whether its label is wrong, and whether it is odd.

The pictures are dealt into folds. For each fold a small network learns the other folds' labels and is asked
about this one, so that no picture is judged by a network that knows it, or a copy of it, by heart.
Read `out_of_fold` from top to bottom.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fer_batch.dataset import Split
from fer_batch.dataset.images import pixel_sha256
from fer_batch.emotions import LABELS
from fer_batch.errors import UsageError
from fer_batch.progress import Progress, silent
from fer_batch.settings import AugmentSettings, LossSettings, TrainRuntime, TrainSettings
from fer_batch.training.calibration import fit_temperature

if TYPE_CHECKING:
    from fer_batch.model.architectures import Network

FOLDS = 2
"""So few, because training is what costs: in the same time two networks learn more than three."""

RECIPE = TrainSettings(
    width=0.5,
    dropout=0.2,
    epochs=9,
    batch_size=64,
    early_share=0.5,
    augment=AugmentSettings(erase=0.0),
    loss=LossSettings(label_smoothing=0.1, crowd_weight=0.0),
    ema_decay=0.99,
)
"""Short: small batches and a short average learn fast. Milder augmentation and no label smoothing agree with
more of the labels as they are, and find fewer of the wrong ones."""

_VAL_PARTS = 20
"""One part out of so many of the other folds' pictures chooses the epoch."""
_REFERENCE = 1000
"""At most so many pictures of each class are what a fold is compared with."""
_NEIGHBOURS = 10
_SHRINKAGE = 0.1
_BATCH = 128
"""Pictures that a network is asked about at once."""
_BLOCK = 2048
"""Pictures whose distances to all references of their class are in memory at once: 8 MB."""


class TooFewError(UsageError):
    """What is labelled cannot be dealt into folds."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What is known of N pictures from models that have seen neither them nor a copy of them.

    Attributes:
        probabilities: float32 [N, 7], calibrated, in `Emotion` order; without a label the mean of all
            folds' models.
        suggested: int64 [N], the most probable expression, 0–6.
        label_issue: float32 [N], 0–1, higher is worse: half of one plus the margin by which the most
            probable other expression leads the label; from 0.5 on, the model prefers the other. NaN
            without a label, and where the model was shown no picture of that label.
        outlier: float32 [N], 0–1, higher is odder: 0.5 is as far from the pictures of its label as half of
            all pictures are, 0.8 twice as far, 1 is never reached. NaN as before.
        folds: int64 [N], the fold that the picture is in, -1 where neither it nor a copy has a label.
    """

    probabilities: NDArray[np.float32]
    suggested: NDArray[np.int64]
    label_issue: NDArray[np.float32]
    outlier: NDArray[np.float32]
    folds: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Answers:
    """What one network makes of N pictures."""

    logits: NDArray[np.float32]
    """[2, N, 7], of the pictures and of their mirror images."""
    features: NDArray[np.float32]
    """[N, D], what its last layer sees, the mean of both."""

    def split(self, *parts: NDArray[np.int64]) -> list[_Answers]:
        """The answers about the rows of each part, where they were asked for in that order."""
        ends = np.cumsum([len(part) for part in parts])[:-1]
        pieces = zip(np.split(self.logits, ends, axis=1), np.split(self.features, ends), strict=True)
        return [_Answers(logits, features) for logits, features in pieces]

    def probabilities(self, temperature: float) -> NDArray[np.float32]:
        """Calibrated, the mean of both views, float32 [N, 7]."""
        return softmax(self.logits / np.float32(temperature), axis=2).mean(0)


@dataclass(frozen=True, eq=False)
class _Fold:
    """Rows of the pictures, int64, by what one fold's network does with them."""

    train: NDArray[np.int64]
    """It learns them."""
    val: NDArray[np.int64]
    """They choose the epoch: the fold itself must not."""
    own: NDArray[np.int64]
    """It judges them: the fold itself."""
    others: NDArray[np.int64]
    """They are what the fold is compared with: some of each class out of the other folds."""
    unlabelled: NDArray[np.int64]
    """It judges them together with the other folds' networks."""

    @property
    def asked(self) -> NDArray[np.int64]:
        """All that its answers are wanted of."""
        return np.concatenate([self.val, self.own, self.others, self.unlabelled])


def out_of_fold(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    work: Path,
    *,
    folds: int = FOLDS,
    recipe: TrainSettings = RECIPE,
    runtime: TrainRuntime = TrainRuntime(),  # noqa: B008 - frozen
    progress: Progress = silent,
) -> OutOfFold:
    """Judge every picture by a model that has not seen it.

    Each fold is a run folder in `work`: a call that was stopped goes on with the fold and the epoch where
    it was, and ends with the same results. Folders of other pictures, labels or recipes are left alone.

    Memory: the training pictures of one fold, 2.3 KB each, and about 0.8 KB for every picture: for half a
    million in two folds 1 GB. `pixels` may be a memory map.

    Args:
        pixels: uint8 [N, 48, 48], gray, 0–255.
        labels: int64 [N], 0–6 in the order of `Emotion`; -1 where there is none.
        groups: int64 [N], pictures with the same number are copies of each other; -1 of none.
        work: the folder to train in. It may be removed afterwards.
        folds: how many, from 2.
        recipe: how each fold's network is trained; its seed deals the folds, too. It sees labels alone,
            never votes.
        runtime: where and how fast.
        progress: told how many batches, of all epochs of all folds, are done.

    Raises:
        TooFewError: there are too few labelled pictures, or nearly all are copies of each other.
        UsageError: the recipe has a teacher or a run to start from, a setting cannot be, or a training
            diverged.
        OutputError: `work` cannot be written.
        ModuleNotFoundError: PyTorch is not installed.
    """
    from fer_batch.training.loop import batches_an_epoch

    for name, known in (("teacher", ", ".join(recipe.teacher)), ("start", recipe.start)):
        if known:
            raise UsageError(f"{name} is {known}: it may have seen what it would judge")
    fold_of = assign_folds(labels, groups, folds, recipe.seed)
    plan = [_plan_fold(labels, groups, fold_of, number, folds, recipe.seed) for number in range(folds)]
    steps = [recipe.epochs * batches_an_epoch(len(fold.train), recipe) for fold in plan]
    tell = _Telling(progress, sum(steps) + sum(_batches(fold.asked) for fold in plan))

    probabilities = np.zeros((len(labels), len(LABELS)), np.float32)
    outlier = np.full(len(labels), np.nan, np.float32)
    known = np.zeros(len(labels), bool)
    for fold, training in zip(plan, steps, strict=True):
        network = _train(pixels, labels, fold, work, recipe, runtime, tell.next(training))
        answers = _ask(network, pixels, fold.asked, runtime, tell.next(_batches(fold.asked)))
        val, own, others, unlabelled = answers.split(fold.val, fold.own, fold.others, fold.unlabelled)
        temperature = fit_temperature(val.logits[0], labels[fold.val])
        probabilities[fold.own] = own.probabilities(temperature)
        probabilities[fold.unlabelled] += unlabelled.probabilities(temperature) / np.float32(folds)
        known[fold.own] = np.isin(labels[fold.own], labels[fold.train])
        distances = class_distances(own.features, labels[fold.own], others.features, labels[fold.others])
        outlier[fold.own] = _against_typical(distances)
    doubt = label_issue_scores(probabilities, labels)
    return OutOfFold(
        probabilities=probabilities,
        suggested=probabilities.argmax(1),
        label_issue=np.where(known, doubt, np.float32(np.nan)),
        outlier=np.where(known, outlier, np.float32(np.nan)),
        folds=fold_of,
    )


def assign_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.int64]:
    """Deal pictures into folds that have the same share of each expression, groups undivided.

    Args:
        labels: int64 [N], 0–6, or -1 without a label.
        groups: int64 [N], the number of the picture's group of copies, or -1.
        folds: how many.
        seed: of the order in which pictures are dealt.

    Returns:
        int64 [N], 0 to folds - 1; -1 where neither the picture nor a copy of it has a label.
    """
    # A picture without copies is a group of its own, with a number that no other has.
    alone = -1 - np.arange(len(groups))
    group_of = np.unique(np.where(groups < 0, alone, groups), return_inverse=True)[1]
    sizes = np.bincount(group_of)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    # In random order, but the largest first: the others fill the gaps that these leave.
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    result = np.full(len(labels), -1)
    counts = np.zeros((folds, len(LABELS)), np.int64)
    for rows in (members[group] for group in order):
        labelled = labels[rows][labels[rows] >= 0]
        if len(labelled):
            own = np.bincount(labelled, minlength=len(LABELS))
            # Where fewest are of the group's own classes; of equals, where fewest are at all.
            fold = np.lexsort((counts.sum(1), counts @ own))[0]
            counts[fold] += own
            result[rows] = fold
    return result


def label_issue_scores(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """How much models speak against labels: the normalised margin (Northcutt, Jiang & Chuang 2021).

    `(1 + max over j != label of p(j) - p(label)) / 2`. Of the scores of that paper and its library it
    ranks FER2013's labels best against the votes of FER+; dividing by each class's mean confidence, as
    the paper's thresholds do, makes it worse. See `benchmarks/label_issues.py`.

    Args:
        probabilities: float32 [N, 7], of models that have not seen the pictures.
        labels: int64 [N], 0–6, or -1.

    Returns:
        float32 [N], 0–1; NaN without a label.
    """
    of_label = np.eye(len(LABELS), dtype=bool)[labels]
    best_other = np.where(of_label, 0, probabilities).max(1)
    margin = best_other - probabilities[of_label]
    return np.where(labels >= 0, (1 + margin) / 2, np.float32(np.nan))


def class_distances(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    others: NDArray[np.float32],
    other_labels: NDArray[np.int64],
) -> NDArray[np.float32]:
    """How far pictures are from those of their class, in one network's features.

    Features are brought to length 1, so that faint ones, of pictures in which the network finds little,
    are not near to everything; then to a covariance of one within the classes, shrunk by a tenth towards
    a multiple of the identity (Lee et al. 2018; Ledoit & Wolf 2004). Counted is the mean distance to the
    ten nearest of the class (Ramaswamy, Rastogi & Shim 2000) and not that to its mean: a class has
    several centres, and strong expressions lie far from them all, but beside each other.

    Args:
        features: float32 [N, D].
        labels: int64 [N], 0–6, or -1.
        others: float32 [M, D], of other pictures.
        other_labels: int64 [M], 0–6.

    Returns:
        float32 [N]; NaN without a label, and where no other picture has it.
    """
    features, others = _unit(features), _unit(others)
    classes = [np.flatnonzero(other_labels == label) for label in range(len(LABELS))]
    whiten = _whitening([others[rows] for rows in classes if len(rows)])
    features, others = features @ whiten, others @ whiten
    distances = np.full(len(labels), np.nan, np.float32)
    for label, rows in enumerate(classes):
        places = np.flatnonzero(labels == label)
        if len(rows):
            for block in np.split(places, range(_BLOCK, len(places), _BLOCK)):
                distances[block] = _to_nearest(features[block], others[rows])
    return distances


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, np.finfo(np.float32).tiny)


def _whitening(classes: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The matrix, [D, D], by which features get a covariance of about one within the classes."""
    centred = np.concatenate([features - features.mean(0) for features in classes]).astype(np.float64)
    covariance = centred.T @ centred / len(centred)
    variance = np.trace(covariance) / len(covariance)
    # Where all pictures of a class are alike, nothing is left but the smallest variance that we tell from 0.
    shrunk = (1 - _SHRINKAGE) * covariance + max(_SHRINKAGE * variance, 1e-9) * np.eye(len(covariance))
    return np.linalg.cholesky(np.linalg.inv(shrunk)).astype(np.float32)


def _to_nearest(features: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean Euclidean distance of each row to the nearest few of others; float32 [N]."""
    squares = (features**2).sum(1)[:, None] - 2 * features @ others.T + (others**2).sum(1)
    count = min(_NEIGHBOURS, len(others))
    nearest = np.partition(squares, count - 1, axis=1)[:, :count]
    return np.sqrt(np.maximum(nearest, 0)).mean(1, dtype=np.float32)


def _against_typical(distances: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distances as 0–1: `d² / (d² + m²)` with the median m, so that networks can be compared."""
    squares = distances**2
    if np.isnan(squares).all():
        return squares
    typical = np.float32(max(np.nanmedian(squares), np.finfo(np.float32).tiny))
    return np.divide(squares, squares + typical, dtype=np.float32)


def _plan_fold(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    fold_of: NDArray[np.int64],
    number: int,
    folds: int,
    seed: int,
) -> _Fold:
    """Say what each picture is for in one fold.

    Raises:
        TooFewError: there are too few to train on, to choose by, or to judge.
    """
    own = np.flatnonzero(fold_of == number)
    learned = np.flatnonzero((fold_of >= 0) & (fold_of != number) & (labels >= 0))
    chooses = assign_folds(labels[learned], groups[learned], _VAL_PARTS, seed) == 0
    train, val = learned[~chooses], learned[chooses]
    if not len(own) or not len(val) or len(train) < 2:
        raise TooFewError(
            f"{(labels >= 0).sum()} labelled pictures, copies undivided, are too few for {folds} folds"
        )
    shuffled = np.random.default_rng(seed).permutation(learned)
    others = [shuffled[labels[shuffled] == label][:_REFERENCE] for label in range(len(LABELS))]
    return _Fold(train, val, own, np.sort(np.concatenate(others)), np.flatnonzero(fold_of < 0))


def _train(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    fold: _Fold,
    work: Path,
    recipe: TrainSettings,
    runtime: TrainRuntime,
    progress: Progress,
) -> Network:
    """Train one fold's network, or finish its training."""
    from fer_batch.training.data import TrainingData
    from fer_batch.training.loop import fit

    train, val = (
        _as_split(name, pixels, labels, rows) for name, rows in (("train", fold.train), ("val", fold.val))
    )
    data = TrainingData(train, val, ("fer2013",))
    made_from = json.dumps([data.fingerprint, asdict(recipe)])
    run = work / f"fold-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"
    return fit(data, run, recipe, runtime=runtime, progress=progress)


def _as_split(
    name: str, pixels: NDArray[np.uint8], labels: NDArray[np.int64], rows: NDArray[np.int64]
) -> Split:
    images = np.asarray(pixels[rows])
    return Split(
        name,
        [str(row) for row in rows],
        images,
        labels[rows],
        None,
        [pixel_sha256(image) for image in images],
    )


def _batches(rows: NDArray[np.int64]) -> int:
    return -(-len(rows) // _BATCH)


def _ask(
    network: Network,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    runtime: TrainRuntime,
    progress: Progress,
) -> _Answers:
    """What a network makes of pictures and of their mirror images."""
    import torch

    from fer_batch.training.recipe import choose_device, uses_bf16

    device = choose_device(runtime)
    bf16 = uses_bf16(runtime, device)
    network = network.to(device).to(memory_format=torch.channels_last).eval()
    logits: list[NDArray[np.float32]] = []
    features: list[NDArray[np.float32]] = []
    batches = np.split(rows, range(_BATCH, len(rows), _BATCH))
    for number, batch in enumerate(batches):
        straight = torch.from_numpy(np.asarray(pixels[batch]))[:, None].to(device)
        both = torch.cat([straight, straight.flip(3)])
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            seen = network.trunk(network.normalise(both))
            said = network.heads["fer2013"](seen)
        logits.append(said.float().unflatten(0, (2, -1)).cpu().numpy())
        features.append(seen.float().unflatten(0, (2, -1)).mean(0).cpu().numpy())
        progress("asking", number + 1, len(batches))
    return _Answers(np.concatenate(logits, 1), np.concatenate(features))


class _Telling:
    """Tells how far the whole is while its parts tell how far they are.

    Args:
        progress: whom to tell.
        total: units of the whole.
    """

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._before = 0

    def next(self, units: int) -> Progress:
        """What the next part, of so many units, is to tell."""
        before = self._before
        self._before += units

        def tell(_what: str, done: int, _of: int | None, /) -> None:
            self._progress("judging labels", before + done, self._total)

        return tell
