"""How well natural photographs of faces are read, by head and prior, and what chose the prior `natural`.

    python benchmarks/natural.py NATURAL.parquet DATASET [--model default] [--powers]

NATURAL has a row a photograph: `id`, `person`, `emotion` (FER2013's order) and `jpeg`. The largest face of
each is found, cropped and read as `annotate` does by default. Photographs are weighed so that the expressions
are as frequent as among all from which these were drawn. First table: the share on which the model agrees
with people; the mean recall of those expressions of which there are enough; how far the shares of the answers
are from the true ones (total variation); the calibration error (15 bins). Beside them, the accuracy on
DATASET's `val`, on FER2013's own labels and on the majority of the FER+ votes. Second: the recall of each
expression for what `annotate` does by default. `--powers`: the `crowd` head at every power of the training
shares that its probabilities can be divided by, each at the temperature that `val` asks for; the prior
`natural` is the one with the highest mean recall whose agreement is still 90%.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import softmax

from fer_batch.dataset import load_split
from fer_batch.emotions import LABELS, Emotion
from fer_batch.figures.metrics import ECE_BINS
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.crop import crop_faces
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.picture import ArrayPicture
from fer_batch.model.crop_geometry import CropGeometry
from fer_batch.model.onnx_file import ModelCard, load_card, resolve
from fer_batch.model.prior import POWERS, adjusted_logits
from fer_batch.settings import AnnotateSettings, Head, PriorName
from fer_batch.training.calibration import consistent_temperature
from fer_batch.training.evaluation import head_labels

SEED = 0
DRAWS = 1000
SHARES = (0.0178, 0.0009, 0.0009, 0.4162, 0.0097, 0.0278, 0.5266)
"""Of each expression, among the photographs from which these were drawn."""
MEASURED = (Emotion.ANGRY, Emotion.HAPPY, Emotion.SAD, Emotion.SURPRISE, Emotion.NEUTRAL)
"""Of the others there are a few photographs."""
PRIORS: tuple[PriorName, ...] = ("training", "natural", "balanced")
POWER_STEPS = 20
LEAST_AGREEMENT = 0.90


@dataclass(frozen=True, eq=False)
class Photographs:
    """The faces of N photographs."""

    crops: NDArray[np.uint8]
    """[N, S, S], gray."""
    labels: NDArray[np.int64]
    """[N]: what people see in them."""
    people: NDArray[np.int64]
    """[N]: who it is."""
    missed: int
    """Photographs, beside these, in which no face was found."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Figures:
    """How well photographs are read."""

    agreement: float
    recall: NDArray[np.float64]
    """[7]; NaN where there is none of an expression."""
    off_by: float
    ece: float

    @property
    def mean_recall(self) -> float:
        """Over `MEASURED`."""
        return float(np.mean(self.recall[list(MEASURED)]))


def largest_faces(path: Path, geometry: CropGeometry, size: int) -> Photographs:
    """The largest face of each photograph, found and cut out as `annotate` does by default."""
    detector = YuNet(resolve_detector("yunet"), AnnotateSettings().detection)
    rows = pq.read_table(path, columns=["person", "emotion", "jpeg"]).to_pylist()
    crops, kept = [np.empty((0, size, size), np.uint8)], []
    for row in rows:
        image = cv2.imdecode(np.frombuffer(row["jpeg"], np.uint8), cv2.IMREAD_COLOR_RGB).astype(np.uint8)
        faces = detector.detect(image)
        if len(faces):
            largest = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(1).argmax(keepdims=True)
            found = faces[largest]
            crops.append(crop_faces(ArrayPicture(image), found.boxes, found.landmarks, geometry, size))
            kept.append(row)
    labels, people = (np.array([row[name] for row in kept], np.int64) for name in ("emotion", "person"))
    return Photographs(np.concatenate(crops), labels, people, len(rows) - len(kept))


def natural_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each photograph counts, float64 [N], so that each expression has its natural share."""
    weights = (np.array(SHARES) / np.bincount(labels, minlength=len(LABELS)).clip(1))[labels]
    return weights / weights.sum()


def figures(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], weights: NDArray[np.float64]
) -> Figures:
    """How well photographs are read: labels [N], probabilities [N, 7], weights [N] that add up to 1."""
    predicted, count = probabilities.argmax(1), len(LABELS)
    correct, confidence = predicted == labels, probabilities.max(1).astype(np.float64)
    true = np.bincount(labels, weights, count)
    recall = np.full(count, np.nan)
    np.divide(np.bincount(labels, weights * correct, count), true, out=recall, where=true > 0)
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gaps = np.bincount(bins, weights * (confidence - correct), ECE_BINS)
    return Figures(
        agreement=float((weights * correct).sum()),
        recall=recall,
        off_by=float(np.abs(np.bincount(predicted, weights, count) - true).sum() / 2),
        ece=float(np.abs(gaps).sum()),
    )


def draws(
    photographs: Photographs, probabilities: NDArray[np.float32], rng: np.random.Generator
) -> Iterator[Figures]:
    """The figures of as many people, drawn from these people again and again (bootstrap).

    The weights of the photographs are their own: an expression that is drawn more often counts more.
    """
    weights = natural_weights(photographs.labels)
    people, of_person = np.unique(photographs.people, return_inverse=True)
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(len(people), size=len(people)), minlength=len(people))[of_person]
        drawn = weights * times
        yield figures(photographs.labels, probabilities, drawn / drawn.sum())


def interval(values: list[float]) -> str:
    """The middle 95% of them."""
    low, high = np.nanquantile(values, (0.025, 0.975))
    return f"{low:.1%} to {high:.1%}"


def print_heads(model: Path, card: ModelCard, photographs: Photographs, dataset: Path) -> None:
    """The first table: a row for each head and prior."""
    val = load_split(dataset, "val")
    weights, rows = natural_weights(photographs.labels), {}
    for labels in ("fer2013", "crowd"):
        rows[labels] = head_labels(val, labels)
    print(
        "| head | prior | agreement | mean recall | shares off by | ECE | FER2013's labels | FER+ majority |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for head in card.heads:
        for prior in PRIORS:
            classifier = Classifier(model, head=head, prior=prior)
            read = figures(photographs.labels, classifier.probabilities(photographs.crops), weights)
            cells = [f"{value:.1%}" for value in (read.agreement, read.mean_recall, read.off_by)]
            cells.append(f"{read.ece:.3f}")
            for chosen, labels in rows.values():
                if prior == "training":
                    predicted = classifier.probabilities(val.images[chosen]).argmax(1)
                    cells.append(f"{(predicted == labels).mean():.1%} of {len(chosen)}")
                else:
                    cells.append("")
            print(f"| `{head}` | `{prior}` | {' | '.join(cells)} |")


def print_default(model: Path, photographs: Photographs) -> None:
    """The second table: what `annotate` does by default, with the uncertainty that few people leave."""
    defaults = AnnotateSettings()
    classifier = Classifier(model, head=defaults.head, prior=defaults.prior)
    probabilities = classifier.probabilities(photographs.crops)
    read = figures(photographs.labels, probabilities, natural_weights(photographs.labels))
    drawn = list(draws(photographs, probabilities, np.random.default_rng(SEED)))
    print(
        f"\n`{classifier.head}` under `{defaults.prior}`: agreement {read.agreement:.1%}"
        f" ({interval([one.agreement for one in drawn])}), mean recall {read.mean_recall:.1%}"
        f" ({interval([one.mean_recall for one in drawn])}): 95% intervals over people, {DRAWS} draws,"
        f" seed {SEED}\n\n| expression | photographs | recall |\n|---|---|---|"
    )
    for label, count, recall in zip(
        LABELS, np.bincount(photographs.labels, minlength=len(LABELS)), read.recall, strict=True
    ):
        print(f"| {label} | {count} | {recall:.1%} |")


def print_powers(model: Path, card: ModelCard, photographs: Photographs, dataset: Path) -> None:
    """The third table: from which the power of the prior `natural` was chosen."""
    head: Head = "crowd"
    val, shares = load_split(dataset, "val"), card.shares[head]
    chosen, labels = head_labels(val, head)
    classifier = Classifier(model, head=head)
    ours, theirs = (
        classifier.logits(images) / np.float32(card.heads[head])
        for images in (photographs.crops, val.images[chosen])
    )
    weights = natural_weights(photographs.labels)
    print(
        "\n| power | temperature | agreement | mean recall | shares off by | ECE |\n|---|---|---|---|---|---|"
    )
    best: tuple[float, float] | None = None
    for power in sorted({*(step / POWER_STEPS for step in range(POWER_STEPS + 1)), POWERS["natural"][head]}):
        temperature = consistent_temperature(adjusted_logits(theirs, shares, power), labels)
        answers = softmax(adjusted_logits(ours, shares, power) / np.float32(temperature), axis=1)
        read = figures(photographs.labels, answers.astype(np.float32), weights)
        cells = [f"{value:.1%}" for value in (read.agreement, read.mean_recall, read.off_by)]
        print(f"| {power:.2f} | {temperature:.3f} | {' | '.join(cells)} | {read.ece:.3f} |")
        if read.agreement >= LEAST_AGREEMENT and (best is None or read.mean_recall > best[0]):
            best = read.mean_recall, power
    if best is not None:
        print(f"\nhighest mean recall at an agreement of {LEAST_AGREEMENT:.0%} or more: power {best[1]:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("natural", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--powers", action="store_true")
    arguments = parser.parse_args()
    model = resolve(arguments.model)
    card = load_card(model)
    photographs = largest_faces(arguments.natural, card.crop, card.input_size)
    print(
        f"{len(photographs)} photographs of {len(set(photographs.people.tolist()))} people, and"
        f" {photographs.missed} in which no face is found\n"
    )
    print_heads(model, card, photographs, arguments.dataset)
    print_default(model, photographs)
    if arguments.powers:
        print_powers(model, card, photographs, arguments.dataset)


if __name__ == "__main__":
    main()
