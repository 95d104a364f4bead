"""Sources whose faces are not upright: how that is told, and that they are read as upright ones."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from videos import encode, landscape, moving_face, portrait

from fer_batch.annotation import annotate
from fer_batch.annotation.rotation import find_quarters
from fer_batch.annotation.sources import Source, find_sources
from fer_batch.emotions import LABELS
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.settings import AnnotateSettings, DetectionSettings, PrivacySettings, SamplingSettings
from fer_batch.storage import read_json

QUARTERS = range(4)


@pytest.fixture(scope="module")
def detector() -> YuNet:
    return YuNet(resolve_detector("yunet"), DetectionSettings())


def hung(images: list[NDArray[np.uint8]], quarters: int) -> list[NDArray[np.uint8]]:
    """What a camera sees that has to be turned clockwise by so many quarters."""
    return [np.ascontiguousarray(np.rot90(image, quarters)) for image in images]


def source_of(path: Path) -> Source:
    (source,) = find_sources([path], out=path.parent / "out")
    return source


@pytest.mark.parametrize("quarters", QUARTERS)
def test_a_video_is_turned_as_its_faces_are(quarters: int, detector: YuNet, tmp_path: Path) -> None:
    video = source_of(encode(tmp_path / "cam.mp4", hung(moving_face(30), quarters)))
    assert find_quarters(video, AnnotateSettings(), detector) == quarters
    assert find_quarters(video, AnnotateSettings(rotate=90), detector) == 1


@pytest.mark.parametrize("quarters", QUARTERS)
def test_so_are_pictures(quarters: int, detector: YuNet, tmp_path: Path) -> None:
    (tmp_path / "stills").mkdir()
    for number, image in enumerate(hung([portrait(640, 360)] * 3 + [landscape(640, 360)] * 2, quarters)):
        cv2.imwrite(str(tmp_path / "stills" / f"{number}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    (tmp_path / "stills" / "5.png").write_bytes(b"no picture")
    assert find_quarters(source_of(tmp_path / "stills"), AnnotateSettings(), detector) == quarters
    assert find_quarters(source_of(tmp_path / "stills" / "0.png"), AnnotateSettings(), detector) == quarters


def test_faces_late_in_a_video_tell_too(detector: YuNet, tmp_path: Path) -> None:
    nobody, somebody = [landscape()] * 100, hung(moving_face(100), 2)
    video = encode(tmp_path / "late.mp4", nobody + somebody, options={"g": "20"})
    assert find_quarters(source_of(video), AnnotateSettings(), detector) == 2


def test_what_is_not_to_be_seen_is_not_looked_at(detector: YuNet, tmp_path: Path) -> None:
    upright, turned = moving_face(75), hung(moving_face(75), 2)
    video = source_of(encode(tmp_path / "both.mp4", upright + turned, options={"g": "15"}))
    first = AnnotateSettings(sampling=SamplingSettings(end_s=2.5))
    last = AnnotateSettings(sampling=SamplingSettings(start_s=3.2))
    assert [find_quarters(video, settings, detector) for settings in (first, last)] == [0, 2]
    masked = AnnotateSettings(privacy=PrivacySettings(masks=((0, 0, 320, 180),)))
    assert find_quarters(video, masked, detector) == 0


def test_where_nobody_is_nothing_is_turned(detector: YuNet, tmp_path: Path) -> None:
    assert (
        find_quarters(source_of(encode(tmp_path / "v.mp4", [landscape()] * 30)), AnnotateSettings(), detector)
        == 0
    )
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 1000)
    assert find_quarters(source_of(broken), AnnotateSettings(), detector) == 0


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_tables_are_those_of_the_upright_source(quarters: int, tmp_path: Path) -> None:
    frames = moving_face(20, 640, 360)
    lossless = {"qp": "0"}
    encode(tmp_path / "upright.mp4", frames, options=lossless)
    encode(tmp_path / "hung.mp4", hung(frames, quarters), options=lossless)
    result = annotate([tmp_path / "upright.mp4", tmp_path / "hung.mp4"], tmp_path / "out")
    upright, turned = (pq.read_table(result.out / name / "faces.parquet") for name in ("upright", "hung"))
    assert turned["emotion"].to_pylist() == upright["emotion"].to_pylist()
    for label in LABELS:
        np.testing.assert_allclose(turned[label], upright[label], atol=0.05)
    np.testing.assert_allclose(turned["quality_pose"], upright["quality_pose"], atol=0.1)
    x, y, width, height = (upright[name].to_numpy() for name in ("x", "y", "width", "height"))
    # The box is in the picture as it is shown: turned back, counterclockwise.
    wanted = {
        1: (y, 640 - x - width, height, width),
        2: (640 - x - width, 360 - y - height, width, height),
        3: (360 - y - height, x, height, width),
    }[quarters]
    for name, values in zip(("x", "y", "width", "height"), wanted, strict=True):
        np.testing.assert_allclose(turned[name], values, atol=3)
    manifest = read_json(result.out / "hung" / "manifest.json")
    assert manifest["rotation"] == 90 * quarters
    assert any(f"turned by {90 * quarters} degrees clockwise" in note for note in manifest["notes"])
    assert read_json(result.out / "upright" / "manifest.json")["rotation"] == 0


def test_hair_is_blurred_whichever_way_is_up(tmp_path: Path) -> None:
    picture = portrait(640, 360)
    video = encode(tmp_path / "hung.mp4", hung([picture] * 3, 2))
    annotate([video], tmp_path / "out", AnnotateSettings(privacy=PrivacySettings(blur=True)))
    with av.open(str(tmp_path / "out" / "hung" / "overlay.mp4")) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    hair = slice(25, 60), slice(290, 330)  # right above the forehead
    before, after = picture[hair].astype(int), shown[::-1, ::-1][hair].astype(int)
    assert np.abs(np.diff(after, axis=1)).mean() < np.abs(np.diff(before, axis=1)).mean() / 2


@pytest.mark.parametrize("rotate", [0, 180])
def test_faces_that_fill_their_pictures_are_turned_as_told(rotate: Literal[0, 180], tmp_path: Path) -> None:
    face = portrait(640, 360)[70:270, 220:420]
    image = np.ascontiguousarray(np.rot90(face, rotate // 90))
    cv2.imwrite(str(tmp_path / "face.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    annotate([tmp_path / "face.png"], tmp_path / "out", AnnotateSettings(faces_only=True, rotate=rotate))
    (emotion,) = pq.read_table(tmp_path / "out" / "face" / "faces.parquet")["emotion"].to_pylist()
    assert emotion == "happy"
