"""The folder of one training run: who may write to it, and what it holds when it is finished."""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from fer_batch.errors import InputError, ModelError, UsageError
from fer_batch.figures.confusion import write_confusion
from fer_batch.figures.curves import write_curves
from fer_batch.figures.metrics import confusion
from fer_batch.model.architectures import PIXEL_MEAN, PIXEL_STD, Network
from fer_batch.model.crop_geometry import FER2013_CROP
from fer_batch.model.export import export_onnx
from fer_batch.model.layers import layer_table
from fer_batch.model.onnx_file import ModelCard, save_with_card
from fer_batch.settings import Head, TrainSettings, completed, dump_toml, plain
from fer_batch.storage import (
    atomic_file,
    file_sha256,
    read_json,
    require_text_path,
    versions,
    write_json,
    write_text,
    writing,
)
from fer_batch.training.calibration import Reference, calibrate, calibrated_card
from fer_batch.training.data import TrainingData, missing_crowd
from fer_batch.training.evaluation import head_labels
from fer_batch.training.teacher import calibrated_answers, checksums

_log = logging.getLogger(__name__)

_HISTORY_DIGITS = 6
_CHECKPOINT = "checkpoint.safetensors"
_BEST = "best.safetensors"


@dataclass(frozen=True)
class TrainResult:
    """What a finished run came to."""

    run: Path
    model: Path
    epochs: int
    best_epoch: int
    figures: dict[str, Any]
    """Validation figures of each head, from the exported file: one forward pass in fp32. They are those of
    `measure`; of a head that learned from a teacher alone, those of `compare_with`."""
    note: str | None
    """What to know before footage is read with the model; None where there is nothing to add."""


@dataclass(frozen=True)
class RunFolder:
    """A run folder that nobody else writes to."""

    path: Path
    settings: TrainSettings
    data: TrainingData
    manifest: dict[str, Any]

    @property
    def checkpoint(self) -> Path:
        """State after the last finished epoch."""
        return self.path / _CHECKPOINT

    @property
    def best(self) -> Path:
        """Weights of the epoch with the highest validation accuracy so far."""
        return self.path / _BEST

    @property
    def model(self) -> Path:
        """The finished model file."""
        return self.path / "model.onnx"

    @property
    def result(self) -> TrainResult | None:
        """What the run came to, where it has been finished and its model is the one that it wrote."""
        found = self.manifest
        if found["status"] != "ok" or not self.model.is_file():
            return None
        if file_sha256(self.model) != found["model_sha256"]:
            return None
        return self._result(found["epochs"], found["best_epoch"], found["figures"]["val"])

    def _result(self, epochs: int, best_epoch: int, figures: dict[str, Any]) -> TrainResult:
        note = missing_crowd(self.data, self.settings.loss)
        return TrainResult(self.path, self.model, epochs, best_epoch, figures, note)

    def note_runtime(self, epoch: int, runtime: Mapping[str, Any]) -> None:
        """Write down where and how the epochs from this one on are trained, where that is new.

        A run that goes on elsewhere is a run of the same recipe, but not on the very same curve.
        """
        before = self.manifest.setdefault("trained_on", [])
        if before and before[-1] == {"from_epoch": before[-1]["from_epoch"], **runtime}:
            return
        if before:
            changed = _difference(before[-1], runtime)
            _log.warning(
                "%s goes on otherwise than it was begun, and on another curve: %s", self.path, changed
            )
        before.append({"from_epoch": epoch, **runtime})
        write_json(self.path / "manifest.json", self.manifest)

    def write_history(self, history: Sequence[Mapping[str, float]]) -> None:
        """Write `history.csv`: a row an epoch, in the order of the epochs."""
        text = io.StringIO()
        writer = csv.DictWriter(text, history[0].keys(), lineterminator="\n")
        writer.writeheader()
        for row in history:
            writer.writerow({name: f"{value:.{_HISTORY_DIGITS}g}" for name, value in row.items()})
        write_text(self.path / "history.csv", text.getvalue())

    def finish(
        self,
        network: Network,
        history: Sequence[Mapping[str, float]],
        best: Mapping[str, float],
        taught: Mapping[Head, NDArray[np.float32]],
    ) -> TrainResult:
        """Export the chosen epoch, measure the exported file, and write the manifest last.

        Args:
            network: of the chosen epoch, on the CPU.
            history: a row an epoch.
            best: the row of the chosen epoch.
            taught: for each head without labels in the data, the teacher's answers that it learned from,
                float32 [N, 7].
        """
        best_epoch, val = int(best["epoch"]), self.data.val
        card = ModelCard(
            architecture=self.settings.arch,
            heads=dict.fromkeys(self.data.heads, 1.0),
            shares=self.data.class_shares(taught),
            normalisation=f"inside the graph: (pixels - {PIXEL_MEAN:g}) / {PIXEL_STD:g}",
            crop=FER2013_CROP,
            layers=layer_table(network),
            training={
                "data_fingerprint": self.manifest["data"]["fingerprint"],
                "settings": asdict(self.settings),
                **{name: self.manifest[name] for name in ("start", "teacher") if self.manifest.get(name)},
                **({"heads": self.data.sources} if self.data.taught else {}),
                "epoch": best_epoch,
                "versions": self.manifest["versions"],
            },
        )
        # Wherever there is a `model.onnx`, it is calibrated and measured: others take it for finished.
        with atomic_file(self.model) as unfinished:
            export_onnx(network, card, unfinished)
            references: dict[Head, Reference] = {
                head: Reference("teacher", calibrated_answers(self.settings.teacher, val.images, head))
                for head in self.data.taught
            }
            answers = calibrate(unfinished, val, self.data.heads, references)
            card = calibrated_card(card, answers)
            save_with_card(unfinished.read_bytes(), card, unfinished)
        figures = card.figures["val"]
        _, labels = head_labels(val, "fer2013")
        counts = confusion(labels, answers["fer2013"].probabilities.argmax(1))
        write_confusion(counts, self.path / "confusion_matrix", "validation split")
        write_curves(history, self.path / "curves.png")
        manifest = self.manifest | {
            "status": "ok",
            "epochs": len(history),
            "best_epoch": best_epoch,
            "figures": {"val": figures},
            "model_sha256": file_sha256(self.model),
            "timings": {"seconds": sum(row["seconds"] for row in history)},
        }
        write_json(self.path / "manifest.json", manifest)
        return self._result(len(history), best_epoch, figures)


def best_weights(run: str | Path) -> Path:
    """The weights of the best epoch of a run that has finished one.

    Raises:
        ModelError: there are none, or that cannot be told.
    """
    path = Path(run) / _BEST
    try:
        found = path.is_file()
    except OSError as error:
        raise ModelError(f"start: cannot read {path}: {error.strerror}") from error
    if not found:
        raise ModelError(f"start: {run} is no run folder with {_BEST}: name one that `train` wrote")
    return path


@contextmanager
def open_run(run: Path, settings: TrainSettings, data: TrainingData, *, resume: bool) -> Iterator[RunFolder]:
    """Lock a run folder, new or, with `resume`, of the same recipe and data.

    A run that has finished no epoch is begun anew, with or without `resume`.

    Raises:
        UsageError: another process trains there, or the folder holds something else.
        InputError: the manifest there cannot be read, or is none of a run.
        OutputError: the folder cannot be written.
    """
    require_text_path(run)
    _manifest_of(run)  # before anything is written to what may be somebody else's
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
        lock = FileLock(run / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{run}: another process is training there") from None
    try:
        with writing(run):
            for unfinished in run.glob(".*.partial.*"):  # which a kill left
                unfinished.unlink()
        yield RunFolder(run, settings, data, _start_or_check(run, settings, data, resume=resume))
    finally:
        lock.release()


def _start_or_check(
    run: Path, settings: TrainSettings, data: TrainingData, *, resume: bool
) -> dict[str, Any]:
    recipe: dict[str, Any] = {
        "settings": plain(settings),
        "data": {"fingerprint": data.fingerprint},
        "heads": data.sources,
        "teacher": checksums(settings.teacher),
    }
    if settings.augment.framed:  # pictures follow from it, as from the settings
        recipe["crop"] = json.loads(json.dumps(asdict(FER2013_CROP)))
    manifest = _manifest_of(run)
    if manifest is not None and (manifest["status"] != "running" or (run / _CHECKPOINT).is_file()):
        if not resume:
            raise UsageError(f"{run} holds a run already: --resume continues it, or choose another folder")
        origin = str(run / "manifest.json")
        begun = manifest | {"settings": completed(TrainSettings, manifest["settings"], origin=origin)}
        # An earlier release states no heads, and had none that a teacher alone teaches.
        begun.setdefault("heads", {head: own for head, own in data.sources.items() if own != "teacher"})
        for name, value in recipe.items():
            found = {key: begun.get(name, {}).get(key) for key in value}
            if found != value:
                difference = _difference(found, value)
                raise UsageError(f"{run} was begun with other {name}: {difference}; choose another folder")
        if not (run / _CHECKPOINT).is_file():
            raise UsageError(
                f"{run} is finished, and its {_CHECKPOINT} is gone: put it back, or choose another folder"
            )
        return manifest
    if settings.start:  # the checkpoint of a run to go on with has left it behind
        recipe["start"] = {settings.start: file_sha256(best_weights(settings.start))}
    recipe["data"] |= {"train": len(data.train.labels), "val": len(data.val.labels)}
    manifest = {
        "status": "running",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": versions("torch", "numpy", "onnxruntime"),
        **recipe,
        "note": missing_crowd(data, settings.loss),
    }
    write_json(run / "manifest.json", manifest)
    write_text(run / "settings.toml", dump_toml(settings))
    return manifest


def _manifest_of(run: Path) -> dict[str, Any] | None:
    """The manifest of a run that has been begun; None of a folder that is empty or not there.

    Raises:
        UsageError: the folder holds something else.
        InputError: the manifest cannot be read, or is none of a run.
        OutputError: it cannot be told what is there.
    """
    path = run / "manifest.json"
    with writing(run):
        if not path.is_file():
            if run.is_dir() and any(entry.name != ".lock" for entry in run.iterdir()):
                raise UsageError(f"{run} is not empty and holds no run: choose another folder")
            return None
    manifest = read_json(path)
    # Other commands have settings too, but no teacher.
    kinds = {"status": str, "settings": dict, "data": dict, "teacher": dict}
    if isinstance(manifest, dict) and all(isinstance(manifest.get(k), kind) for k, kind in kinds.items()):
        return manifest
    raise InputError(f"{path} is not the manifest of a run: choose another folder")


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What differs, setting by setting: `augment.rotation was 12.0, now 10.0`."""
    return ", ".join(_differences(found, wanted, prefix=""))


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any], *, prefix: str) -> Iterator[str]:
    for name, value in wanted.items():
        before = found.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            yield from _differences(before, value, prefix=f"{prefix}{name}.")
        elif before != value:
            yield f"{prefix}{name} was {before!r}, now {value!r}"
