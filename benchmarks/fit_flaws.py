"""Fit the network that sees what spoils a picture of a face.

It learns from pictures spoilt on purpose (`flaws.py`): things in front of the face or beside it, shadows,
print, pictures of nothing. A second task, the crowd's votes on the expression, keeps its features those of
faces. It learns from rows that the crowd takes for faces only.

    python benchmarks/fit_flaws.py data/fer2013 fer_batch/quality/weights/flaws.onnx
    python benchmarks/fit_flaws.py data/fer2013 heldout.onnx --held-out hand,scarf,piece
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from flaws import OCCLUDERS, decoy, no_face, occlude, shaded, watermark
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from fer_batch.dataset import Split, crowd_targets, load_split
from fer_batch.model.architectures import se_resnet
from fer_batch.model.onnx_file import forget_origin
from fer_batch.quality.faces import FaceFinder, recompressed
from fer_batch.settings import AugmentSettings, TrainRuntime, TrainSettings
from fer_batch.storage import VOTES
from fer_batch.training.augment import shrink
from fer_batch.training.recipe import build_optimizer, learning_rate, update_average, uses_bf16

SURE = 0.6
"""Lowest detection score of a face whose landmarks are used."""
EPOCHS, AT_32_PIXELS, BATCH, SEED = 10, 4, 128, 0
SHARES = {"clean": 0.31, "unsure": 0.08, "occluded": 0.34, "decoy": 0.19, "nothing": 0.08}
FLAWS = ("occluded", "watermark", "not_a_face")


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures of one kind, and what they are."""

    pictures: NDArray[np.uint8]
    flaws: NDArray[np.float32]
    """[N, 3] in the order of `FLAWS`; NaN where unknown."""
    rows: NDArray[np.int64]


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


def make_pools(split: Split, held_out: frozenset[str], seed: int = SEED) -> dict[str, Pool]:
    """Spoilt and unspoilt pictures out of the rows of a split that the crowd takes for faces."""
    rng = np.random.default_rng(seed)
    if split.votes is None:
        raise SystemExit("the data set has no FER+ votes")
    is_face = split.votes[:, VOTES.index("nf")] < 2
    faces = FaceFinder().find(split.images)
    sure = np.flatnonzero(is_face & (faces.scores >= SURE))
    kinds = [kind for kind in OCCLUDERS if kind not in held_out]
    pools = {
        "clean": [_maybe_printed(split.images[row], rng, 0.0) for row in sure],
        # A face for certain, but turned or half hidden: whether something covers it is not known.
        "unsure": [
            _maybe_printed(split.images[row], rng, np.nan)
            for row in np.flatnonzero(is_face & (faces.scores < SURE))
        ],
        "occluded": [],
        "decoy": [],
        "nothing": [(no_face(split.images[row], rng), np.nan, np.nan) for row in sure[::4]],
    }
    for name, spoil in (("occluded", occlude), ("decoy", decoy)):
        for row in sure:
            other = split.images[rng.choice(sure)]
            kind = str(rng.choice(kinds))
            picture, share = spoil(split.images[row], faces.landmarks[row], kind, other, rng)
            pools[name].append(_maybe_printed(picture, rng, share))
    rows = {
        "unsure": np.flatnonzero(is_face & (faces.scores < SURE)),
        "nothing": sure[::4],
    }
    return {
        name: Pool(
            np.stack([picture for picture, _, _ in made]),
            np.array([(share, printed, float(name == "nothing")) for _, share, printed in made], np.float32),
            rows.get(name, sure),
        )
        for name, made in pools.items()
    }


def _maybe_printed(
    picture: NDArray[np.uint8], rng: np.random.Generator, share: float
) -> tuple[NDArray[np.uint8], float, float]:
    if rng.random() >= 0.35:
        return picture, share, 0.0
    printed = watermark(picture, rng)
    seen = np.abs(printed.astype(np.int16) - picture).max() > 25
    return printed, share, 1.0 if seen else np.nan


def varied(pictures: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures under other light, turned, shrunk, blurred, noisy or mirrored; all through JPEG at last."""
    result = np.empty_like(pictures)
    for index, picture in enumerate(pictures):
        image = picture.astype(np.float32)
        if rng.random() < 0.35:
            image = shaded(image, rng)
        if rng.random() < 0.3:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.0))
        image = (image - 128) * rng.uniform(0.6, 1.3) + 128 + rng.uniform(-45, 30)
        if rng.random() < 0.3:
            image = image + rng.normal(0, rng.uniform(1, 6), image.shape)
        move = cv2.getRotationMatrix2D((23.5, 23.5), rng.uniform(-20, 20), rng.uniform(0.85, 1.15))
        if rng.random() < 0.3:  # a head that is bent: foreshortened
            shorter = rng.uniform(0.7, 1.0)
            move[1] *= shorter
            move[1, 2] += 23.5 * (1 - shorter)
        move[:, 2] += rng.uniform(-4, 4, 2)
        image = cv2.warpAffine(image, move, (48, 48), borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < 0.5:
            image = image[:, ::-1]
        result[index] = recompressed(np.ascontiguousarray(image.clip(0, 255).astype(np.uint8)))
    return result


def flaw_loss(logits: Tensor, flaws: Tensor) -> Tensor:
    """Binary cross-entropy of what is known, averaged flaw by flaw and added up."""
    known = ~flaws.isnan()
    each = F.binary_cross_entropy_with_logits(logits, flaws.nan_to_num(), reduction="none") * known
    return (each.sum(0) / known.sum(0).clamp(min=1)).sum()


def fit(split: Split, pools: dict[str, Pool]) -> FlawNetwork:
    """Train the network; returns the moving average of its weights."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng([SEED, 1])
    network = FlawNetwork().to(memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    settings = TrainSettings(augment=AugmentSettings()).optimizer
    optimizer = build_optimizer(network, settings)
    shares, weight = crowd_targets(split.votes)
    crowd = torch.from_numpy(shares * weight[:, None])
    steps = len(split) // BATCH
    bf16 = uses_bf16(TrainRuntime(), torch.device("cpu"))
    for epoch in range(EPOCHS):
        total = 0.0
        for number in range(steps):
            step = epoch * steps + number
            for parameters in optimizer.param_groups:
                parameters["lr"] = learning_rate(step, EPOCHS * steps, settings)
            parts = rng.multinomial(BATCH, list(SHARES.values()))
            drawn = [
                (pool, rng.integers(0, len(pool.rows), count))
                for pool, count in zip((pools[name] for name in SHARES), parts, strict=True)
            ]
            pictures = varied(np.concatenate([pool.pictures[chosen] for pool, chosen in drawn]), rng)
            flaws = torch.from_numpy(np.concatenate([pool.flaws[chosen] for pool, chosen in drawn]))
            rows = torch.from_numpy(np.concatenate([pool.rows[chosen] for pool, chosen in drawn]))
            seen = torch.from_numpy(pictures)[:, None].float()
            seen = shrink(seen, 32 if epoch < AT_32_PIXELS else 48)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits, emotion, _ = network(seen.contiguous(memory_format=torch.channels_last))
            # An expression can be read where the picture is a face that nothing hides.
            readable = ((flaws[:, 2] == 0) & ~(flaws[:, 0] > 0.1)).float()
            votes = -(crowd[rows] * F.log_softmax(emotion.float(), 1)).sum(1)
            loss = flaw_loss(logits.float(), flaws) + (votes * readable).sum() / readable.sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
            optimizer.step()
            update_average(average, network, 0.995, step)
            total += float(loss.detach())
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {total / steps:.4f}", flush=True)
    return average.eval()


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
    parser.add_argument("out", type=Path)
    parser.add_argument("--held-out", default="", help="kinds of things that it must not see")
    arguments = parser.parse_args()
    held_out = frozenset(filter(None, arguments.held_out.split(",")))
    torch.set_num_threads(2)
    split = load_split(arguments.dataset, "train")
    pools = make_pools(split, held_out)
    print({name: len(pool.rows) for name, pool in pools.items()}, f"held out: {sorted(held_out)}")
    network = fit(split, pools)
    refit_no_face(network, split)
    export(network, arguments.out)


if __name__ == "__main__":
    main()
