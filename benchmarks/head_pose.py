"""How a head that looks down or up lies in YuNet's box, and from where on its expression is misread.

    python benchmarks/head_pose.py DATASET --natural natural_dev.parquet [--sheet FILE.png]

`head_pose.csv` says how far the heads of real photographs are turned: in degrees, by a 3D face mesh
(`head_pose_reference.py`), and for some of them by eye. To these the coefficients of `head_pitch` in
`fer_batch.annotation.face_quality` are fitted. Few heads look down by more than 25 degrees, so nearly
frontal ones are turned further in three dimensions, as a relief: their pixels lie on a generic head that is
placed by the five landmarks, and the detector finds them again.

Prints the coefficients, how well each candidate tells heads that look down or up from level ones, and by
angle, by label and by quality what is seen, what the quality is, and how well the `crowd` head reads.
`--sheet` draws some of the turned heads, and below them the photographs with the steepest pitch.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from fer_batch.annotation.face_quality import face_quality, head_pitch
from fer_batch.dataset import Split, crowd_majority, load_split
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.crop import crop_faces
from fer_batch.inference.detector import Detections, YuNet, resolve_detector
from fer_batch.inference.picture import ArrayPicture
from fer_batch.model.crop_geometry import FER2013_CROP
from fer_batch.model.onnx_file import resolve
from fer_batch.settings import DetectionSettings

SEED = 0
TABLE = Path(__file__).with_suffix(".csv")
LOOKS = ("down", "slightly down", "level", "slightly up", "up")
"""How heads look by eye."""
HAPPY, SAD, NEUTRAL = 3, 4, 6
EYES, NOSE = "eyes in the box", "nose between eyes and mouth"
PEOPLE = {NEUTRAL: 60, HAPPY: 30}
"""How many to turn, by expression; of all others together as many as of the last."""
NEARLY_FRONTAL = 10
"""Degrees by which the heads that are turned may be turned already."""
PITCHES = (-40, -30, -20, -10, 0, 10, 20, 30, 40, 50)
YAWS = (-45, -20, 20, 45)
BOTH = ((25, -25), (25, 25))
"""Pitch and yaw of the heads that are turned in both ways."""
FITTED = 25
"""Degrees of yaw and of roll up to which the pitch is fitted."""
STEPS = (-90, -20, -10, 0, 10, 20, 90)
"""Of pitch: each band counts as much in the fit, however few faces are in it."""
BANDS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
MARGIN = 112
"""Of what is put around a press photograph, in pixels."""
CUT = 56
"""Of that, what is cut away again around the heads that are turned: their crown would show mirrored eyes."""
CENTRAL = 0.2
"""How far a face may be from the middle of its picture, in sides: what is mirrored has faces, too."""
HAIR = 0.7
"""How bright the upper edge of a photograph may be beside the forehead, where hair can go on beyond it."""
ENLARGED, GRAY = 144, 127
TILES, TILE = 18, 96
"""Pictures in a row of the sheet, and their sides in pixels."""
Image = NDArray[np.uint8]
Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
Row = tuple[str, Mask]
"""Of a table: its title, and which faces it is about."""


@dataclass(frozen=True, eq=False)
class Heads:
    """Faces, as the detector finds them and the classifier reads them."""

    faces: Detections
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    pose: NDArray[np.float32]

    @property
    def found(self) -> Mask:
        """Where there is a face at all."""
        return ~np.isnan(self.faces.scores)

    @property
    def measures(self) -> dict[str, Floats]:
        """What may tell that a head looks down, each [N]: more, the further it does."""
        boxes, points = self.faces.boxes, self.faces.landmarks[..., 0] + 1j * self.faces.landmarks[..., 1]
        right_eye, left_eye, nose, right_corner, left_corner = points.T
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ np.array([1, 1j])
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        size = np.sqrt(width * height)
        eyes = left_eye - right_eye
        scale = eyes.conj() * (np.abs(eyes) * size) ** -1.0
        eyes_y, nose_y, mouth_y = (
            ((point - centre) * scale).imag
            for point in ((right_eye + left_eye) / 2, nose, (right_corner + left_corner) / 2)
        )
        return {
            EYES: eyes_y,
            NOSE: (nose_y - eyes_y) / (mouth_y - eyes_y),
            "nose in the box": nose_y,
            "mouth in the box": mouth_y,
            "eyes to mouth, in sizes of the box": mouth_y - eyes_y,
            "eyes to mouth, in distances of the eyes": (mouth_y - eyes_y) * size / np.abs(eyes),
            "narrow mouth, in sizes of the box": -np.abs(left_corner - right_corner) / size,
            "box, height over width": height / width,
            "head_pitch": head_pitch(boxes, self.faces.landmarks),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--natural", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    table, val = pd.read_parquet(arguments.natural), load_split(arguments.dataset, "val")
    photographs = [surrounded(jpeg) for jpeg in table["jpeg"]]
    natural = read(photographs, table["emotion"].to_numpy())
    fer = read([enlarged(image) for image in val.images], majority(val))
    known, fer_known = reference("natural", table["id"]), reference("val", val.ids)
    fit(natural, known)

    people = chosen(natural, known, table["person"].to_numpy(), photographs)
    angles = [(pitch, 0) for pitch in PITCHES] + [(0, yaw) for yaw in YAWS] + list(BOTH)
    made = [
        turned(
            photographs[person][CUT:-CUT, CUT:-CUT],
            natural.faces.landmarks[person] - CUT,
            *(angle - known[["pitch", "yaw"]].iloc[person]),
        )
        for angle in np.array(angles)
        for person in people
    ]
    heads = read(made, np.tile(natural.labels[people], len(angles)))
    angle_of = np.repeat(angles, len(people), axis=0)
    by_angle = {angle: (angle_of == angle).all(1) for angle in angles}
    report(
        f"{len(people)} heads turned by pitch, yaw",
        heads,
        [(f"{a}, {b}", row) for (a, b), row in by_angle.items()],
    )
    frontal = (known[["yaw", "roll"]].abs() < FITTED).all(axis=1).to_numpy()
    rows = [
        (f"{a} to {b}", frontal & known["pitch"].between(a, b, inclusive="left").to_numpy())
        for a, b in pairwise(STEPS)
    ]
    report("natural, by the mesh's pitch", natural, rows)
    by_eye = {look: (known["looks"] == look).to_numpy() for look in LOOKS}
    fer_by_eye = {look: (fer_known["looks"] == look).to_numpy() for look in LOOKS}
    report("natural, labelled by eye", natural, list(by_eye.items()))
    report("val, labelled by eye", fer, list(fer_by_eye.items()))
    up_or_down = angle_of[:, 1] == 0
    for name, faces, some in (
        ("turned up or down", heads, up_or_down),
        ("natural", natural, natural.found),
        ("val", fer, fer.found),
    ):
        rows = [(f"{low:g}–{high:g}", some & within(faces.pose, low, high)) for low, high in pairwise(BANDS)]
        report(f"{name}, by quality of the pose", faces, rows)
    for look, sign in (("down", 1), ("up", -1)):
        pairs = [
            (f"turned {sign * pitch}", heads, by_angle[sign * pitch, 0], by_angle[0, 0])
            for pitch in (20, 30, 40)
        ]
        pairs += [
            ("natural", natural, by_eye[look], by_eye["level"]),
            ("val", fer, fer_by_eye[look], fer_by_eye["level"]),
        ]
        compare(look, sign, pairs)
    if arguments.sheet is not None:
        sheet(arguments.sheet, made, photographs, natural)


def read(pictures: Sequence[Image], labels: NDArray[np.int64]) -> Heads:
    """The largest central face of each square picture, and what the `crowd` head says of it."""
    detector = YuNet(resolve_detector("yunet"), DetectionSettings())
    classifier = Classifier(resolve("default"), head="crowd")
    boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (len(pictures), 1))
    landmarks, scores = (
        np.full((len(pictures), 5, 2), np.nan, np.float32),
        np.full(len(pictures), np.nan, np.float32),
    )
    crops = np.zeros((len(pictures), 48, 48), np.uint8)
    for index, picture in enumerate(pictures):
        rgb = np.repeat(picture[..., None], 3, axis=2)
        found = detector.detect(rgb)
        off_centre = np.abs((found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - len(picture) / 2).max(
            axis=1, initial=0
        )
        areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1) * (
            off_centre < CENTRAL * len(picture)
        )
        if areas.any():
            best = areas.argmax()
            boxes[index], landmarks[index] = found.boxes[best], found.landmarks[best]
            scores[index] = found.scores[best]
            crops[index] = crop_faces(
                ArrayPicture(rgb), boxes[[index]], landmarks[[index]], FER2013_CROP, 48
            )[0]
    faces = Detections(boxes, scores, landmarks)
    return Heads(
        faces, labels, classifier.probabilities(crops).argmax(1), face_quality(faces, crops, 48).pose
    )


def surrounded(jpeg: bytes) -> Image:
    """A press photograph, mirrored beyond its edges, where the detector's boxes would end."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    return cv2.copyMakeBorder(image, *[MARGIN] * 4, cv2.BORDER_REFLECT_101).astype(np.uint8)


def enlarged(image: Image) -> Image:
    """A picture of FER2013, in a plain frame."""
    large = cv2.resize(image, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
    return cv2.copyMakeBorder(large, *[ENLARGED // 2] * 4, cv2.BORDER_CONSTANT, value=[GRAY]).astype(np.uint8)


def majority(split: Split) -> NDArray[np.int64]:
    """What the FER+ crowd says, -1 where it does not agree."""
    if split.votes is None:
        raise SystemExit("the data set has no FER+ votes: prepare it with --ferplus")
    return crowd_majority(split.votes)


def reference(source: str, ids: Iterable[str]) -> pd.DataFrame:
    """`head_pose.csv` of these pictures, in their order; empty where it says nothing."""
    table = pd.read_csv(TABLE, dtype={"id": str})
    return table[table["source"] == source].set_index("id").reindex(pd.Index(ids))


def fit(heads: Heads, known: pd.DataFrame) -> None:
    """Print the coefficients of the pitch: so that its mean is right at every pitch, and it is least off.

    That is not the regression of pitch on what is seen, whose estimates all lie nearer to the usual.
    """
    pitch = known["pitch"].to_numpy(float)
    some = heads.found & (known[["yaw", "roll"]].abs() < FITTED).all(axis=1).to_numpy()
    step = np.digitize(pitch[some], STEPS)
    weight = 1 / np.bincount(step)[step]
    seen = np.stack([heads.measures[name][some] for name in (EYES, NOSE)], 1)
    terms = np.stack([np.ones(some.sum()), pitch[some]], 1)
    scale = np.sqrt(weight)[:, None]
    (base, slope), *_ = np.linalg.lstsq(terms * scale, seen * scale, rcond=None)
    precision = np.linalg.inv(np.cov((seen - terms @ [base, slope]).T, aweights=weight))
    variance = 1 / (slope @ precision @ slope)
    weights = variance * precision @ slope
    print(
        f"pitch = {weights[0]:.0f} * {EYES} + {weights[1]:.0f} * {NOSE} + {-weights @ base:.1f} degrees,",
        end=" ",
    )
    print(f"off by {variance**0.5:.0f} (standard deviation), on {some.sum()} photographs", flush=True)


def chosen(
    heads: Heads, known: pd.DataFrame, person: NDArray[np.int64], photographs: Sequence[Image]
) -> NDArray[np.int64]:
    """Which faces to turn: nearly frontal ones with hair to be seen, of somebody else each."""
    frontal = (known[["pitch", "yaw", "roll"]].abs() <= NEARLY_FRONTAL).all(axis=1).to_numpy()
    hair = [has_hair(image, points) for image, points in zip(photographs, heads.faces.landmarks, strict=True)]
    order = np.random.default_rng(SEED).permutation(np.flatnonzero(heads.found & frontal & hair))
    _, first = np.unique(person[order], return_index=True)
    order = order[np.sort(first)]
    kinds = [heads.labels[order] == label for label in PEOPLE]
    kinds.append(~np.logical_or.reduce(kinds))
    counts = [*PEOPLE.values(), list(PEOPLE.values())[-1]]
    return np.concatenate([order[kind][:count] for kind, count in zip(kinds, counts, strict=True)])


def has_hair(image: Image, points: NDArray[np.float32]) -> bool:
    """Whether the photograph's upper edge is much darker than the forehead, above the eyes."""
    (x, y), unit = points[:2].mean(0), np.hypot(*(points[1] - points[0]))
    if not np.isfinite(unit):
        return False
    columns = slice(int(x - 0.35 * unit), int(x + 0.35 * unit))
    forehead = image[max(int(y - 0.75 * unit), MARGIN) : max(int(y - 0.4 * unit), MARGIN + 1), columns]
    return bool(np.median(image[MARGIN : MARGIN + 6, columns]) < HAIR * np.median(forehead))


def within(values: Floats, low: float, high: float) -> Mask:
    """Which are at least `low` and less than `high`, which itself belongs to the last band."""
    return (values >= low) & ((values < high) | (high == BANDS[-1]))


def auroc(values: Floats, some: Mask, others: Mask) -> float:
    """How often one of some has more than one of the others; faces that are not found count for neither."""
    both = (some | others) & ~np.isnan(values)
    return float(roc_auc_score(some[both], values[both]))


def compare(look: str, sign: int, pairs: Sequence[tuple[str, Heads, Mask, Mask]]) -> None:
    """Print how well each candidate tells some faces from level ones."""
    print(f"\nAUROC, {look} against level\n\n| candidate |", *(f"{title} |" for title, *_ in pairs))
    print("|---|" + "---|" * len(pairs))
    for measure in pairs[0][1].measures:
        cells = (auroc(sign * heads.measures[measure], some, level) for _, heads, some, level in pairs)
        print(f"| {measure} |", *(f"{cell:.2f} |" for cell in cells))


def report(title: str, heads: Heads, rows: Sequence[Row]) -> None:
    """Print a table of faces."""
    print(
        f"\n| {title} | faces | found | eyes | nose | pitch: 10%, median, 90% | pose: median, below 0.8 | ",
        end="",
    )
    print("right | resting: right, sad | resting | not sad: read as sad |\n|" + "---|" * 11)
    for name, row in rows:
        some, labelled = row & heads.found, row & heads.found & (heads.labels >= 0)
        if not some.any():
            continue
        eyes, nose = (np.median(heads.measures[measure][some]) for measure in (EYES, NOSE))
        low, middle, high = np.percentile(heads.measures["head_pitch"][some], [10, 50, 90])
        resting, not_sad = labelled & (heads.labels == NEUTRAL), labelled & (heads.labels != SAD)
        cells = (
            f"{row.sum()} | {some.sum() / row.sum():.0%} | {eyes:+.3f} | {nose:.2f}",
            f"{low:.0f}, {middle:.0f}, {high:.0f}",
            f"{np.median(heads.pose[some]):.2f}, {(heads.pose[some] < 0.8).mean():.0%}",
            share(heads.answers == heads.labels, labelled),
            f"{share(heads.answers == NEUTRAL, resting)}, {share(heads.answers == SAD, resting)}",
            f"{resting.sum()}",
            share(heads.answers == SAD, not_sad),
        )
        print(f"| {name} |", *(f"{cell} |" for cell in cells), flush=True)


def share(those: Mask, some: Mask) -> str:
    """Of some, how many are those."""
    return f"{those[some].mean():.0%}" if some.any() else "–"


def relief(x: Floats, y: Floats) -> Floats:
    """Depth of a generic head, in distances of the eyes, from the eyes backwards.

    A smooth bowl with a nose, fitted to the mean of faces as a 3D face mesh sees them (off by 0.07); the
    crown and the throat, which such a mesh leaves out, bend away more steeply.

    Args:
        x: to the side, in distances of the eyes, 0 in the middle of the face.
        y: downwards from the eyes, in the same.
    """
    jaw = np.abs(x) * (1 + 0.27 * np.maximum(y - 0.4, 0))
    bowl = -0.27 + 0.58 * np.minimum(jaw, 1.6) ** 2.5 + 0.08 * (y - 0.1) ** 2
    ends = 1.2 * np.maximum(-0.6 - y, 0) ** 2 + 2.5 * np.maximum(y - 1.7, 0) ** 2
    nose = np.clip((y - 0.05) / 0.52, 0, 1) * np.clip(1 - (y - 0.57) / 0.23, 0, 1) * np.exp(-((x / 0.2) ** 2))
    return np.minimum(bowl + ends, 1.8) - 0.47 * nose


NOSE_TIP, MOUTH = 0.57, 1.07
"""How far they are below the eyes in `relief`."""
AXIS = 0.9
"""Depth of the point about which the head turns, halfway to the back of it."""


def turned(image: Image, points: NDArray[np.float32], pitch: float, yaw: float) -> Image:
    """A face turned out of the picture's plane: gray, of the same size.

    Args:
        image: uint8 [H, W] with a frontal face.
        points: float32 [5, 2], its landmarks.
        pitch: degrees downwards.
        yaw: degrees to the picture's right.
    """
    fine = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    rows, columns = np.indices(fine.shape, np.float32)
    eyes = points[:2].mean(0)
    unit = np.hypot(*(points[1] - points[0]))
    along = (points[1] - points[0]) / unit
    right, down = (columns + 0.5) / 2 - 0.5 - eyes[0], (rows + 0.5) / 2 - 0.5 - eyes[1]
    x = (right * along[0] + down * along[1]) / unit
    y = (down * along[0] - right * along[1]) / unit
    nose, mouth = (
        float((point - eyes) @ (-along[1], along[0])) / unit for point in (points[2], points[3:].mean(0))
    )
    generic = np.interp(
        y, (-9 * mouth, 0, nose, mouth, 9 * mouth), (-9 * MOUTH, 0, NOSE_TIP, MOUTH, 9 * MOUTH)
    )
    depth = cv2.GaussianBlur(relief(x, generic), (0, 0), unit / 10) - AXIS
    sin, cos = np.sin(np.radians([yaw, pitch])), np.cos(np.radians([yaw, pitch]))
    middle = nose / 2  # the head nods about a point a little below the eyes
    x, depth = cos[0] * x - sin[0] * depth, sin[0] * x + cos[0] * depth
    y, depth = cos[1] * (y - middle) - sin[1] * depth + middle, sin[1] * (y - middle) + cos[1] * depth
    column = np.rint(eyes[0] + unit * (x * along[0] - y * along[1])).astype(int)
    row = np.rint(eyes[1] + unit * (x * along[1] + y * along[0])).astype(int)
    inside = (column >= 0) & (column < image.shape[1]) & (row >= 0) & (row < image.shape[0])
    nearest_last = np.argsort(-depth[inside])
    place = (row * image.shape[1] + column)[inside][nearest_last]
    flat, known = np.zeros(image.size, np.float32), np.zeros(image.size, bool)
    flat[place], known[place] = fine[inside][nearest_last], True
    return np.clip(np.rint(filled(flat.reshape(image.shape), known.reshape(image.shape))), 0, 255).astype(
        np.uint8
    )


def filled(image: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What was hidden before, out of what is around it: from a picture of half the size, and so on."""
    if known.all() or min(image.shape) < 2:
        return image
    half = (-(-image.shape[1] // 2), -(-image.shape[0] // 2))
    share = cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA)
    small = cv2.resize(image * known, half, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-6)
    around = cv2.resize(filled(small, share > 0), image.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(known, image, around)


def sheet(path: Path, made: Sequence[Image], photographs: Sequence[Image], natural: Heads) -> None:
    """Draw some of the turned heads in rows, and below them the photographs with the steepest pitch."""
    steepest = np.argsort(-np.nan_to_num(natural.measures["head_pitch"], nan=-np.inf))[: 6 * TILES]
    pictures = [
        *made[:: max(len(made) // (6 * TILES), 1)][: 6 * TILES],
        *(photographs[index][MARGIN:-MARGIN, MARGIN:-MARGIN] for index in steepest),
    ]
    tiles = [cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA) for picture in pictures]
    rows = [np.hstack(tiles[first : first + TILES]) for first in range(0, len(tiles), TILES)]
    cv2.imwrite(str(path), np.vstack(rows))


if __name__ == "__main__":
    main()
