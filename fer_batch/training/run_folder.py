"""The folder of one training run: who may write to it, and what it holds when it is finished."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fer_batch.errors import InputError, ModelError, UsageError
from fer_batch.figures.confusion import write_confusion
from fer_batch.figures.curves import write_curves
from fer_batch.figures.metrics import confusion
from fer_batch.model.architectures import PIXEL_MEAN, PIXEL_STD, Network
from fer_batch.model.crop_geometry import FER2013_CROP
from fer_batch.model.export import export_onnx
from fer_batch.model.layers import layer_table
from fer_batch.model.onnx_file import ModelCard, save_with_card
from fer_batch.settings import TrainSettings, completed, dump_toml, plain
from fer_batch.storage import atomic_file, file_sha256, read_json, versions, write_json, write_text, writing
from fer_batch.training.calibration import calibrate, calibrated_card
from fer_batch.training.data import TrainingData
from fer_batch.training.teacher import checksums

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
    """Validation figures of each head, from the exported file: one forward pass in fp32."""


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
        *,
        device: str,
        precision: str,
    ) -> TrainResult:
        """Export the chosen epoch, measure the exported file, and write the manifest last."""
        best_epoch = int(best["epoch"])
        card = ModelCard(
            architecture=self.settings.arch,
            heads=dict.fromkeys(self.data.heads, 1.0),
            normalisation=f"inside the graph: (pixels - {PIXEL_MEAN:g}) / {PIXEL_STD:g}",
            crop=FER2013_CROP,
            layers=layer_table(network),
            training={
                "data_fingerprint": self.manifest["data"]["fingerprint"],
                "settings": asdict(self.settings),
                **{name: self.manifest[name] for name in ("start", "teacher") if self.manifest.get(name)},
                "epoch": best_epoch,
                "versions": self.manifest["versions"],
            },
        )
        # Wherever there is a `model.onnx`, it is calibrated and measured: others take it for finished.
        with atomic_file(self.model) as unfinished:
            export_onnx(network, card, unfinished)
            answers = calibrate(unfinished, self.data.val, self.data.heads)
            card = calibrated_card(card, answers)
            save_with_card(unfinished.read_bytes(), card, unfinished)
        figures = card.figures["val"]
        shown = answers["fer2013"]
        counts = confusion(shown.labels, shown.probabilities.argmax(1))
        write_confusion(counts, self.path / "confusion_matrix", "validation split")
        write_curves(history, self.path / "curves.png")
        manifest = self.manifest | {
            "status": "ok",
            "epochs": len(history),
            "best_epoch": best_epoch,
            "figures": {"val": figures},
            "model_sha256": file_sha256(self.model),
            "device": device,
            "precision": precision,
            "timings": {"seconds": sum(row["seconds"] for row in history)},
        }
        write_json(self.path / "manifest.json", manifest)
        return TrainResult(self.path, self.model, len(history), best_epoch, figures)


def best_weights(run: str | Path) -> Path:
    """The weights of the best epoch of a run that has finished one.

    Raises:
        ModelError: there are none.
    """
    path = Path(run) / _BEST
    if not path.is_file():
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
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
        lock = FileLock(run / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{run}: another process is training there") from None
    try:
        yield RunFolder(run, settings, data, _start_or_check(run, settings, data, resume=resume))
    finally:
        lock.release()


def _start_or_check(
    run: Path, settings: TrainSettings, data: TrainingData, *, resume: bool
) -> dict[str, Any]:
    manifest_file = run / "manifest.json"
    recipe: dict[str, Any] = {
        "settings": plain(settings),
        "data": {"fingerprint": data.fingerprint},
        "teacher": checksums(settings.teacher),
    }
    if settings.augment.framed:  # pictures follow from it, as from the settings
        recipe["crop"] = json.loads(json.dumps(asdict(FER2013_CROP)))
    if manifest_file.is_file():
        manifest = read_json(manifest_file)
        if not isinstance(manifest, dict) or not all(isinstance(manifest.get(k, {}), dict) for k in recipe):
            raise InputError(f"{manifest_file} is not the manifest of a run: choose another folder")
        if manifest.get("status") != "running" or (run / _CHECKPOINT).is_file():
            if not resume:
                raise UsageError(
                    f"{run} holds a run already: --resume continues it, or choose another folder"
                )
            begun = manifest | {
                "settings": completed(TrainSettings, manifest.get("settings", {}), origin=str(manifest_file))
            }
            for name, value in recipe.items():
                found = {key: begun.get(name, {}).get(key) for key in value}
                if found != value:
                    difference = _difference(found, value)
                    raise UsageError(
                        f"{run} was begun with other {name}: {difference}; choose another folder"
                    )
            return manifest
    elif any(path.name != ".lock" for path in run.iterdir()):
        raise UsageError(f"{run} is not empty and holds no run: choose another folder")
    if settings.start:  # the checkpoint of a run to go on with has left it behind
        recipe["start"] = {settings.start: file_sha256(best_weights(settings.start))}
    recipe["data"] |= {"train": len(data.train.labels), "val": len(data.val.labels)}
    manifest = {
        "status": "running",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": versions("torch", "numpy", "onnxruntime"),
        **recipe,
    }
    write_json(manifest_file, manifest)
    write_text(run / "settings.toml", dump_toml(settings))
    return manifest


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    changed = [name for name, value in wanted.items() if found.get(name) != value]
    return ", ".join(f"{name} was {found.get(name)!r}, now {wanted[name]!r}" for name in changed)
