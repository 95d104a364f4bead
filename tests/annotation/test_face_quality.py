"""Quality falls with everything that makes a face hard to read, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import spearmanr

from fer_batch.annotation.face_quality import FaceQuality, face_quality, head_pitch
from fer_batch.inference.crop import crop_faces
from fer_batch.inference.detections import Detections
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.picture import ArrayPicture
from fer_batch.model.crop_geometry import FER2013_CROP
from fer_batch.settings import DetectionSettings
from tests.videos import portrait

PARTS = ("size", "sharpness", "pose", "light", "detection")
FRONTAL = np.array([[30, 40], [70, 40], [50, 62], [35, 80], [65, 80]], np.float32)
BOX = np.array([5, -2, 95, 108], np.float32)
"""Around `FRONTAL`, as the detector draws it."""
HEAD = np.array([[-20, -14, -33], [20, -14, -33], [0, 8, -52], [-16, 28, -33], [16, 28, -33]], np.float32)
"""The landmarks of a head in pixels, from its middle: to the right, down and backwards."""
RADII = np.array([45, 55, 50], np.float32)
"""Of the head, an ellipsoid."""


@pytest.fixture(scope="module")
def found() -> tuple[Detections, NDArray[np.uint8]]:
    """The portrait's face, large, as the detector finds it and the classifier gets it."""
    picture = portrait(640, 360)
    faces = YuNet(resolve_detector("yunet"), DetectionSettings(size=640)).detect(picture)
    assert len(faces) == 1
    return faces, crops_of(faces, picture)


def crops_of(faces: Detections, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return crop_faces(ArrayPicture(picture), faces.boxes, faces.landmarks, FER2013_CROP, 48)


def of_crops(crops: list[NDArray[np.uint8]]) -> FaceQuality:
    return face_quality(faces_of(np.stack([FRONTAL] * len(crops))), np.stack(crops), 48)


def faces_of(landmarks: NDArray[np.float32], height: float = 100.0, score: float = 0.9) -> Detections:
    n = len(landmarks)
    boxes = np.tile(np.array([5, 5, 85, 5 + height], np.float32), (n, 1))
    return Detections(boxes, np.full(n, score, np.float32), landmarks)


def pose(*landmarks: NDArray[np.float32], box: NDArray[np.float32] = BOX) -> list[float]:
    crops = np.zeros((len(landmarks), 48, 48), np.uint8)
    faces = replace(faces_of(np.stack(landmarks)), boxes=np.stack([box] * len(landmarks)))
    return face_quality(faces, crops, 48).pose.tolist()


def head(pitch: float, yaw: float = 0, roll: float = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Box and landmarks of `HEAD`, turned by degrees: down, to the right, clockwise."""
    turn = Rotation.from_euler("ZXY", [roll, pitch, yaw], degrees=True).as_matrix()
    reach = np.sqrt((turn**2) @ RADII**2)[:2]
    return np.concatenate([-reach, reach]).astype(np.float32), (HEAD @ turn.T)[:, :2].astype(np.float32)


def pitch_of(box: NDArray[np.float32], landmarks: NDArray[np.float32]) -> float:
    return float(head_pitch(box[None], landmarks[None])[0])


def turned(landmarks: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return ((landmarks - 50) @ np.array([[c, s], [-s, c]]) + 50).astype(np.float32)


def mirrored(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """In the mirror right is left: of the eyes, and of the corners of the mouth."""
    return (landmarks * np.float32([-1, 1]) + np.float32([100, 0]))[[1, 0, 2, 4, 3]]


def to_bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def test_a_good_face_is_good_in_every_part(found: tuple[Detections, NDArray[np.uint8]]) -> None:
    quality = face_quality(*found, 48)
    assert all(getattr(quality, part)[0] > 0.9 for part in PARTS)


points = st.one_of(st.floats(-50, 150, width=32), st.sampled_from([0.0, np.nan]))


@given(
    crops=arrays(np.uint8, st.tuples(st.integers(0, 4), st.just(48), st.just(48))),
    data=st.data(),
)
def test_every_part_is_within_0_and_1_or_unknown(crops: NDArray[np.uint8], data: st.DataObject) -> None:
    n = len(crops)
    faces = Detections(
        data.draw(arrays(np.float32, (n, 4), elements=st.floats(-1000, 5000, width=32))),
        data.draw(arrays(np.float32, n, elements=st.one_of(st.floats(0, 1, width=32), st.just(np.nan)))),
        data.draw(arrays(np.float32, (n, 5, 2), elements=points)),
    )
    quality = face_quality(faces, crops, 48)
    for part in (*PARTS, "overall"):
        values = getattr(quality, part)
        assert values.dtype == np.float32
        assert values.shape == (n,)
        known = values[~np.isnan(values)]
        assert ((known >= 0) & (known <= 1)).all()
        assert len(known) == n or part in {"pose", "detection"}
    assert np.array_equal(np.isnan(quality.pose), np.isnan(faces.landmarks).any((1, 2)))
    assert np.array_equal(np.isnan(quality.detection), np.isnan(faces.scores))


def test_a_face_does_not_depend_on_those_beside_it(found: tuple[Detections, NDArray[np.uint8]]) -> None:
    rng = np.random.default_rng(0)
    crops = np.concatenate([found[1], rng.integers(0, 256, (40, 48, 48), dtype=np.uint8)])
    landmarks = np.concatenate([found[0].landmarks, FRONTAL + rng.normal(0, 8, (40, 5, 2))]).astype(
        np.float32
    )
    together = face_quality(faces_of(landmarks), crops, 48)
    for index in range(len(crops)):
        alone = face_quality(faces_of(landmarks[[index]]), crops[[index]], 48)
        assert all(getattr(alone, part)[0] == getattr(together, part)[index] for part in PARTS)


def test_blur_lowers_sharpness_step_by_step(found: tuple[Detections, NDArray[np.uint8]]) -> None:
    crop = found[1][0]
    sigmas = [0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0]
    values = of_crops([crop, *(to_bytes(cv2.GaussianBlur(crop, (0, 0), s)) for s in sigmas)]).sharpness
    assert spearmanr(range(len(values)), values).statistic == pytest.approx(-1)
    assert values[0] > 0.9
    assert values[-1] < 0.2


@pytest.mark.parametrize("degrees", [0, 45, 90])
def test_motion_lowers_sharpness_whatever_its_direction(
    found: tuple[Detections, NDArray[np.uint8]], degrees: int
) -> None:
    crops = [found[1][0]]
    for length in (5, 7, 9, 11):
        line = np.zeros((length, length), np.float32)
        line[length // 2] = 1
        centre = ((length - 1) / 2, (length - 1) / 2)
        line = cv2.warpAffine(line, cv2.getRotationMatrix2D(centre, degrees, 1), (length, length))
        crops.append(to_bytes(cv2.filter2D(crops[0], cv2.CV_32F, line / line.sum())))
    values = of_crops(crops).sharpness
    assert spearmanr(range(len(values)), values).statistic == pytest.approx(-1)
    assert values[-1] < 0.7


def test_noise_and_contrast_do_not_pass_for_sharpness(found: tuple[Detections, NDArray[np.uint8]]) -> None:
    soft = cv2.GaussianBlur(found[1][0].astype(np.float32), (0, 0), 1.5)
    noise = np.random.default_rng(0).normal(0, 8, soft.shape)
    crops = [to_bytes(soft), to_bytes(soft + noise), to_bytes(128 + (soft - 128) * 0.5)]
    plain, noisy, flat = of_crops(crops).sharpness
    assert plain < 0.7
    assert noisy == pytest.approx(plain, abs=0.1)
    assert flat == pytest.approx(plain, abs=0.05)


def test_a_small_face_that_was_enlarged_is_small_and_soft() -> None:
    detector, sizes, softness = YuNet(resolve_detector("yunet"), DetectionSettings(size=640)), [], []
    for width in (640, 160, 96, 80):
        picture = portrait(width, width * 9 // 16)
        scale = width / 640
        large = detector.detect(portrait(640, 360))
        faces = Detections(large.boxes * scale, large.scores, large.landmarks * scale)
        quality = face_quality(faces, crops_of(faces, picture), 48)
        sizes.append(quality.size[0])
        softness.append(quality.sharpness[0])
    assert sizes == sorted(sizes, reverse=True)
    assert softness == sorted(softness, reverse=True)
    assert sizes[-1] < 0.7
    assert softness[-1] < softness[0]


def test_size_goes_from_the_models_input_down_to_a_quarter_of_it() -> None:
    crop = np.zeros((1, 48, 48), np.uint8)
    heights = (200, 48, 24, 12, 5, 0)
    sizes = [face_quality(faces_of(FRONTAL[None], height), crop, 48).size[0] for height in heights]
    assert sizes == pytest.approx([1, 1, 0.5, 0, 0, 0], abs=1e-5)


def test_the_dark_the_blown_out_and_the_flat_are_badly_lit(
    found: tuple[Detections, NDArray[np.uint8]],
) -> None:
    crop = found[1][0].astype(np.float32)
    for series in (
        [crop / 2**k for k in range(6)],
        [crop + 60 * k for k in range(5)],
        [crop - 60 * k for k in range(5)],
        [128 + (crop - 128) / 2**k for k in range(7)],
    ):
        light = of_crops([to_bytes(picture) for picture in series]).light
        assert light[0] > 0.9
        assert (np.diff(light) <= 0).all()
        assert light[-1] < 0.3
    assert of_crops([np.full((48, 48), gray, np.uint8) for gray in (0, 128, 255)]).light.tolist() == [0, 0, 0]


def test_a_head_that_turns_aside_is_read_worse() -> None:
    nose = np.zeros((5, 2), np.float32)
    nose[2, 0] = 1
    values = pose(*(FRONTAL + nose * shift for shift in (0, 5, 10, 15, 20, 25, 30)))
    assert values[:2] == [1, 1]
    assert values[2:] == sorted(values[2:], reverse=True)
    assert values[-1] == 0


def test_a_nose_far_from_its_place_is_read_worse() -> None:
    nose = np.zeros((5, 2), np.float32)
    nose[2, 1] = 1
    for values in (
        pose(*(FRONTAL + nose * s for s in (0, -8, -16))),
        pose(*(FRONTAL + nose * s for s in (0, 14, 22))),
    ):
        assert values[0] == 1
        assert 0 < values[1] < 1
        assert values[2] < values[1]


def test_a_head_that_looks_down_is_read_worse() -> None:
    """The box around an ellipsoid follows a nod about twice as much as the detector's."""
    angles = [-10, -5, 0, 5, 10, 15, 20]
    assert (np.diff([pitch_of(*head(angle)) for angle in angles]) > 5).all()
    qualities = [pose(landmarks, box=box)[0] for box, landmarks in map(head, angles)]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[:3] == [1, 1, 1]
    assert 0 < qualities[4] < 1
    assert qualities[-1] == 0


def test_eyes_in_the_middle_of_the_box_are_those_of_a_head_that_looks_down() -> None:
    """As the detector sees it: the landmarks stay, the box gains crown and loses chin."""
    shifts = (0, 4, 7, 10)
    qualities = [pose(FRONTAL, box=BOX - np.float32([0, shift, 0, shift]))[0] for shift in shifts]
    assert qualities[0] == 1
    assert qualities[1:] == sorted(qualities[1:], reverse=True)
    assert 0 < qualities[-1] < 0.5


@given(
    pitch=st.floats(-30, 30),
    yaw=st.floats(-30, 30),
    roll=st.floats(-180, 180),
    scale=st.floats(0.2, 5),
    shift=st.floats(-500, 500),
)
def test_the_pitch_does_not_depend_on_roll_size_and_place(
    pitch: float, yaw: float, roll: float, scale: float, shift: float
) -> None:
    upright, turned_head = head(pitch, yaw), head(pitch, yaw, roll)
    moved = (part * np.float32(scale) + np.float32(shift) for part in turned_head)
    assert pitch_of(*moved) == pytest.approx(pitch_of(*upright), abs=3)


def test_the_pitch_is_unknown_without_landmarks() -> None:
    landmarks = np.stack([FRONTAL, FRONTAL * np.nan])
    assert np.isnan(head_pitch(np.stack([BOX, BOX]), landmarks)).tolist() == [False, True]


@given(degrees=st.floats(-180, 180), scale=st.floats(0.2, 5), shift=st.floats(-500, 500))
def test_a_head_that_is_cut_out_upright_is_as_good_however_it_is_tilted(
    degrees: float, scale: float, shift: float
) -> None:
    box, landmarks = (part * np.float32(scale) + np.float32(shift) for part in head(0, roll=degrees))
    assert pose(landmarks, box=box) == pytest.approx([1], abs=0.01)


@given(
    landmarks=arrays(np.float32, (5, 2), elements=st.floats(0, 100, width=16)),
)
def test_a_mirror_image_has_the_same_pose(landmarks: NDArray[np.float32]) -> None:
    near = FRONTAL + (landmarks - 50) / 4
    one, other = pose(near, mirrored(near))
    assert one == pytest.approx(other, abs=1e-3)


def test_what_is_unknown_leaves_the_quality_to_the_rest(
    found: tuple[Detections, NDArray[np.uint8]],
) -> None:
    faces, crops = found
    unknown = replace(faces, scores=faces.scores * np.nan, landmarks=faces.landmarks * np.nan)
    quality = face_quality(unknown, crops, 48)
    assert np.isnan([quality.pose[0], quality.detection[0]]).all()
    assert quality.overall[0] == min(quality.size[0], quality.sharpness[0], quality.light[0])


def test_the_overall_is_the_least_part(found: tuple[Detections, NDArray[np.uint8]]) -> None:
    faces, crops = found
    doubtful = replace(faces, scores=np.array([0.6], np.float32))
    quality = face_quality(doubtful, crops, 48)
    assert quality.overall[0] == quality.detection[0] == pytest.approx(0.5)
    dark = face_quality(doubtful, crops // 40, 48)
    assert dark.overall[0] == dark.light[0] < 0.5


def test_no_faces_have_no_quality() -> None:
    quality = face_quality(faces_of(np.empty((0, 5, 2), np.float32)), np.empty((0, 48, 48), np.uint8), 48)
    assert all(getattr(quality, part).shape == (0,) for part in (*PARTS, "overall"))


def test_typical_pictures_of_fer2013_are_good_and_blurred_ones_are_not(shared_data: Path) -> None:
    rows = next(
        pq.ParquetFile(shared_data / "fer2013_train_public.parquet").iter_batches(300, columns=["png"])
    )
    pictures = [
        cv2.imdecode(np.frombuffer(png.as_py(), np.uint8), cv2.IMREAD_GRAYSCALE) for png in rows["png"]
    ]
    blurs = [[cv2.GaussianBlur(picture, (0, 0), s) for picture in pictures] for s in (1.0, 1.5, 2.0)]
    sharp, *soft = (of_crops(crops).sharpness for crops in (pictures, *blurs))
    assert np.median(of_crops(pictures).overall) > 0.9
    assert all((a >= b).mean() > 0.99 for a, b in pairwise([sharp, *soft]))
    assert np.median(soft[-1]) < 0.4
