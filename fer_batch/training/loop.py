"""Training, from a data set folder to a run folder: read `train`, and `_fit`, from top to bottom."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_batch.errors import ModelError, UsageError
from fer_batch.model.architectures import FIXED_SIZE, INPUT_SIZE, Network, build_network
from fer_batch.model.checkpoint import group, load_checkpoint, prefixed, save_checkpoint
from fer_batch.progress import Progress, silent
from fer_batch.settings import Head, TrainRuntime, TrainSettings, validated
from fer_batch.training.augment import degrade, draw_mixing, draw_moves, move, shrink
from fer_batch.training.data import Batchable, TrainingData, load_training_data, on_device
from fer_batch.training.framing import detector_frames, reframed
from fer_batch.training.recipe import (
    build_optimizer,
    choose_device,
    class_weights,
    learning_rate,
    training_loss,
    update_average,
    uses_bf16,
)
from fer_batch.training.recording import Passage
from fer_batch.training.run_folder import RunFolder, TrainResult, best_weights, open_run
from fer_batch.training.teacher import Teacher, Views, blend, common_heads

_VALIDATION_BATCH = 512
_TRAINING = "training"
"""What progress is told of: batches."""


@dataclass(frozen=True)
class _Lesson:
    """What stays the same from epoch to epoch."""

    settings: TrainSettings
    data: Batchable
    weights: Tensor | None
    """Of the classes."""
    frames: Tensor | None
    """Of the training pictures, where some are shown as the detector frames them."""
    views: Views | None
    """Of the training pictures, with what a teacher answers to them."""
    alone: tuple[Head, ...]
    """The heads that learn from the teacher alone."""
    bf16: bool
    passage: Passage
    progress: Progress


@dataclass
class _State:
    """Everything that a resumed run must find again."""

    network: Network
    average: Network
    """The moving average; the network itself where none is kept."""
    optimizer: torch.optim.Optimizer
    history: list[dict[str, float]] = field(default_factory=list)
    """One row an epoch."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the average after the best epoch, on the CPU."""

    def save(self, path: Path) -> None:
        tensors = prefixed("network", self.network.state_dict())
        if self.average is not self.network:
            tensors |= prefixed("average", self.average.state_dict())
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= prefixed(f"optimizer.{index}", values)
        tensors |= prefixed("best", self.best)
        save_checkpoint(path, tensors, {"history": self.history})

    def load(self, path: Path) -> None:
        """Go back to what `save` wrote.

        Raises:
            ModelError: it is something else.
        """
        tensors, header = load_checkpoint(path)
        try:
            self._restore(tensors, header["history"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelError(
                f"{path} is no checkpoint of this run: put its own back, or train in another folder"
            ) from error

    def _restore(self, tensors: dict[str, Tensor], history: list[dict[str, float]]) -> None:
        self.history = history
        self.best = group("best", tensors)
        if not self.best:
            raise KeyError("best")
        self.network.load_state_dict(group("network", tensors))
        if self.average is not self.network:
            self.average.load_state_dict(group("average", tensors))
        state = self.optimizer.state_dict()
        state["state"] = {}
        for name, value in group("optimizer", tensors).items():
            index, key = name.split(".")
            # Like the weights, so that the fused update finds one memory layout.
            layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
            state["state"].setdefault(int(index), {})[key] = value.contiguous(memory_format=layout)
        self.optimizer.load_state_dict(state)


def train(
    dataset: str | Path,
    run: str | Path,
    settings: TrainSettings | None = None,
    *,
    runtime: TrainRuntime | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainResult:
    """Train a classifier; choose its epoch by validation accuracy; export it.

    Random numbers come from (seed, epoch) alone, so that a resumed run follows the same curve; on another
    device or in another precision it follows its own, and the manifest says so.

    Args:
        dataset: a data set folder that `prepare` wrote.
        run: the folder to write: settings, history, curves, checkpoint, `model.onnx`, manifest.
        settings: the recipe; None takes the defaults.
        runtime: device, precision and threads.
        resume: go on after the last finished epoch if there is one; its settings must be the same.
        progress: told after every batch.

    Returns:
        What came out, and where it is.

    Raises:
        UsageError: a setting cannot be, the run folder holds another run, or the loss diverged.
        InputError: the data set folder, or the manifest of a run to go on with, cannot be read.
        ModelError: a teacher, the run to start from, or the checkpoint to go on with cannot be used.
        OutputError: the run folder cannot be written.
    """
    # Checked before a large data set is read, and not only then.
    settings, runtime, device = _checked(settings, runtime)
    data = load_training_data(Path(dataset), settings, teachable=common_heads(settings.teacher))
    teacher = _teacher(settings, data, device)
    by_epoch = _bar_an_epoch(progress, settings.epochs, batches_an_epoch(len(data.train), settings))
    with open_run(Path(run), settings, data, resume=resume) as folder:
        network, history, views = _fit(folder, teacher, runtime, device, by_epoch)
        return folder.result or folder.finish(network, history, _best(history), _taught_alone(data, views))


def fit(
    data: TrainingData,
    run: Path,
    settings: TrainSettings,
    *,
    runtime: TrainRuntime | None = None,
    progress: Progress = silent,
) -> Network:
    """Train a network for use here and now, on pictures in memory: as `train` does it, but for the export.

    Args:
        data: 48x48 pictures to learn from and to choose the epoch by, at least two and one, all labelled.
        run: the run folder to write, or to go on with after its last finished epoch.
        settings: the recipe; its `holdout` is the caller's business.
        runtime: device, precision and threads.
        progress: told after every batch how many are done of `epochs * batches_an_epoch`; a resumed run
            starts where it was. With `framed`, told of the framing before, under that name.

    Returns:
        The network of the best epoch, on the CPU.

    Raises:
        UsageError: a setting cannot be, the run folder holds another run, or the loss diverged.
        InputError: the manifest of a run to go on with cannot be read.
        ModelError: a teacher, the run to start from, or the checkpoint to go on with cannot be used.
        OutputError: the run folder cannot be written.
    """
    settings, runtime, device = _checked(settings, runtime)
    teacher = _teacher(settings, data, device)
    with open_run(run, settings, data, resume=True) as folder:
        return _fit(folder, teacher, runtime, device, progress)[0]


def _teacher(settings: TrainSettings, data: TrainingData, device: torch.device) -> Teacher | None:
    """Whoever teaches; opened before the run folder is, which nothing that cannot be should begin."""
    return Teacher(settings.teacher, data.heads, device) if settings.teacher else None


def _fit(
    folder: RunFolder,
    teacher: Teacher | None,
    runtime: TrainRuntime,
    device: torch.device,
    progress: Progress,
) -> tuple[Network, list[dict[str, float]], Views | None]:
    """Train to the end; returns the best epoch's network, on the CPU, the history, and what a teacher saw."""
    settings, data = folder.settings, folder.data
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    begun = folder.checkpoint.is_file()
    state = _start(settings, data, device, None if begun or not settings.start else Path(settings.start))
    if begun:
        state.load(folder.checkpoint)
        _write_beside(folder, state)
    bf16 = uses_bf16(runtime, device)
    train_on, validate_on = on_device(data.train, device), on_device(data.val, device)
    frames = None
    if settings.augment.framed and not _finished(state.history, settings):
        frames = detector_frames(data.train.images, progress)
    views = Views(teacher, train_on.pixels, settings, bf16=bf16) if teacher else None
    lesson = _Lesson(
        settings=settings,
        data=train_on,
        weights=class_weights(train_on.labels) if settings.loss.class_weighting else None,
        frames=frames,
        views=views,
        alone=data.taught,
        bf16=bf16,
        passage=Passage(state.network, device, bf16=bf16, compiled=runtime.compile),
        progress=progress,
    )
    if not _finished(state.history, settings):
        precision = "bf16" if bf16 else "fp32"
        how = {"device": device.type, "precision": precision, "compiled": runtime.compile}
        folder.note_runtime(len(state.history) + 1, how)
    while not _finished(state.history, settings):
        epoch = len(state.history) + 1
        started = time.monotonic()
        row = _train_epoch(state, epoch, lesson)
        row |= _validate(state.average, validate_on, bf16=bf16)
        row["seconds"] = time.monotonic() - started
        _check_finite(row, settings)
        state.history.append(row)
        if _best(state.history) is row:
            state.best = {name: value.cpu().clone() for name, value in state.average.state_dict().items()}
        state.save(folder.checkpoint)
        _write_beside(folder, state)
    best = build_network(settings, data.heads)
    best.load_state_dict(state.best)
    return best, state.history, views


def _taught_alone(data: TrainingData, views: Views | None) -> dict[Head, NDArray[np.float32]]:
    """What the heads without labels learned from: the teacher's answers to one view, float32 [N, 7]."""
    if views is None or not data.taught:
        return {}
    taught = views.of_epoch(1).taught
    return {head: taught[head].cpu().numpy() for head in data.taught}


def _write_beside(folder: RunFolder, state: _State) -> None:
    """Write what the checkpoint tells as files of their own: a kill may come between it and them."""
    save_checkpoint(folder.best, state.best, {"epoch": _best(state.history)["epoch"]})
    folder.write_history(state.history)


def _check_finite(row: dict[str, float], settings: TrainSettings) -> None:
    """Nothing, where an epoch has led somewhere.

    Raises:
        UsageError: its loss diverged, which its last step may have brought about.
    """
    for name in ("train_loss", "val_loss"):
        if not math.isfinite(row[name]):
            raise UsageError(
                f"optimizer.learning_rate is {settings.optimizer.learning_rate}: the loss is {row[name]} "
                f"in epoch {row['epoch']:g}; choose a lower one"
            )


def _best(history: list[dict[str, float]]) -> dict[str, float]:
    """The row of the epoch with the highest validation accuracy, the earliest of equals."""
    return max(history, key=lambda row: row["val_accuracy"])


def batches_an_epoch(rows: int, settings: TrainSettings) -> int:
    """How many batches of that many training rows an epoch has.

    The last rows that fill no batch wait for another epoch: batch statistics want full batches.
    """
    return max(1, rows // settings.batch_size)


def _checked(
    settings: TrainSettings | None, runtime: TrainRuntime | None
) -> tuple[TrainSettings, TrainRuntime, torch.device]:
    """Recipe and runtime that go together and can be had here.

    Raises:
        UsageError: they do not, or cannot.
    """
    settings, runtime = validated(TrainSettings, settings), validated(TrainRuntime, runtime)
    if settings.early_share and settings.arch in FIXED_SIZE:
        raise UsageError(
            f"early_share is {settings.early_share}: "
            f"{settings.arch} takes pictures of {INPUT_SIZE} pixels only"
        )
    return settings, runtime, choose_device(runtime)


def _bar_an_epoch(progress: Progress, epochs: int, batches: int) -> Progress:
    """Tell of all epochs as of one piece of work each, of so many batches; of other work as it is told."""

    def tell(what: str, done: int, total: int | None, /) -> None:
        if what != _TRAINING:
            progress(what, done, total)
            return
        epoch, batch = divmod(done - 1, batches)
        progress(f"epoch {epoch + 1}/{epochs}", batch + 1, batches)

    return tell


def _start(settings: TrainSettings, data: TrainingData, device: torch.device, begin: Path | None) -> _State:
    """A network with the weights of the run `begin`, or those that chance gives it."""
    torch.manual_seed(settings.seed)
    network = build_network(settings, data.heads)
    if begin is not None:
        _load_start(network, best_weights(begin))
    network = network.to(device).to(memory_format=torch.channels_last)
    average = copy.deepcopy(network) if settings.ema_decay else network
    return _State(network, average, build_optimizer(network, settings.optimizer))


def _load_start(network: Network, weights: Path) -> None:
    wanted = network.state_dict()
    found = load_checkpoint(weights)[0]
    try:
        network.load_state_dict({k: v for k, v in found.items() if k in wanted or not k.startswith("heads.")})
    except RuntimeError as error:
        raise ModelError(
            f"start: {weights} is of another architecture, width, depth or full_blocks, or lacks a head: "
            "name a run of the same, or change the settings"
        ) from error


def _finished(history: list[dict[str, float]], settings: TrainSettings) -> bool:
    if len(history) >= settings.epochs:
        return True
    return bool(settings.patience and history and len(history) - _best(history)["epoch"] >= settings.patience)


def _train_epoch(state: _State, epoch: int, lesson: _Lesson) -> dict[str, float]:
    """Show every full batch of training pictures once; returns the epoch's first columns of the history."""
    settings, data = lesson.settings, lesson.data
    batches = batches_an_epoch(len(data), settings)
    early = settings.early_share * settings.epochs + 1e-9  # 0.58 of 50 is 28.999...
    size = settings.early_size if epoch <= early else INPUT_SIZE
    network, optimizer = state.network.train(), state.optimizer
    # Before random numbers are seeded, of which recording takes some.
    forward = lesson.passage.of(min(settings.batch_size, len(data)), size)
    generator = _seed(settings.seed, epoch)
    # On the CPU, where the moves are too: to fetch it from CUDA would wait for the step before.
    order = torch.randperm(len(data), generator=generator)
    device = data.labels.device
    view = lesson.views.of_epoch(epoch) if lesson.views else None
    loss_sum, correct = torch.zeros(2, device=device)
    rate = 0.0
    for number in range(batches):
        step = (epoch - 1) * batches + number
        rate = learning_rate(step, settings.epochs * batches, settings.optimizer)
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate
        rows = order[number * settings.batch_size : (number + 1) * settings.batch_size]
        batch = data.take(rows.to(device))
        targets = batch.targets()
        mix = draw_mixing(len(rows), settings.augment.mixup, generator)
        answers = mix(targets["fer2013"]).argmax(1)
        if view is None:
            moves = draw_moves(len(rows), settings.augment, generator)
        else:
            moves = view.moves[rows]
            taught = view.answers(rows.to(device))
            targets = blend(targets, taught, settings.loss.teacher_weight, lesson.alone)
        if lesson.frames is not None:
            moves = reframed(moves, lesson.frames[rows], settings.augment.framed, generator)
        for head, target in targets.items():
            targets[head] = mix(target)
        pictures = mix(degrade(move(batch.pixels, moves), settings.augment, generator))
        pictures = shrink(pictures, size).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=lesson.bf16):
            outputs = forward(pictures)
            loss = training_loss(outputs, targets, settings.loss, lesson.weights)
        optimizer.zero_grad()
        loss.backward()
        if settings.optimizer.gradient_clip:
            nn.utils.clip_grad_norm_(network.parameters(), settings.optimizer.gradient_clip)
        optimizer.step()
        if settings.ema_decay:
            update_average(state.average, network, settings.ema_decay, step)
        loss_sum += loss.detach()
        correct += (outputs["fer2013"].argmax(1) == answers).float().mean()
        lesson.progress(_TRAINING, step + 1, settings.epochs * batches)
    return {
        "epoch": epoch,
        "learning_rate": rate,
        "train_loss": float(loss_sum) / batches,
        "train_accuracy": float(correct) / batches,
    }


@torch.no_grad()
def _validate(network: Network, data: Batchable, *, bf16: bool) -> dict[str, float]:
    """Cross-entropy and accuracy of the `fer2013` head on unchanged pictures."""
    network.eval()
    loss, correct = 0.0, 0
    for indices in torch.arange(len(data), device=data.labels.device).split(_VALIDATION_BATCH):
        batch = data.take(indices)
        with torch.autocast(data.labels.device.type, torch.bfloat16, enabled=bf16):
            logits = network(batch.pixels)["fer2013"].float()
        loss += float(F.cross_entropy(logits, batch.labels, reduction="sum"))
        correct += int((logits.argmax(1) == batch.labels).sum())
    return {"val_loss": loss / len(data), "val_accuracy": correct / len(data)}


def _seed(seed: int, epoch: int) -> torch.Generator:
    """Seed dropout, and return the generator of everything else, from (seed, epoch) alone."""
    dropout, other = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64).tolist()
    torch.manual_seed(dropout)
    return torch.Generator().manual_seed(other % 2**63)
