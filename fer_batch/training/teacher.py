"""Trained networks whose averaged probabilities are another network's targets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_batch.errors import ModelError
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.torch_graph import TorchGraph
from fer_batch.model.onnx_file import INPUT_NAME, load_card, resolve
from fer_batch.settings import Head, TrainSettings
from fer_batch.storage import file_sha256
from fer_batch.training.augment import draw_moves, move

_BATCH_SIZES = {"cpu": 64, "cuda": 1024}
"""On the CPU, layers of larger batches are given back to the system after each, which costs a third of the
time; on CUDA smaller ones leave most of it idle."""
_VIEWS = 1
"""Tells the random numbers of views from those of epochs."""


class Teacher:
    """Some model files, asked together (Hinton et al. 2015).

    Args:
        models: each `default`, a run folder of `train`, or a model file.
        heads: the heads that must answer.
        device: where to ask them.

    Raises:
        ModelError: there is no such model, it cannot be used, or it lacks a head.
    """

    def __init__(self, models: Sequence[str], heads: Sequence[Head], device: torch.device) -> None:
        self.heads = tuple(heads)
        self._graphs = [_load(model, self.heads, device) for model in models]

    @torch.no_grad()
    def probabilities(self, pictures: Tensor, *, bf16: bool) -> dict[Head, Tensor]:
        """The mean over the models of each head's probabilities, at a temperature of 1.

        Args:
            pictures: float32 [N, 1, 48, 48], 0–255.
            bf16: whether to multiply in bfloat16.

        Returns:
            For each head, float32 [N, 7].
        """
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=bf16):
            answers = [graph.tensors(self.heads, {INPUT_NAME: pictures}) for graph in self._graphs]
        return {
            head: torch.stack([answer[index].float().softmax(1) for answer in answers]).mean(0)
            for index, head in enumerate(self.heads)
        }


@dataclass(frozen=True)
class View:
    """One way in which all pictures are moved, and the teacher's answers to the moved pictures."""

    moves: Tensor
    """float32 [N, 2, 3], as `draw_moves` gives them."""
    taught: dict[Head, Tensor]
    """For each head, probabilities, float32 [N, 7], on the pictures' device."""

    def answers(self, rows: Tensor) -> dict[Head, Tensor]:
        """The teacher's answers to the named pictures, in the order given."""
        return {head: taught[rows] for head, taught in self.taught.items()}


class Views:
    """A few views of all pictures, which take turns from epoch to epoch.

    The teacher answers each of them once, in the first epoch that it is met in; asking it anew in every
    epoch would cost more than the pupil's own training. It sees the pictures moved but not degraded.

    Args:
        teacher: who answers.
        pixels: uint8 [N, 1, 48, 48], all training pictures.
        settings: seed, augmentation, and how many views.
        bf16: whether the teacher multiplies in bfloat16.
    """

    def __init__(self, teacher: Teacher, pixels: Tensor, settings: TrainSettings, *, bf16: bool) -> None:
        self._teacher = teacher
        self._pixels = pixels
        self._settings = settings
        self._bf16 = bf16
        self._seen: dict[int, View] = {}

    def of_epoch(self, epoch: int) -> View:
        """The view whose turn it is; epochs are counted from 1."""
        number = (epoch - 1) % self._settings.teacher_views
        if number not in self._seen:
            # Its own stream of random numbers: a resumed run must draw the same without the epochs before.
            seed = np.random.SeedSequence([self._settings.seed, number, _VIEWS]).generate_state(1, np.uint32)
            generator = torch.Generator().manual_seed(int(seed[0]))
            moves = draw_moves(len(self._pixels), self._settings.augment, generator)
            size = _BATCH_SIZES[self._pixels.device.type]
            parts = [
                self._teacher.probabilities(move(pixels, moved), bf16=self._bf16)
                for pixels, moved in zip(self._pixels.split(size), moves.split(size), strict=True)
            ]
            self._seen[number] = View(
                moves, {head: torch.cat([part[head] for part in parts]) for head in self._teacher.heads}
            )
        return self._seen[number]


def blend(
    targets: dict[Head, Tensor],
    taught: dict[Head, Tensor],
    teacher_weight: float,
    alone: Collection[Head] = (),
) -> dict[Head, Tensor]:
    """Targets of which the teacher's probabilities are the given share.

    Args:
        targets: from the data set's own labels, float32 [N, 7] for each head.
        taught: the teacher's probabilities, the same; heads that it lacks have no target.
        teacher_weight: 0–1.
        alone: heads without labels of their own, of whose targets the teacher's share is 1.
    """
    return {
        head: taught[head] if head in alone else target.lerp(taught[head], teacher_weight)
        for head, target in targets.items()
        if head in taught
    }


def common_heads(models: Sequence[str]) -> tuple[Head, ...]:
    """The heads that all of these models have; none where there is no model.

    Raises:
        ModelError: one of the models is missing, or cannot be used.
    """
    cards = [load_card(_file(model)) for model in models]
    return tuple(head for head in get_args(Head) if cards and all(head in card.heads for card in cards))


def calibrated_answers(models: Sequence[str], images: NDArray[np.uint8], head: Head) -> NDArray[np.float32]:
    """The mean over the models of a head's probabilities, each at that model's own temperature.

    Args:
        models: at least one, as for `Teacher`; all have the head.
        images: uint8 [N, 48, 48], gray, 0–255.
        head: which of their heads.

    Returns:
        float32 [N, 7].

    Raises:
        ModelError: a model is missing or cannot be used.
    """
    answers = [Classifier(_file(model), head=head).probabilities(images) for model in models]
    return np.stack(answers).mean(0)


def checksums(models: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the file of each model, by its name in the settings.

    Raises:
        ModelError: there is no such model.
    """
    return {model: file_sha256(_file(model)) for model in models}


def _file(model: str) -> Path:
    try:
        return resolve(model)
    except ModelError as error:
        raise ModelError(f"the settings name a teacher, to be trained first: {error}") from error


def _load(model: str, heads: Sequence[Head], device: torch.device) -> TorchGraph:
    path = _file(model)
    missing = [head for head in heads if head not in load_card(path).heads]
    if missing:
        raise ModelError(f"teacher {model} has no head {', '.join(missing)}")
    return TorchGraph(path, device)
