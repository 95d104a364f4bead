"""How well the checks of `filter` find what they are to find.

python -m benchmarks.quality light data/fer2013      known changes of light and focus, rank correlation
python -m benchmarks.quality faces data/fer2013 [--network FILE]      not_a_face against the crowd's votes
python -m benchmarks.quality occluded data/fer2013 [--network FILE]   against things laid over faces
python -m benchmarks.quality watermark data/fer2013 [--network FILE]  against print laid over faces
python -m benchmarks.quality time data/fer2013       seconds and memory, all but the judging of labels
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fer_batch.dataset import load_split
from fer_batch.inference.flaws import SIDE, WEIGHTS, FlawFinder, recompressed
from fer_batch.inference.session import open_network
from fer_batch.quality.checks import CHECKS
from fer_batch.quality.faces import FaceFinder
from fer_batch.quality.measure import measure_faces, measure_light
from fer_batch.storage import VOTES
from making.flaws import OCCLUDERS, decoy, occlude, watermark

SEED = 1


def light(dataset: Path) -> None:
    """Rank correlation of score and strength, one picture at a time, over 500 pictures of val."""
    rng = np.random.default_rng(SEED)
    pictures = load_split(dataset, "val").images
    pictures = pictures[pictures.std((1, 2)) > 1]
    pictures = pictures[rng.choice(len(pictures), 500, replace=False)].astype(np.float32)
    strengths = np.linspace(0, 1, 11)
    changes = {
        "dark": lambda p, s: p * (1 - 0.9 * s),
        "bright": lambda p, s: p + (255 - p) * 0.9 * s,
        "low_contrast": lambda p, s: p.mean() + (p - p.mean()) * (1 - 0.9 * s),
        "blurry": lambda p, s: cv2.GaussianBlur(p, (0, 0), 3 * s) if s else p,
    }
    for check, change in changes.items():
        each, pooled = [], []
        for picture in pictures:
            made = [change(picture, s) for s in strengths]
            made = np.stack([m.round().clip(0, 255).astype(np.uint8) for m in made])
            scores = CHECKS[check].score(measure_light(made))
            each.append(spearmanr(strengths, scores).statistic)
            pooled += list(zip(strengths, scores, strict=True))
        together = spearmanr(*np.array(pooled).T).statistic
        print(
            f"{check:<14} Spearman a picture: mean {np.mean(each):.4f}, lowest {np.min(each):.3f}; "
            f"all pictures together {together:.3f}"
        )


def _fingerprint(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of the higher cosine coefficients of 8x8 blocks that are next to nothing, as JPEG leaves them."""
    blocks = pictures.reshape(-1, 6, 8, 6, 8).swapaxes(2, 3).reshape(-1, 8, 8).astype(np.float32) - 128
    waves = np.stack([cv2.dct(block) for block in blocks])
    row, column = np.mgrid[0:8, 0:8]
    return (np.abs(waves[:, row + column >= 7]) < 1).mean(1).reshape(len(pictures), 36).mean(1)


def faces(dataset: Path, weights: Path) -> None:
    """Ranking of the rows with at least five votes for "not a face" among all others.

    The bundled network's last layer was fitted to the votes of train. So it is fitted anew here, five times,
    each time without the fifth of all rows that it then ranks; copies stay together.
    """
    splits = [load_split(dataset, name) for name in ("train", "val")]
    pictures = np.concatenate([split.images for split in splits])
    votes = np.concatenate([split.votes for split in splits])
    truth = votes[:, VOTES.index("nf")] >= 5
    copies = np.unique(np.concatenate([split.sha256 for split in splits]), return_inverse=True)[1]
    alike = np.stack([recompressed(picture) for picture in pictures])
    network = open_network(weights)
    # The last layer is linear: averaging the features of a picture and its mirror image averages its logits.
    both = np.stack([alike, alike[..., ::-1]], 1).reshape(-1, 1, SIDE, SIDE)
    seen = [
        network.run(["features"], {"pixels": both[start : start + 512]})[0]
        for start in range(0, len(both), 512)
    ]
    features = np.concatenate(seen).reshape(len(pictures), 2, -1).mean(1)
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=SEED)
    ranked = cross_val_predict(fitted, features, truth, cv=folds, groups=copies, method="decision_function")
    scores = {
        "JPEG's fingerprint, pictures as they are": _fingerprint(pictures),
        "JPEG's fingerprint, recompressed": _fingerprint(alike),
        "detector, recompressed": 1 - FaceFinder().find(alike).scores,
        "not_a_face, rows that it was not fitted to": ranked,
    }
    for name, score in scores.items():
        first = np.argsort(-score, kind="stable")[: truth.sum()]
        print(
            f"{name:<44} AUROC {roc_auc_score(truth, score):.4f}, "
            f"of the {truth.sum()} highest {truth[first].mean():.1%} are"
        )


def occluded(dataset: Path, weights: Path) -> None:
    """Things laid over the faces of val, kind by kind, against the same faces untouched, and with decoys."""
    rng = np.random.default_rng(SEED)
    split = load_split(dataset, "val")
    faces_of = FaceFinder()
    found = faces_of.find(split.images)
    sure = np.flatnonzero(found.scores >= 0.6)
    finder = FlawFinder(weights)

    def score(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        stacked = np.stack(pictures)
        flaws = finder.find(stacked)
        columns = measure_faces(faces_of.find(stacked))
        return CHECKS["occluded"].score(
            columns
            | {"eyes_hidden": flaws.eyes_hidden, "mouth_hidden": flaws.mouth_hidden, "no_face": flaws.no_face}
        )

    plain = score([split.images[row] for row in sure])
    everything, truth = [plain], [np.zeros(len(plain))]
    for kind in OCCLUDERS:
        made, decoys = [], []
        for row in rng.choice(sure, 600, replace=False):
            other = split.images[rng.choice(sure)]
            picture, share = occlude(split.images[row], found.landmarks[row], kind, other, rng)
            if share >= 0.9:
                made.append(picture)
            decoys.append(decoy(split.images[row], found.landmarks[row], kind, other, rng)[0])
        hidden, beside = score(made), score(decoys)
        everything.append(hidden)
        truth.append(np.ones(len(hidden)))
        print(
            f"{kind:<12} {len(hidden)} pictures: AUROC {_auroc(hidden, plain):.4f}, "
            f"against things beside the face {_auroc(hidden, beside):.4f}"
        )
    print(f"all kinds together: {roc_auc_score(np.concatenate(truth), np.concatenate(everything)):.4f}")


def print_across(dataset: Path, weights: Path) -> None:
    """Print laid over the faces of val against the same faces untouched."""
    rng = np.random.default_rng(SEED)
    pictures = load_split(dataset, "val").images
    finder = FlawFinder(weights)
    plain = finder.find(pictures).print
    printed = finder.find(np.stack([watermark(picture, rng) for picture in pictures])).print
    print(f"watermark: AUROC {_auroc(printed, plain):.4f} of {len(pictures)} printed pictures")


def _auroc(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    truth = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])
    return float(roc_auc_score(truth, np.concatenate([positive, negative])))


def time(dataset: Path) -> None:
    """The whole command in a process of its own, measurements made anew; the data set's own are put back."""
    with TemporaryDirectory() as folder:
        own = [path for name in ("quality.parquet", "audit.html") if (path := dataset / name).is_file()]
        for path in own:
            shutil.copy2(path, folder)
        (dataset / "quality.parquet").unlink(missing_ok=True)
        try:
            _time(dataset)
        finally:
            for path in own:
                shutil.copy2(Path(folder) / path.name, path)


def _time(dataset: Path) -> None:
    script = (
        "import fer_batch, json, pathlib, re, sys, time; from fer_batch.settings import FilterSettings; "
        "t = time.monotonic(); fer_batch.filter_dataset(sys.argv[1], settings=FilterSettings(labels=False)); "
        "s = pathlib.Path('/proc/self/status').read_text(); "
        "print(json.dumps({'s': time.monotonic() - t, 'kb': int(re.search(r'VmHWM:\\s+(\\d+)', s)[1])}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(dataset)], capture_output=True, text=True, check=True
    )
    figures = json.loads(done.stdout)
    print(f"{figures['s']:.0f} s, peak resident set {figures['kb'] / 1e6:.2f} GB")


def main() -> None:
    """Print the figures of one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=["light", "faces", "occluded", "watermark", "time"])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--network", type=Path, default=WEIGHTS, help="another file than the bundled one")
    arguments = parser.parse_args()
    networks = {"faces": faces, "occluded": occluded, "watermark": print_across}
    if arguments.part in networks:
        networks[arguments.part](arguments.dataset, arguments.network)
    else:
        {"light": light, "time": time}[arguments.part](arguments.dataset)


if __name__ == "__main__":
    main()
