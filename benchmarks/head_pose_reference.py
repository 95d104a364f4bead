"""How far the heads of real photographs are turned: `pitch`, `yaw` and `roll` of `head_pose.csv`.

    python -m venv mesh && mesh/bin/pip install mediapipe==0.10.21 pandas pyarrow scipy
    mesh/bin/python benchmarks/head_pose_reference.py DATASET --natural natural_dev.parquet

Face Mesh (MediaPipe) puts a mesh of 468 points in space on each face. The mean of the meshes of all
photographs, once they are turned and scaled onto each other, is the usual face; how that is turned onto a
single one is its pose, by the half of the points that expressions move least. Pitch 0 is the median of the
photographs. The labels by eye, `looks`, stay as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import mediapipe
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

TABLE = Path(__file__).with_name("head_pose.csv")
SIDE = 224
"""To which pictures are enlarged, in pixels, with half as much around them."""
OUTER_CORNERS = 33, 263
"""Points of the mesh: of the right and the left eye."""
ROUNDS = 8
Floats = NDArray[np.floating]


def main() -> None:
    """Measure, and write the table again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--natural", type=Path, required=True)
    arguments = parser.parse_args()
    looks = pd.read_csv(TABLE, dtype=str)[["source", "id", "looks"]]
    natural, val = pd.read_parquet(arguments.natural), pd.read_parquet(arguments.dataset / "val.parquet")
    val = val[val["id"].isin(looks.loc[looks["source"] == "val", "id"])]
    found = {
        "natural": meshes(list(natural["jpeg"])),
        "val": meshes([image["bytes"] for image in val["image"]]),
    }
    usual, stable = usual_face(found["natural"])
    tables = []
    for source, ids in (("natural", natural["id"]), ("val", val["id"])):
        angles = pose(usual, stable, found[source]).round().astype("Int64")
        tables.append(angles.assign(source=source, id=ids.to_numpy(str)))
    table = pd.concat(tables).merge(looks, on=["source", "id"], how="left")
    table[["source", "id", "pitch", "yaw", "roll", "looks"]].to_csv(TABLE, index=False, lineterminator="\n")


def meshes(encoded: list[bytes]) -> Floats:
    """The mesh of each picture's largest face: [N, 468, 3], x right, y down, z away; NaN without a face."""
    points = np.full((len(encoded), 468, 3), np.nan)
    finder = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=3, min_detection_confidence=0.3
    )
    with finder:
        for index, data in enumerate(encoded):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            large = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            framed = cv2.copyMakeBorder(large, *[SIDE // 2] * 4, cv2.BORDER_REPLICATE)
            faces = finder.process(framed).multi_face_landmarks or []
            each = [np.array([(point.x, point.y, point.z) for point in face.landmark]) for face in faces]
            if each:
                points[index] = max(each, key=lambda face: np.ptp(face[:, 1]))
    return points


def usual_face(found: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The mean mesh, [468, 3], its eyes level and seen from the front; and the points to go by."""
    found = found[~np.isnan(found[:, 0, 0])]
    usual, stable = found[0] - found[0].mean(0), np.arange(found.shape[1])
    for _ in range(ROUNDS):
        turns, scales = onto(usual[stable], found[:, stable])
        centred = found - found[:, stable].mean(1, keepdims=True)
        alike = np.einsum("nji,nkj->nki", turns, centred) / scales[:, None, None]
        usual = np.median(alike, axis=0)
        spread = ((alike - usual) ** 2).sum(2).mean(0)
        stable = np.sort(np.argsort(spread)[: len(spread) // 2])
    turns, _ = onto(usual[stable], found[:, stable])
    frontal = Rotation.from_matrix(turns).mean()  # the photographs', whose median is put at 0 below
    usual = frontal.apply(usual)
    across = usual[OUTER_CORNERS[1]] - usual[OUTER_CORNERS[0]]
    level = Rotation.from_euler("ZY", [-np.arctan2(across[1], across[0]), np.arctan2(across[2], across[0])])
    usual = level.apply(usual)
    tilt = np.median(pose(usual, stable, found)["pitch"])
    return Rotation.from_euler("X", tilt, degrees=True).apply(usual), stable


def pose(usual: Floats, stable: NDArray[np.int64], found: Floats) -> pd.DataFrame:
    """Degrees that the faces are turned down, to the picture's right, and clockwise; NaN without a face."""
    known = ~np.isnan(found[:, 0, 0])
    turns, _ = onto(usual[stable], found[known][:, stable])
    angles = np.full((len(found), 3), np.nan)
    angles[known] = Rotation.from_matrix(turns).as_euler("ZXY", degrees=True)
    return pd.DataFrame(angles[:, [1, 2, 0]], columns=["pitch", "yaw", "roll"])


def onto(points: Floats, found: Floats) -> tuple[Floats, Floats]:
    """How points are best turned and scaled onto others (Kabsch): [N, 3, 3] and [N]."""
    centred, others = points - points.mean(0), found - found.mean(1, keepdims=True)
    left, sizes, right = np.linalg.svd(np.einsum("nki,kj->nij", others, centred))
    signs = np.ones_like(sizes)
    signs[:, 2] = np.sign(np.linalg.det(left @ right))
    turns = np.einsum("nij,nj,njk->nik", left, signs, right)
    return turns, (sizes * signs).sum(1) / (centred**2).sum()


if __name__ == "__main__":
    main()
