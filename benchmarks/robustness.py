"""What harms the classifier, and how much: accuracy on pictures that were made worse, and end to end.

    python benchmarks/robustness.py DATASET [--model default] [--head fer2013] [--plot robustness.png]
                                    [--detect-size N]

Each change is applied to every picture of `val`, the same random numbers at every strength. End to end
means: the picture is enlarged to 160–240 pixels, pasted into a plain 640x360 frame, found by the
detector, cropped by the model's own geometry and classified; where no face is found, the answer is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_batch.dataset import load_split
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.crop import crop_faces
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.picture import ArrayPicture
from fer_batch.model.onnx_file import resolve
from fer_batch.settings import DetectionSettings
from fer_batch.training.evaluation import head_labels

Images = NDArray[np.uint8]
Change = Callable[[NDArray[np.uint8], float, np.random.Generator], NDArray[np.float64]]

SEED = 0
FRAME = (360, 640)
PASTED = (160, 240)
OCCLUDED_GRAYS = (0, 255)


def brighten(image: Images, strength: float, _: np.random.Generator) -> NDArray[np.float64]:
    """Add a share of 255."""
    return image + 255.0 * strength


def stretch(image: Images, strength: float, _: np.random.Generator) -> NDArray[np.float64]:
    """Multiply the distance from the mean."""
    return image.mean() + (image - image.mean()) * strength


def blur(image: Images, strength: float, _: np.random.Generator) -> NDArray[np.float64]:
    """Blur with a Gaussian of this standard deviation in pixels."""
    return cv2.GaussianBlur(image, (0, 0), strength).astype(np.float64)


def noise(image: Images, strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Add Gaussian noise of this standard deviation in gray levels."""
    return image + strength * rng.standard_normal(image.shape)


def jpeg(image: Images, strength: float, _: np.random.Generator) -> NDArray[np.float64]:
    """Encode as JPEG of this quality, and decode."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(strength)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.float64)


def rotate(image: Images, strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Turn by this many degrees, one way or the other."""
    return _warp(image, angle=strength * rng.choice([-1, 1]))


def jitter(image: Images, strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Crop wrongly: shift both ways and zoom by up to this share of the side."""
    shift_x, shift_y, zoom = rng.uniform(-strength, strength, 3)
    return _warp(image, shift=(shift_x, shift_y), zoom=1 + zoom)


def occlude(image: Images, strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Cover this share of the area with a black or white square."""
    changed = image.astype(np.float64)
    side = round(np.sqrt(strength) * image.shape[0])
    top, left = rng.integers(0, image.shape[0] - side + 1, 2)
    changed[top : top + side, left : left + side] = rng.choice(OCCLUDED_GRAYS)
    return changed


def _warp(
    image: Images, *, angle: float = 0.0, shift: tuple[float, float] = (0, 0), zoom: float = 1.0
) -> NDArray[np.float64]:
    side = image.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, zoom)
    matrix[:, 2] += np.array(shift) * side
    return cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE).astype(np.float64)


CHANGES: dict[str, tuple[Change, tuple[float, ...]]] = {
    "brightness, + share of 255": (brighten, (-0.3, -0.15, 0.15, 0.3)),
    "contrast, times": (stretch, (0.3, 0.5, 1.5, 2.0)),
    "blur, sigma in pixels": (blur, (0.5, 1.0, 1.5, 2.0)),
    "noise, sigma in gray levels": (noise, (5, 10, 20, 30)),
    "JPEG, quality": (jpeg, (75, 50, 30, 15)),
    "rotation, degrees": (rotate, (5, 10, 20, 30)),
    "crop jitter, share of the side": (jitter, (0.05, 0.1, 0.15, 0.2)),
    "occluding square, share of the area": (occlude, (0.05, 0.1, 0.25, 0.4)),
}


def main() -> None:
    """Measure, print tables and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--head", default="fer2013", choices=["fer2013", "crowd"])
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--detect-size", type=int, help="of the detector, end to end; else `auto`")
    arguments = parser.parse_args()
    split = load_split(arguments.dataset, "val")
    rows, labels = head_labels(split, arguments.head)
    images = split.images[rows]
    classifier = Classifier(resolve(arguments.model), head=arguments.head)

    def accuracy(pictures: Images) -> float:
        return float((classifier.probabilities(pictures).argmax(1) == labels).mean())

    plain = accuracy(images)
    print(f"{arguments.head} head, {len(images)} pictures of val, seed {SEED}; unchanged {plain:.2%}\n")
    print("| change | strength: accuracy |\n|---|---|")
    results = {}
    for name, (change, strengths) in CHANGES.items():
        found = [accuracy(changed(images, change, strength)) for strength in strengths]
        results[name] = (strengths, found)
        cells = ", ".join(
            f"{strength:g}: {value:.1%}" for strength, value in zip(strengths, found, strict=True)
        )
        print(f"| {name} | {cells} |", flush=True)
    detection = DetectionSettings(size=arguments.detect_size or "auto")
    end_to_end(images, labels, classifier, detection)
    if arguments.plot:
        draw(results, plain, arguments.plot)


def changed(images: Images, change: Change, strength: float) -> Images:
    """Every picture changed, rounded and clipped to uint8."""
    rng = np.random.default_rng(SEED)
    return np.stack([np.clip(np.rint(change(image, strength, rng)), 0, 255) for image in images]).astype(
        np.uint8
    )


def end_to_end(
    images: Images, labels: NDArray[np.int64], classifier: Classifier, detection: DetectionSettings
) -> None:
    """Paste, detect, crop, classify; print the share found and the accuracy beside the direct one."""
    rng = np.random.default_rng(SEED)
    detector = YuNet(resolve_detector("yunet"), detection)
    right = direct = found = 0
    answers = classifier.probabilities(images).argmax(1)
    for image, label, answer in zip(images, labels, answers, strict=True):
        side = int(rng.integers(*PASTED, endpoint=True))
        frame = np.full((*FRAME, 3), 127, np.uint8)
        top, left = rng.integers(0, FRAME[0] - side + 1), rng.integers(0, FRAME[1] - side + 1)
        enlarged = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        frame[top : top + side, left : left + side] = enlarged[:, :, None]
        faces = detector.detect(frame)
        direct += answer == label
        # Pictures hold one face each: of several boxes the largest is meant.
        if len(faces):
            found += 1
            areas = np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1)
            largest, card = [int(areas.argmax())], classifier.card
            box, landmarks = faces.boxes[largest], faces.landmarks[largest]
            crops = crop_faces(ArrayPicture(frame), box, landmarks, card.crop, card.input_size)
            right += classifier.probabilities(crops).argmax(1)[0] == label
    n = len(images)
    print(f"\nend to end: found {found / n:.2%} of {n}")
    print(f"accuracy {right / n:.2%}, given directly {direct / n:.2%}")


def draw(results: dict[str, tuple[tuple[float, ...], list[float]]], plain: float, path: Path) -> None:
    """One panel a change."""
    figure = Figure(figsize=(16, 7), layout="constrained")
    for axes, (name, (strengths, found)) in zip(figure.subplots(2, 4).flat, results.items(), strict=True):
        axes.plot(strengths, found, "o-")
        axes.axhline(plain, color="gray", linestyle="--")
        axes.set(title=name, ylim=(0, 1))
        axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_png(str(path))


if __name__ == "__main__":
    main()
