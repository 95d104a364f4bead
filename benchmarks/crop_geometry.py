"""Where YuNet's box lies in FER2013's own pictures: the geometry in the model card.

    python benchmarks/crop_geometry.py DATASET [--split val] [--rows N]

Each picture is enlarged and set into a plain frame, so that the detector sees it as it would see a
face in a video, at the sizes that footage has. Prints medians over the pictures with exactly one face,
and the `CropGeometry` that cuts such a box back to the picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from fer_batch.dataset import load_split
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.settings import DetectionSettings

MARGIN = 0.5
"""Of gray around the picture, as a share of its side."""
SIDES = (120, 200, 280)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--rows", type=int, default=1000)
    arguments = parser.parse_args()
    images = load_split(arguments.dataset, arguments.split).images[: arguments.rows]
    detector = YuNet(resolve_detector("yunet"), DetectionSettings())
    every = []
    for side in SIDES:
        boxes = np.array(
            [box for image in images if (box := relative_box(detector, image, side)) is not None]
        )
        every.append(boxes)
        x0, y0, x1, y1 = np.median(boxes, 0)
        place = f"x {x0:.3f} to {x1:.3f}, y {y0:.3f} to {y1:.3f}"
        print(f"{side:>4} px: one face in {len(boxes)} of {len(images)}; {place}")
    boxes = np.concatenate(every)
    height, width = boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]
    centre_x, centre_y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    print(f"side     = {np.median(1 / height):.3f} x box height = {np.median(1 / width):.3f} x box width")
    print(f"centre_x = {np.median((0.5 - centre_x) / height):+.3f} box heights")
    print(f"centre_y = {np.median((0.5 - centre_y) / height):+.3f} box heights")
    for name, values in (("height", height), ("width", width)):
        print(f"spread of the box's {name}: {np.std(values) / np.mean(values):.3f} of its mean")


def relative_box(detector: YuNet, image: np.ndarray, side: int) -> np.ndarray | None:
    """The one face's box as shares of the picture's side; None where there is none, or several."""
    margin = round(MARGIN * side)
    enlarged = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    gray = cv2.copyMakeBorder(enlarged, *[margin] * 4, cv2.BORDER_CONSTANT, value=127)
    found = detector.detect(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB).astype(np.uint8))
    return (found.boxes[0] - margin) / side if len(found) == 1 else None


if __name__ == "__main__":
    main()
