"""How well hidden faces are found: on real ones looked at by people, and on drawn ones.

    python -m benchmarks.hidden data/fer2013 HIDDEN.parquet NATURAL.parquet

HIDDEN has a row a face: `hidden`, `what` hides it (`sunglasses`, or else), and `jpeg`; NATURAL has
photographs in `jpeg`, nearly all of faces that nothing hides. Every picture is seen as `filter` sees it:
gray, 48 pixels, through JPEG, and scored by its check `occluded`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from fer_batch.dataset import load_split
from fer_batch.dataset.images import SIDE, resize
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.flaws import WEIGHTS, FlawFinder
from fer_batch.model.onnx_file import default_model
from fer_batch.quality.checks import CHECKS
from fer_batch.quality.faces import FaceFinder
from fer_batch.quality.measure import measure_faces
from fer_batch.settings import ThresholdSettings
from making.hidden import HIDING, OPEN, draw, draw_hidden

SEED = 1
EACH = 300
"""Faces that every kind is drawn over."""
SURE = 0.6


@dataclass(frozen=True, eq=False)
class Seen:
    """How hidden N faces are, float32 [N] each, 0–1."""

    eyes: NDArray[np.float32]
    mouth: NDArray[np.float32]
    score: NDArray[np.float32]
    """Of the check `occluded`, which joins both."""


class Looker:
    """Sees faces as `filter` does.

    Args:
        weights: a file that `making/fit_flaws.py` made.
    """

    def __init__(self, weights: Path) -> None:
        self._flaws, self._faces = FlawFinder(weights), FaceFinder()

    def look(self, pictures: list[NDArray[np.uint8]]) -> Seen:
        """Look at gray pictures, uint8 [48, 48] each."""
        stacked = np.stack(pictures)
        found = [self._flaws.find(stacked[start : start + 256]) for start in range(0, len(stacked), 256)]
        names = "eyes_hidden", "mouth_hidden", "no_face"
        flaws = {name: np.concatenate([getattr(part, name) for part in found]) for name in names}
        score = CHECKS["occluded"].score(measure_faces(self._faces.find(stacked)) | flaws)
        return Seen(flaws["eyes_hidden"], flaws["mouth_hidden"], score)


def pictures_of(jpegs: list[bytes]) -> list[NDArray[np.uint8]]:
    """JPEG files as `filter` sees them."""
    gray = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) for data in jpegs)
    return [resize(np.asarray(picture, np.uint8), SIDE) for picture in gray]


def auroc(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    """How often one of the first scores higher than one of the second."""
    truth = np.repeat([1, 0], [len(positive), len(negative)])
    return float(roc_auc_score(truth, np.concatenate([positive, negative])))


def real(looker: Looker, path: Path, threshold: float) -> None:
    """Faces looked at by people."""
    table = pq.read_table(path).to_pydict()
    seen = looker.look(pictures_of(table["jpeg"]))
    hidden, what = np.array(table["hidden"], bool), np.array(table["what"])
    score, glasses = seen.score, what == "sunglasses"
    called = score >= threshold
    print(f"{len(hidden)} faces, {hidden.sum()} hidden: AUROC {auroc(score[hidden], score[~hidden]):.3f}")
    print(f"  sunglasses by the eyes' score {auroc(seen.eyes[glasses], seen.eyes[~hidden]):.3f}")
    others = hidden & ~glasses
    print(f"  hands and things by the mouth's score {auroc(seen.mouth[others], seen.mouth[~hidden]):.3f}")
    right = int((called & hidden).sum())
    print(
        f"  at {threshold}: recall {right / hidden.sum():.2f}, precision {right / max(1, called.sum()):.2f}, "
        f"open faces called hidden {called[~hidden].mean():.1%}"
    )


def natural(looker: Looker, path: Path, threshold: float) -> None:
    """Photographs of faces as they are."""
    score = looker.look(pictures_of(pq.read_table(path)["jpeg"].to_pylist())).score
    print(
        f"{len(score)} natural photographs, called hidden at {threshold}: {(score >= threshold).mean():.1%}"
    )


def drawn(looker: Looker, dataset: Path, threshold: float) -> None:
    """Things drawn over the faces of val, kind by kind, against the same faces untouched."""
    rng = np.random.default_rng(SEED)
    split = load_split(dataset, "val")
    found = FaceFinder().find(split.images)
    sure = np.flatnonzero(found.scores >= SURE)
    plain = looker.look([split.images[row] for row in sure]).score
    everything = []
    for kind in (*HIDING, *OPEN):
        rows = rng.choice(sure, min(EACH, len(sure)), replace=False)
        made = [
            draw(split.images[row], found.landmarks[row], split.images[rng.choice(sure)], rng, (kind,))
            for row in rows
        ]
        share = np.array([max(one.eyes, one.mouth) for one in made])
        score = looker.look([one.picture for one in made]).score
        if kind in HIDING and (share >= 0.9).any():
            everything.append(score[share >= 0.9])
            print(f"  {kind}: {len(everything[-1])} pictures, AUROC {auroc(everything[-1], plain):.3f}")
        elif kind in OPEN:
            print(f"  {kind}: open faces called hidden {(score[share < 0.1] >= threshold).mean():.1%}")
    print(f"  all that hides: AUROC {auroc(np.concatenate(everything), plain):.3f}")


def read(network: Path, dataset: Path) -> None:
    """How well expressions are read off faces of val that things are drawn over, by how hidden they seem."""
    rng = np.random.default_rng(SEED)
    split = load_split(dataset, "val")
    found = FaceFinder().find(split.images)
    rows = rng.permutation(np.flatnonzero(found.scores >= SURE))
    made = [
        draw_hidden(split.images[row], found.landmarks[row], split.images[rng.choice(rows)], rng)
        for row in rows
    ]
    pictures = np.stack([split.images[row] for row in rows] + [one.picture for one in made])
    flaws = FlawFinder(network, mirrored=False)
    seen = [flaws.find(pictures[start : start + 256]) for start in range(0, len(pictures), 256)]
    worse = np.concatenate([np.maximum(part.eyes_hidden, part.mouth_hidden) for part in seen])
    right = Classifier(default_model(), head="fer2013").logits(pictures).argmax(1) == np.tile(
        split.labels[rows], 2
    )
    for low, high in pairwise((0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)):
        inside = (worse >= low) & (worse < high)
        print(
            f"  hidden {low:.2f} to {high:.2f}: {inside.sum()} faces, {right[inside].mean():.1%} read right"
        )


def main() -> None:
    """Print the figures of a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("hidden", type=Path)
    parser.add_argument("natural", type=Path)
    parser.add_argument("--network", type=Path, default=WEIGHTS, help="another file than the bundled one")
    parser.add_argument("--threshold", type=float, default=ThresholdSettings().occluded)
    arguments = parser.parse_args()
    looker = Looker(arguments.network)
    real(looker, arguments.hidden, arguments.threshold)
    natural(looker, arguments.natural, arguments.threshold)
    print("drawn over PublicTest:")
    drawn(looker, arguments.dataset, arguments.threshold)
    print("read off them:")
    read(arguments.network, arguments.dataset)


if __name__ == "__main__":
    main()
