"""What every detector promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from runtimes import ON_ONNX, ON_TORCH, RUNTIMES
from skimage.data import astronaut
from videos import FACE, landscape

from fer_batch.inference.detector import DETECTORS, Detector, YuNet, resolve_detector
from fer_batch.inference.picture import ArrayPicture
from fer_batch.inference.session import Runtime
from fer_batch.settings import DetectionSettings

FULL_SIZE = DetectionSettings(size=640)


@pytest.fixture(scope="module", params=DETECTORS)
def model(request: pytest.FixtureRequest) -> Path:
    return resolve_detector(request.param)


@pytest.fixture(scope="module", params=RUNTIMES)
def detector(request: pytest.FixtureRequest, model: Path) -> Detector:
    return YuNet(model, FULL_SIZE, request.param)


def test_finds_the_face_where_it_is(detector: Detector) -> None:
    found = detector.detect(astronaut())
    assert len(found) == 1
    assert found.boxes.dtype == found.scores.dtype == found.landmarks.dtype == np.float32
    assert found.boxes.shape == (1, 4)
    assert found.landmarks.shape == (1, 5, 2)
    np.testing.assert_allclose(found.boxes[0], FACE, atol=20)
    right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks[0]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_finds_nothing_in_a_landscape(detector: Detector) -> None:
    found = detector.detect(landscape())
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.landmarks.shape == (0, 5, 2)


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (33, 31), (2000, 1500)])
def test_takes_any_size(detector: Detector, size: tuple[int, int]) -> None:
    assert len(detector.detect(np.zeros((*size, 3), np.uint8))) == 0


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.7])
def test_boxes_are_in_pixels_of_the_picture_given(detector: Detector, factor: float) -> None:
    image = astronaut()
    resized = cv2.resize(image, None, fx=factor, fy=factor).astype(np.uint8)
    (found,) = detector.detect(resized).boxes / factor
    np.testing.assert_allclose(found, detector.detect(image).boxes[0], atol=8)


def test_threads_may_share_one(detector: Detector) -> None:
    images = [np.ascontiguousarray(np.roll(astronaut(), 5 * shift, 1)) for shift in range(8)]
    alone = [detector.detect(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, images))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.scores, other.scores)


def test_scores_fall_and_stand_above_the_threshold(detector: Detector) -> None:
    image = np.concatenate([astronaut(), astronaut()[:, ::-1]], 1)
    scores = detector.detect(image).scores
    assert len(scores) == 2
    assert scores[0] >= scores[1] >= DetectionSettings().threshold


def test_batches_find_what_single_pictures_do(detector: Detector) -> None:
    image = astronaut()
    images = [image, landscape(), np.ascontiguousarray(image[:, ::-1]), image[:300, :300], image]
    together = detector.detect_batch([ArrayPicture(image) for image in images])
    assert [len(found) for found in together] == [1, 0, 1, 1, 1]
    for found, alone in zip(together, map(detector.detect, images), strict=True):
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)
    assert detector.detect_batch([]) == []


@pytest.mark.parametrize("other", ON_TORCH)
def test_backends_find_the_same(model: Path, other: Runtime) -> None:
    crowd = np.concatenate([astronaut(), astronaut()[::2, ::-2].repeat(2, 0)], 1)
    wanted, found = (YuNet(model, FULL_SIZE, runtime).detect(crowd) for runtime in (ON_ONNX, other))
    assert len(wanted) == 2
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-2)
    np.testing.assert_allclose(found.landmarks, wanted.landmarks, atol=1e-2)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)


def test_auto_shrinks_to_what_the_smallest_wanted_face_needs(model: Path) -> None:
    image = np.zeros((900, 1200, 3), np.uint8)
    face = astronaut()[20:220, 120:320]
    for height, corner in ((300, 20), (60, 700)):  # the face takes a bit over half of the square
        patch = cv2.resize(face, (height, height), interpolation=cv2.INTER_AREA)
        image[corner : corner + height, corner : corner + height] = patch
    assert len(YuNet(model, DetectionSettings(min_face=30)).detect(image)) == 2
    (large,) = YuNet(model, DetectionSettings(min_face=170)).detect(image).boxes
    assert large[3] < 320


def test_auto_looks_again_where_it_found_nothing(model: Path) -> None:
    image = np.full((360, 640, 3), 127, np.uint8)
    image[100:160, 300:360] = cv2.resize(astronaut()[20:220, 120:320], (60, 60), interpolation=cv2.INTER_AREA)
    assert len(YuNet(model, DetectionSettings(size=320)).detect(image)) == 0
    wanted = YuNet(model, FULL_SIZE).detect(image)
    found = YuNet(model, DetectionSettings()).detect(image)
    assert len(found) == 1
    assert np.array_equal(found.boxes, wanted.boxes)


class Noted(ArrayPicture):
    """A picture that notes at which sizes it was looked at."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        super().__init__(image)
        self.sizes: list[tuple[int, int] | None] = []

    def rgb(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        self.sizes.append(size)
        return super().rgb(size)


@pytest.mark.parametrize(
    ("size", "given", "seen"),
    [
        (320, (480, 640), (240, 320)),
        (320, (1, 5000), (2, 320)),
        (35, (100, 100), (34, 34)),
        (35, (100, 50), (34, 16)),
        (35, (35, 33), (35, 33)),
        (35, (36, 36), (34, 34)),
    ],
)
def test_no_side_exceeds_the_size_asked_for(
    model: Path, size: int, given: tuple[int, int], seen: tuple[int, int]
) -> None:
    picture = Noted(np.zeros((*given, 3), np.uint8))
    YuNet(model, DetectionSettings(size=size)).detect_batch([picture])
    assert picture.sizes == [seen]


def opencv(model: Path, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    reference = cv2.FaceDetectorYN.create(str(model), "", image.shape[1::-1], 0.6, 0.3)
    found = reference.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    return np.empty((0, 15), np.float32) if found is None else found


def test_agrees_with_opencvs_own_yunet(model: Path) -> None:
    detector = YuNet(model, FULL_SIZE)
    for image in (astronaut(), np.ascontiguousarray(astronaut()[:320, 100:420])):
        wanted, found = opencv(model, image), detector.detect(image)
        np.testing.assert_allclose(found.boxes[:, :2], wanted[:, :2], atol=0.05)
        np.testing.assert_allclose(found.boxes[:, 2:] - found.boxes[:, :2], wanted[:, 2:4], atol=0.05)
        np.testing.assert_allclose(found.landmarks.reshape(-1, 10), wanted[:, 4:14], atol=0.05)
        np.testing.assert_allclose(found.scores, wanted[:, 14], atol=1e-4)


def test_finds_the_five_people_of_the_group_photo(shared_data: Path) -> None:
    image = cv2.cvtColor(cv2.imread(str(shared_data / "clips" / "multi_face.jpg")), cv2.COLOR_BGR2RGB)
    assert len(YuNet(resolve_detector("yunet"), DetectionSettings()).detect(image)) == 5
