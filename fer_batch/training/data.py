"""A data set folder as the two tensors that training wants: one to learn from, one to choose by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from numpy.typing import NDArray
from torch import Tensor

from fer_batch.dataset import Split, crowd_targets, fingerprint, load_split
from fer_batch.emotions import LABELS
from fer_batch.errors import DatasetFormatError, UsageError
from fer_batch.model.architectures import INPUT_SIZE
from fer_batch.settings import Head, LossSettings, TrainSettings

_FEWEST = 2
"""Training pictures, labelled: one alone has no deviation to be normalised by."""


@dataclass(frozen=True)
class Batchable:
    """A whole split on one device."""

    pixels: Tensor
    """uint8 [N, 1, 48, 48]."""
    labels: Tensor
    """int64 [N], 0–6."""
    crowd: Tensor
    """float32 [N, 7]: share of each expression among all votes; zeros without votes. A row's sum is the
    share of the votes that fell on the seven, which is the weight that the row has."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Batchable:
        """The named rows, in the order given; int64 indices on the same device."""
        return Batchable(self.pixels[rows], self.labels[rows], self.crowd[rows])

    def targets(self) -> dict[Head, Tensor]:
        """What each head should answer: float32 [N, 7], the label as 1 among zeros, and the votes."""
        return {"fer2013": F.one_hot(self.labels, len(LABELS)).float(), "crowd": self.crowd}


@dataclass(frozen=True)
class TrainingData:
    """What one run learns from and is chosen by."""

    train: Split
    val: Split
    heads: tuple[Head, ...]
    """`crowd` only where the recipe wants it, and the data set has votes or a teacher knows them."""

    @property
    def taught(self) -> tuple[Head, ...]:
        """The heads that the data set has no labels for: they learn from a teacher alone."""
        return tuple(head for head in self.heads if head == "crowd" and self.train.votes is None)

    @property
    def sources(self) -> dict[Head, str]:
        """What each head learns from: `labels`, FER+ `votes`, or a `teacher` alone."""
        own: dict[Head, str] = {"fer2013": "labels", "crowd": "votes"}
        return {head: "teacher" if head in self.taught else own[head] for head in self.heads}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of both splits' content, however it is stored."""
        return fingerprint([self.train, self.val])

    def class_shares(
        self, answers: Mapping[Head, NDArray[np.float32]] | None = None
    ) -> dict[Head, tuple[float, ...]]:
        """How frequent each expression is among what each head learns from.

        That is the labels, the votes for the seven, or, for a head that a teacher alone teaches, the mean of
        its answers: they are that head's targets, whatever pictures the teacher itself was trained on, and
        whether its own shares are known or not. One more face of each expression is counted than there is
        (Laplace's rule), as none may have the share 0.

        Args:
            answers: for each of the `taught` heads, the teacher's probabilities that it learned from, a row
                for each training picture, float32 [N, 7].
        """
        return {head: _smoothed(self._counts(head, answers or {})) for head in self.heads}

    def _counts(self, head: Head, answers: Mapping[Head, NDArray[np.float32]]) -> NDArray[np.float64]:
        if head in self.taught:
            return answers[head].sum(0, dtype=np.float64)
        if head == "crowd" and self.train.votes is not None:
            shares, weight = crowd_targets(self.train.votes)
            return (shares * weight[:, None]).sum(0, dtype=np.float64)
        return np.bincount(self.train.labels, minlength=len(LABELS)).astype(np.float64)


def _smoothed(counts: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(share), 6) for share in (counts + 1) / (counts + 1).sum())


def load_training_data(
    dataset: Path, settings: TrainSettings, *, teachable: Collection[Head] = ()
) -> TrainingData:
    """Read `train` and `val`; where there is no `val`, hold a share of `train` out.

    Args:
        dataset: a data set folder that `prepare` wrote.
        settings: the recipe.
        teachable: the heads that all teachers of the recipe have; `crowd` among them takes the place of
            FER+ votes where the data set has none.

    Raises:
        InputError: the folder is no data set folder, or its pictures are not 48x48.
        UsageError: `holdout` leaves no row for one of the two, or a single one to learn from.
    """
    train = load_split(dataset, "train")
    if (dataset / "val.parquet").is_file():
        val = load_split(dataset, "val")
    else:
        # By each picture's own hash: exact copies stay on one side, and whatever the seed and whatever other
        # pictures there are, so that a run that starts from another is not chosen by what that has learned.
        below = int(settings.holdout * 2**256)
        held_out = np.array([int(sha256, 16) < below for sha256 in train.sha256])
        if not 0 < held_out.sum() < len(held_out):
            raise UsageError(
                f"holdout is {settings.holdout:g}: of the {len(held_out)} labelled training pictures of "
                f"{dataset} that is {held_out.sum()}, and validation and training need some each; "
                "choose another share"
            )
        val = train.take(np.flatnonzero(held_out), "val")
        train = train.take(np.flatnonzero(~held_out), "train")
    if len(train) < _FEWEST:
        raise UsageError(
            f"{dataset} has {len(train)} labelled training picture: batch statistics need {_FEWEST} at least"
        )
    for split in (train, val):
        if split.images.shape[1:] != (INPUT_SIZE, INPUT_SIZE):
            height, width = split.images.shape[1:]
            expected = f"expected {INPUT_SIZE}x{INPUT_SIZE}"
            raise DatasetFormatError(f"{dataset}: pictures of {split.name} are {width}x{height}, {expected}")
    learns_crowd = settings.loss.crowd_weight > 0 and (train.votes is not None or "crowd" in teachable)
    return TrainingData(train, val, ("fer2013", "crowd") if learns_crowd else ("fer2013",))


def missing_crowd(data: TrainingData, loss: LossSettings) -> str | None:
    """What to know of a model that will have no `crowd` head, and what to do; None where it has one."""
    if "crowd" in data.heads:
        return None
    if data.train.votes is None:
        votes = (
            "prepare again with FER+ votes and train on those: "
            "fer-batch prepare fer2013.csv OUT --ferplus fer2013new.csv (where to get them: data/README.md)"
        )
    else:
        votes = "train on the FER+ votes, which this data set has"
    weight = "" if loss.crowd_weight > 0 else "; for either, loss.crowd_weight must be above 0: it is not"
    return (
        "This model has only the fer2013 head. If its labels are FER2013's, it calls about 4 in 10 resting "
        f"faces on natural photographs angry. For a crowd head, do A or B{weight}:\n"
        f"  A: {votes}\n"
        '  B: let the default model teach it: teacher = ["default"], as in --config crowd_from_default'
    )


def on_device(split: Split, device: torch.device) -> Batchable:
    """Put a whole split on a device: FER2013's training rows take 66 MB."""
    n = len(split.labels)
    if split.votes is None:
        crowd = np.zeros((n, len(LABELS)), np.float32)
    else:
        shares, weight = crowd_targets(split.votes)
        crowd = shares * weight[:, None]
    return Batchable(
        pixels=torch.from_numpy(split.images)[:, None].to(device),
        labels=torch.from_numpy(split.labels).to(device),
        crowd=torch.from_numpy(crowd).to(device),
    )
