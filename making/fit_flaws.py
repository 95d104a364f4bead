"""Fit the network that sees what spoils a picture of a face.

It learns from pictures spoilt on purpose: things before the eyes or the mouth or beside them, shadows,
print, pictures of nothing (`hidden.py`, `flaws.py`), each taken as some camera might (`camera.py`). A second
task, the crowd's votes on the expression, keeps its features those of faces. It learns from rows that the
crowd takes for faces only.

    python -m making.fit_flaws data/fer2013 runs/flaws

The folder runs/flaws gets what is drawn, a checkpoint after every epoch, and at last `flaws.onnx`. Started
again, it resumes.
"""

from __future__ import annotations

import argparse
import copy
import csv
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from fer_batch.dataset import Split, crowd_targets, load_split
from fer_batch.inference.flaws import recompressed
from fer_batch.model.architectures import se_resnet
from fer_batch.model.onnx_file import forget_origin
from fer_batch.quality.faces import FaceFinder
from fer_batch.settings import AugmentSettings, TrainRuntime, TrainSettings
from fer_batch.storage import VOTES, atomic_file
from fer_batch.threads import ordered_map
from fer_batch.training.augment import shrink
from fer_batch.training.recipe import build_optimizer, learning_rate, update_average, uses_bf16
from making.camera import taken
from making.graft import Donor
from making.pools import FLAWS, Faces, Pool, make_pool

SURE = 0.6
"""Lowest detection score of a face whose landmarks are used."""
TURNED = 0.4
"""How far the nose is beside the middle of the eyes in a turned face, in distances of the eyes."""
AT_32_PIXELS, BATCH, SEED = 0.4, 128, 0
SHARES = {
    "clean": 0.16,
    "turned": 0.1,
    "hidden": 0.24,
    "grafted": 0.14,
    "open": 0.17,
    "beside": 0.05,
    "nothing": 0.08,
    "looked at": 0.06,
}
HARSH = 0.4
"""Share of hidden faces, and of pictures with print, that are blurred and darkened as badly as any other.
Few real ones are either: where little can be told a face is most likely open, and print that cannot be
seen is none."""
LOOKED_AT = Path(__file__).with_name("looked_at.csv")
"""Rows of FER2013's Training that somebody has looked at: `id`, and whether eyes and mouth are hidden: 0, 1,
or nothing where it could not be told."""


class FlawNetwork(nn.Module):
    """A trunk with one head for the flaws and one, that is left out of the file, for the expression."""

    def __init__(self) -> None:
        super().__init__()
        network = se_resnet(TrainSettings(width=0.5, dropout=0.1), ("crowd",))
        self.normalise, self.trunk = network.normalise, network.trunk
        self.emotion = network.heads["crowd"]
        self.flaws = nn.Linear(self.emotion.in_features, len(FLAWS))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the flaws and of the expressions, and features."""
        features = self.trunk(self.normalise(pixels))
        return self.flaws(features), self.emotion(features), features


def faces_of(split: Split, found_before: Path) -> tuple[Faces, NDArray[np.float32]]:
    """The pictures of a split with their landmarks, found once, and the detector's scores, float32 [N]."""
    if not found_before.is_file():
        found = FaceFinder().find(split.images)
        with atomic_file(found_before) as temporary, temporary.open("wb") as file:
            np.savez(file, scores=found.scores, landmarks=found.landmarks)
    read = np.load(found_before)
    landmarks, hidden = read["landmarks"], _looked_at(split)
    clear = (read["scores"] >= SURE) & ~_is_turned(landmarks)
    eyes, mouth = (
        [Donor(split.images[row], landmarks[row]) for row in np.flatnonzero(clear & (hidden[:, part] == 1))]
        for part in (0, 1)
    )
    return Faces(split.images, landmarks, hidden, (eyes, mouth)), read["scores"]


def _looked_at(split: Split) -> NDArray[np.float32]:
    """Whether eyes and mouth are hidden, float32 [N, 2]; who was not looked at is taken for open."""
    known = _looked_at_ids()
    return np.array([known.get(name, (0.0, 0.0)) for name in split.ids], np.float32)


@cache
def _looked_at_ids() -> dict[str, tuple[float, float]]:
    with LOOKED_AT.open(newline="", encoding="utf-8") as file:
        return {
            line["id"]: (float(line["eyes_hidden"] or "nan"), float(line["mouth_hidden"] or "nan"))
            for line in csv.DictReader(file)
        }


def make_pools(split: Split, folder: Path, workers: int, limit: int) -> dict[str, Pool]:
    """Spoilt and unspoilt pictures out of the rows of a split that the crowd takes for faces."""
    if split.votes is None:
        raise SystemExit("the data set has no FER+ votes")
    is_face = split.votes[:, VOTES.index("nf")] < 2
    faces, scores = faces_of(split, folder / "landmarks.npz")
    sure = np.flatnonzero(is_face & (scores >= SURE))
    rng = np.random.default_rng(SEED)
    rows = {
        "clean": np.flatnonzero(is_face),
        "hidden": rng.permutation(sure),
        "open": rng.permutation(sure),
        "beside": rng.permutation(sure)[::3],
        "nothing": rng.permutation(sure)[::4],
        "grafted": rng.permutation(
            sure[(faces.hidden[sure] == 0).all(1) & ~_is_turned(faces.landmarks[sure])]
        ),
    }
    pools = {
        kind: make_pool(kind, faces, rows[kind][:limit], folder / "drawn", SEED, workers) for kind in rows
    }
    turned = np.flatnonzero(is_face & ((scores < SURE) | _is_turned(faces.landmarks)))
    turned = turned[~np.isnan(faces.hidden[turned]).any(1)]
    known = np.array([row for row, name in enumerate(split.ids) if name in _looked_at_ids()], np.int64)
    known = known[~np.isnan(faces.hidden[known]).all(1)]
    return pools | {"turned": _real(split, faces, turned), "looked at": _real(split, faces, known)}


def _is_turned(landmarks: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether a head is turned to the side, or the detector found its landmarks elsewhere than on a face."""
    right, left, nose = landmarks[:, 0], landmarks[:, 1], landmarks[:, 2]
    eyes = left - right
    along = ((nose - (right + left) / 2) * eyes).sum(1) / np.maximum((eyes**2).sum(1), 1.0)
    return np.abs(along) > TURNED


def _real(split: Split, faces: Faces, rows: NDArray[np.int64]) -> Pool:
    """Pictures as they are; whether there is print across them is not known."""
    flaws = np.full((len(rows), len(FLAWS)), np.nan, np.float32)
    flaws[:, :2], flaws[:, 3] = faces.hidden[rows], 0.0
    return Pool(split.images[rows], flaws, rows)


def flaw_loss(logits: Tensor, flaws: Tensor) -> Tensor:
    """Binary cross-entropy of what is known, averaged flaw by flaw and added up."""
    known = ~flaws.isnan()
    each = F.binary_cross_entropy_with_logits(logits, flaws.nan_to_num(), reduction="none") * known
    return (each.sum(0) / known.sum(0).clamp(min=1)).sum()


@dataclass(eq=False)
class _Fit:
    """A fit that can be stopped after any epoch and resumed."""

    network: FlawNetwork
    average: FlawNetwork
    optimizer: torch.optim.Optimizer
    epoch: int = 0

    def save(self, path: Path) -> None:
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        with atomic_file(path) as temporary:
            torch.save(parts | {"epoch": self.epoch}, temporary)

    def load(self, path: Path) -> None:
        read = torch.load(path, weights_only=True)
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(read[name])
        self.epoch = read["epoch"]


def fit(
    split: Split, pools: dict[str, Pool], folder: Path, epochs: int, report: Callable[[str], None]
) -> FlawNetwork:
    """Train the network, or train it on from the folder's checkpoint.

    Args:
        split: the rows that the pools were made of.
        pools: of `SHARES`.
        folder: gets a checkpoint after every epoch.
        epochs: in all.
        report: gets a line an epoch.

    Returns:
        The moving average of its weights.
    """
    torch.manual_seed(SEED)
    network = FlawNetwork().to(memory_format=torch.channels_last)
    settings = TrainSettings(augment=AugmentSettings()).optimizer
    state = _Fit(network, copy.deepcopy(network), build_optimizer(network, settings))
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.is_file():
        state.load(checkpoint)
    shares, weight = crowd_targets(split.votes)
    crowd = torch.from_numpy(shares * weight[:, None])
    steps = len(split) // BATCH
    bf16 = uses_bf16(TrainRuntime(), torch.device("cpu"))
    for epoch in range(state.epoch, epochs):
        torch.manual_seed(SEED + 1 + epoch)  # of dropout: a resumed fit goes the same way
        total = 0.0
        with closing(_batches(pools, epoch, steps)) as batches:
            for number, (pictures, flaws, rows) in enumerate(batches):
                step = epoch * steps + number
                for parameters in state.optimizer.param_groups:
                    parameters["lr"] = learning_rate(step, epochs * steps, settings)
                seen = shrink(pictures, 32 if epoch < AT_32_PIXELS * epochs else 48)
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    logits, emotion, _ = network(seen.contiguous(memory_format=torch.channels_last))
                # An expression can be read where the picture is a face that nothing hides.
                readable = ((flaws[:, 3] == 0) & ~(flaws[:, :2] > 0.1).any(1)).float()
                votes = -(crowd[rows] * F.log_softmax(emotion.float(), 1)).sum(1)
                loss = flaw_loss(logits.float(), flaws) + (votes * readable).sum() / readable.sum()
                state.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
                state.optimizer.step()
                update_average(state.average, network, 0.995, step)
                total += float(loss.detach())
        state.epoch = epoch + 1
        state.save(checkpoint)
        report(f"epoch {epoch + 1}/{epochs}: loss {total / steps:.4f}")
    return state.average.eval()


_Batch = tuple[Tensor, Tensor, Tensor]
"""Pictures, float [N, 1, 48, 48], their flaws and their rows."""


def _batches(pools: dict[str, Pool], epoch: int, steps: int) -> Generator[_Batch, None, None]:
    """The batches of an epoch, made ahead of the network; each has its own seed."""
    with (
        ThreadPoolExecutor(1) as pool,
        closing(ordered_map(pool, lambda step: _batch(pools, epoch, step), range(steps), 4)) as batches,
    ):
        yield from batches


def _batch(pools: dict[str, Pool], epoch: int, step: int) -> _Batch:
    """Pictures out of all pools, each as some camera might have taken it."""
    rng = np.random.default_rng([SEED, epoch, step])
    counts = rng.multinomial(BATCH, list(SHARES.values()))
    drawn = [
        (pools[name], rng.integers(0, len(pools[name].rows), count))
        for name, count in zip(SHARES, counts, strict=True)
    ]
    pictures = np.concatenate([pool.pictures[chosen] for pool, chosen in drawn])
    flaws = np.concatenate([pool.flaws[chosen] for pool, chosen in drawn])
    rows = np.concatenate([pool.rows[chosen] for pool, chosen in drawn])
    seldom = (flaws[:, :3] > 0.5).any(1)
    harsh = ~seldom | (rng.random(BATCH) < HARSH)
    seen = np.stack([taken(one, rng, harsh=bool(bad)) for one, bad in zip(pictures, harsh, strict=True)])
    return torch.from_numpy(seen)[:, None].float(), torch.from_numpy(flaws), torch.from_numpy(rows)


def refit_no_face(network: FlawNetwork, split: Split) -> None:
    """Replace what the network takes for no face by what the crowd does, judged by the same features.

    The network has learned it from made-up pictures; a logistic regression on its features learns it from
    the votes, all pictures having gone through JPEG alike.
    """
    if split.votes is None:
        raise SystemExit("the data set has no FER+ votes")
    alike = torch.from_numpy(np.stack([recompressed(picture) for picture in split.images]))[:, None]
    with torch.no_grad():
        features = torch.cat([network(batch)[2] for batch in alike.split(512)]).numpy()
    scaler = StandardScaler().fit(features)
    truth = split.votes[:, VOTES.index("nf")] >= 5
    fitted = LogisticRegression(C=0.01, max_iter=500).fit(scaler.transform(features), truth)
    weights = fitted.coef_[0] / scaler.scale_
    row = FLAWS.index("not_a_face")
    with torch.no_grad():
        network.flaws.weight[row] = torch.from_numpy(weights.astype(np.float32))
        network.flaws.bias[row] = float(fitted.intercept_[0] - weights @ scaler.mean_)


class _Exported(nn.Module):
    def __init__(self, network: FlawNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        flaws, _, features = self.network(pixels)
        return flaws, features


def export(network: FlawNetwork, path: Path) -> None:
    """Write the network as ONNX: `pixels` uint8 [N, 1, 48, 48] to logits `flaws` and `features`."""
    example = torch.zeros(2, 1, 48, 48, dtype=torch.uint8)
    program = torch.onnx.export(
        _Exported(network).eval(),
        (example,),
        dynamo=True,
        external_data=False,
        verbose=False,
        input_names=["pixels"],
        output_names=["flaws", "features"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    model = program.model_proto
    forget_origin(model)
    path.write_bytes(model.SerializeToString())


def main() -> None:
    """Fit and write the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2, help="processes that draw")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--limit", type=int, default=100_000, help="pictures of each kind, for a short trial")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(arguments.threads)
    split = load_split(arguments.dataset, "train")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    pools = make_pools(split, arguments.folder, arguments.workers, arguments.limit)
    print({name: len(pool.rows) for name, pool in pools.items()}, flush=True)
    network = fit(split, pools, arguments.folder, arguments.epochs, partial(print, flush=True))
    refit_no_face(network, split)
    export(network, arguments.folder / "flaws.onnx")


if __name__ == "__main__":
    main()
