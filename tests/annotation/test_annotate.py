"""From files to tables, through the Python API, with the bundled model."""

from __future__ import annotations

import csv
import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import onnx.numpy_helper
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from networks_made import write_model
from numpy.typing import NDArray
from runtimes import ON_TORCH
from videos import FACE, encode, in_pq, landscape, moving_face, portrait

from fer_batch.annotation import AnnotateResult, Models, Todo, annotate, overlay, pipeline
from fer_batch.annotation import run as annotation_run
from fer_batch.annotation.blur import Box
from fer_batch.emotions import LABELS
from fer_batch.engine.due import Due
from fer_batch.errors import ModelError, OutputError, SourceOpenError, UsageError
from fer_batch.inference.session import Runtime
from fer_batch.model.onnx_file import default_model, load_card
from fer_batch.settings import (
    AnnotateSettings,
    DetectionSettings,
    ExpectedShares,
    Head,
    Prior,
    PrivacySettings,
    QualitySettings,
    SamplingSettings,
)
from fer_batch.spreadsheet import restored
from fer_batch.storage import (
    FACE_COLUMNS,
    FRAME_COLUMNS,
    LANDMARK_COLUMNS,
    QUALITY_PARTS,
    SMOOTHED,
    SUMMARY_COLUMNS,
    VIDEO_ONLY,
    read_json,
)

RESULTS = ("faces.csv", "faces.parquet", "frames.csv", "frames.parquet")


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face for 30 frames and then none for 10, an image folder, and a file that is no video."""
    folder = tmp_path_factory.mktemp("footage")
    encode(folder / "visit.mp4", [*moving_face(30), *[landscape()] * 10])
    (folder / "stills").mkdir()
    for name, image in (("1.png", portrait()), ("2.png", landscape()), ("10.png", portrait(640, 360))):
        cv2.imwrite(str(folder / "stills" / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def done(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> AnnotateResult:
    return annotate([footage], tmp_path_factory.mktemp("results"), AnnotateSettings(overlay=True))


def contents(out: Path, name: str) -> dict[str, bytes]:
    return {result: (out / name / result).read_bytes() for result in RESULTS}


def test_every_frame_has_a_row_faces_or_none(done: AnnotateResult) -> None:
    frames = pq.read_table(done.out / "visit" / "frames.parquet").to_pydict()
    assert frames["frame"] == list(range(40))
    assert frames["faces"] == [1] * 30 + [0] * 10
    assert set(frames["status"]) == {"ok"}
    np.testing.assert_allclose(frames["time_s"], np.arange(40) / 25, atol=1e-3)


def test_the_manifest_names_the_head_and_the_shares_that_it_was_trained_with(done: AnnotateResult) -> None:
    manifest = read_json(done.out / "visit" / "manifest.json")
    assert manifest["head"] == done.head == "crowd"
    shares = load_card(default_model()).shares["crowd"]
    assert manifest["training_shares"] == dict(zip(LABELS, shares, strict=True))


def test_faces_lie_where_the_face_is(done: AnnotateResult) -> None:
    faces = pq.read_table(done.out / "visit" / "faces.parquet").to_pydict()
    assert faces["frame"] == list(range(30))
    assert set(faces["face"]) == {0}
    assert all(np.diff(faces["x"]) < 5)
    assert faces["x"][0] - faces["x"][29] == pytest.approx(29, abs=4)
    total = sum(np.array(faces[label]) for label in LABELS)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    best = np.argmax([faces[label] for label in LABELS], 0)
    assert faces["emotion"] == [LABELS[index] for index in best]
    assert faces["confidence"] == [faces[label][row] for row, label in enumerate(faces["emotion"])]


def test_one_person_is_one_track_and_its_probabilities_are_smoothed(done: AnnotateResult) -> None:
    faces = pq.read_table(done.out / "visit" / "faces.parquet").to_pydict()
    assert set(faces["track"]) == {0}
    raw, even = (np.array([faces[name] for name in names]) for names in (LABELS, SMOOTHED))
    np.testing.assert_allclose(even.sum(0), 1, atol=1e-5)
    assert np.abs(np.diff(even)).sum() < np.abs(np.diff(raw)).sum() / 2
    assert faces["smoothed_emotion"] == [LABELS[index] for index in even.argmax(0)]
    (row,) = [row for row in done.rows if row["source"] == "visit"]
    assert (row["tracks"], row["uncertain"]) == (1, 0)


def test_what_is_too_poor_is_left_empty_and_keeps_its_row(footage: Path, tmp_path: Path) -> None:
    small = encode(tmp_path / "small.mp4", moving_face(20, 160, 90))
    poor = AnnotateSettings(quality=QualitySettings(min_quality=1.0))
    unsure = AnnotateSettings(quality=QualitySettings(min_confidence=1.0))
    for video, settings in ((small, poor), (footage / "visit.mp4", unsure)):
        (row,) = annotate([video], tmp_path, settings).rows
        assert (row["faces"], row["share_happy"]) == (row["uncertain"], None)
        faces = pq.read_table(tmp_path / video.stem / "faces.parquet").to_pydict()
        assert len(faces["frame"]) == row["faces"] >= 20
        assert set(faces["emotion"]) == set(faces["smoothed_emotion"]) == {None}
        assert min(faces["confidence"]) > 0
    # Of the poor faces none weighs on any; those that are only unsure do.
    assert min(faces["smoothed_happy"]) > 0
    assert set(pq.read_table(tmp_path / "small" / "faces.parquet")["smoothed_happy"].to_pylist()) == {None}


def test_a_mask_hides_what_lies_under_it_from_the_detector(footage: Path, tmp_path: Path) -> None:
    hidden = AnnotateSettings(privacy=PrivacySettings(masks=((0, 0, 320, 180),), purpose="a test"))
    (row,) = annotate([footage / "visit.mp4"], tmp_path, hidden).rows
    assert (row["frames"], row["faces"]) == (40, 0)
    assert read_json(tmp_path / "visit" / "manifest.json")["purpose"] == "a test"
    again = annotate(
        [footage / "visit.mp4"], tmp_path, replace(hidden, privacy=PrivacySettings(masks=((0, 0, 320, 180),)))
    )
    assert again.due == {"visit": Due.FINISHED}  # another purpose changes no result


def test_masks_that_would_hide_nothing_of_a_video_are_refused(tmp_path: Path) -> None:
    video, out = encode(tmp_path / "cam.mp4", moving_face(3)), tmp_path / "out"

    def masked(*masks: tuple[int, int, int, int]) -> dict[str, object]:
        return annotate([video], out, AnnotateSettings(privacy=PrivacySettings(masks=masks))).rows[0]

    outside, across = (1700, 0, 200, 300), (300, 100, 5000, 5000)
    row = masked(outside)
    assert row["status"] == "failed"
    assert row["reason"] == "no mask lies inside the frames of 320x180 pixels: 1700,0,200,300"
    assert masked(outside, across)["status"] == "ok"


def test_searching_some_frames_leaves_faces_in_all(
    footage: Path, done: AnnotateResult, tmp_path: Path
) -> None:
    annotate([footage / "visit.mp4"], tmp_path, AnnotateSettings(detection=DetectionSettings(every=4)))
    found = pq.read_table(tmp_path / "visit" / "faces.parquet").to_pydict()
    wanted = pq.read_table(done.out / "visit" / "faces.parquet").to_pydict()
    assert found["frame"][:30] == list(range(30))
    assert [score is None for score in found["detection_score"]][:8] == [False, True, True, True] * 2
    np.testing.assert_allclose(found["x"][:30], wanted["x"], atol=6)
    # The face is gone with a cut, and each scene's first frame is searched.
    assert len(found["frame"]) == 30


def test_however_few_frames_are_searched_tracks_go_on(tmp_path: Path) -> None:
    uneven = np.random.default_rng(0).uniform(0.05, 0.4, 40).cumsum()
    encode(tmp_path / "uneven.mp4", moving_face(40), times=list(uneven - uneven[0]))
    encode(tmp_path / "slow.mkv", moving_face(40), fps=6)  # whose clock has milliseconds
    rarely = AnnotateSettings(detection=DetectionSettings(every=1000))
    annotate([tmp_path / "uneven.mp4", tmp_path / "slow.mkv"], tmp_path / "out", rarely)
    for name in ("uneven", "slow"):
        faces = pq.read_table(tmp_path / "out" / name / "faces.parquet").to_pydict()
        assert faces["frame"] == list(range(40))  # more than six seconds, of which a track outlives two
        assert len(set(faces["track"])) == 1
        searched = [score is not None for score in faces["detection_score"]]
        assert 4 <= sum(searched) <= 7


def test_however_few_frames_are_sampled_tracks_go_on(tmp_path: Path) -> None:
    video = encode(tmp_path / "rare.mkv", moving_face(6), times=[2.002 * frame for frame in range(6)])
    annotate([video], tmp_path)
    assert pq.read_table(tmp_path / "rare" / "faces.parquet")["track"].to_pylist() == [0] * 6


def tilted_face(frames: int) -> list[np.ndarray]:
    """Frames of a head that nods to its side and back, and that the detector is not sure of."""
    turns = (cv2.getRotationMatrix2D((140, 75), 62.5 + 0.5 * np.sin(frame / 3), 1) for frame in range(frames))
    return [cv2.warpAffine(portrait(), turn, (320, 180), borderMode=cv2.BORDER_REPLICATE) for turn in turns]


def test_a_face_between_searches_is_as_poor_as_at_the_last_one(tmp_path: Path) -> None:
    video = encode(tmp_path / "tilted.mp4", tilted_face(30))
    settings = AnnotateSettings(
        rotate=0, detection=DetectionSettings(every=3), quality=QualitySettings(min_quality=0.95)
    )
    (row,) = annotate([video], tmp_path, settings).rows
    assert row["uncertain"] == row["faces"] == 30
    faces = pq.read_table(tmp_path / "tilted" / "faces.parquet").to_pydict()
    assert set(faces["smoothed_emotion"]) == {None}
    for name in ("detection_score", "quality_pose", "nose_x"):
        assert [value is not None for value in faces[name]] == [True, False, False] * 10
    assert all(faces["quality"][row] <= faces["quality"][row - row % 3] + 1e-5 for row in range(30))


def test_every_picture_is_searched(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for number in range(4):
        picture = cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / "set" / f"{number}.png"), picture)
    hidden = AnnotateSettings(
        detection=DetectionSettings(every=3), overlay=True, privacy=PrivacySettings(blur=True)
    )
    annotate([tmp_path / "set"], tmp_path / "out", hidden)
    faces = pq.read_table(tmp_path / "out" / "set" / "faces.parquet").to_pydict()
    assert faces["frame"] == [0, 1, 2, 3]
    first, *others = (path.read_bytes() for path in sorted((tmp_path / "out" / "set" / "overlay").iterdir()))
    assert others == [first] * 3


@pytest.mark.parametrize("fps", [0, 5])
@pytest.mark.parametrize("every", [1, 5, 30])
@pytest.mark.parametrize("speed", [0.7, -1.9])
def test_a_face_that_walks_in_is_hidden_in_every_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: float, every: int, fps: int
) -> None:
    """Before it is first searched for, and when the video ends behind the only search that found it."""
    x0, y0, x1, y1 = FACE
    person, images, faces = portrait(512, 288)[:, x0 - 40 : x1 + 40], list[NDArray[np.uint8]](), list[slice]()
    for number in range(58):
        left = round(abs(speed) * (y1 - y0) * number / 25) - (40 + x1 - x0)
        image, outside = landscape(640, 360), max(0, -left)
        image[40:328, left + outside : left + person.shape[1]] = person[:, outside:]
        begin, end = max(0, left + 40), max(0, left + 40 + x1 - x0)
        if speed < 0:
            image, begin, end = np.ascontiguousarray(image[:, ::-1]), 640 - end, 640 - begin
        images.append(image)
        # Nobody would find less than half of one.
        faces.append(slice(begin, end if 2 * (end - begin) > x1 - x0 else begin))
    hidden = list[NDArray[np.bool_]]()
    monkeypatch.setattr(overlay, "blacken", lambda image, _: hidden.append(np.zeros(image.shape[:2], bool)))

    def hide(_: object, box: Box) -> None:
        left, top, right, bottom = (max(0, round(value)) for value in box)
        hidden[-1][top:bottom, left:right] = True

    monkeypatch.setattr(overlay, "pixelate", hide)
    settings = AnnotateSettings(
        detection=DetectionSettings(every=every),
        sampling=SamplingSettings(fps=fps),
        privacy=PrivacySettings(blur=True),
    )
    annotate([encode(tmp_path / "a.mp4", images)], tmp_path / "out", settings)
    found = pq.read_table(tmp_path / "out" / "a" / "faces.parquet")["detection_score"]
    assert found.null_count < len(found)
    shown = faces[:: 25 // fps if fps else 1]
    assert len(hidden) == len(shown)
    for number, (mask, columns) in enumerate(zip(hidden, shown, strict=True)):
        assert mask[40 + y0 : 40 + y1, columns].all(), number


def test_only_the_seconds_that_are_wanted(footage: Path, tmp_path: Path) -> None:
    span = AnnotateSettings(sampling=SamplingSettings(start_s=0.4, end_s=0.8))
    annotate([footage / "visit.mp4"], tmp_path, span)
    frames = pq.read_table(tmp_path / "visit" / "frames.parquet").to_pydict()
    np.testing.assert_allclose(frames["time_s"], np.arange(10, 21) / 25, atol=1e-3)


def test_a_network_that_changed_under_its_name_is_read_again(footage: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    answers = []
    for favourite in (1.0, 0.0):
        model = onnx.load(default_model())
        (bias,) = (weight for weight in model.graph.initializer if weight.name.endswith("crowd.bias"))
        values = np.full(7, 0.0, np.float32)
        values[3] = 100 * favourite
        values[6] = 100 * (1 - favourite)
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        onnx.save(model, path)
        annotate([footage / "visit.mp4"], tmp_path / "out", models=Models(classifier=path))
        answers.append(
            set(pq.read_table(tmp_path / "out" / "visit" / "faces.parquet")["emotion"].to_pylist())
        )
    assert answers == [{LABELS[3]}, {LABELS[6]}]


@pytest.mark.parametrize("other", ON_TORCH)
def test_backends_give_the_same_tables(
    footage: Path, done: AnnotateResult, other: Runtime, tmp_path: Path
) -> None:
    annotate([footage / "visit.mp4"], tmp_path, models=Models(device=other.device, backend=other.backend))
    found = pq.read_table(tmp_path / "visit" / "faces.parquet")
    wanted = pq.read_table(done.out / "visit" / "faces.parquet")
    for name in found.column_names:
        if pa.types.is_floating(found.schema.field(name).type):
            # What lies halfway between two 8-bit integers may fall to either: 3e-2, as the contract has it.
            np.testing.assert_allclose(found[name], wanted[name], atol=3e-2)
        else:
            assert found[name].equals(wanted[name])


def test_interrupted_it_goes_on_behind_the_last_part(tmp_path: Path) -> None:
    frames = moving_face(60, 160, 96)
    video = encode(tmp_path / "long.mp4", (frames + frames[::-1]) * 18)  # 2,160 frames
    seen: list[int] = []

    def stop(_: str, frame: int, __: int | None) -> None:
        if frame == 1500:
            raise KeyboardInterrupt

    def note(_: str, frame: int, __: int | None) -> None:
        seen.append(frame)

    out, whole = tmp_path / "out", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        annotate([video], out, progress=stop)
    assert not any(thread.name.startswith(("ahead", "stage")) for thread in threading.enumerate())
    annotate([video], out, progress=note)
    assert (seen[0], seen[-1]) == (1025, 2160)
    annotate([video], whole)
    assert contents(out, "long") == contents(whole, "long")
    # What was begun with other settings is of no use.
    with pytest.raises(KeyboardInterrupt):
        annotate([video], out, todo=Todo(force=True), progress=stop)
    seen.clear()
    annotate([video], out, AnnotateSettings(sampling=SamplingSettings(every=2)), progress=note)
    assert seen[0] == 1


def test_it_goes_on_between_searches(tmp_path: Path) -> None:
    video = encode(tmp_path / "long.mp4", tilted_face(60) * 18)  # 1,080 frames
    settings = AnnotateSettings(rotate=0, detection=DetectionSettings(every=3))

    def stop(_: str, frame: int, __: int | None) -> None:
        if frame == 1070:
            raise KeyboardInterrupt

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        annotate([video], tmp_path / "out", settings, progress=stop)
    annotate([video], tmp_path / "out", settings, progress=lambda *at: seen.append(at[1]))
    assert seen[0] == 1025
    annotate([video], tmp_path / "whole", settings)
    assert contents(tmp_path / "out", "long") == contents(tmp_path / "whole", "long")
    faces = pq.read_table(tmp_path / "out" / "long" / "faces.parquet").to_pydict()
    last, first = (faces["frame"].index(frame) for frame in (1023, 1024))
    assert faces["quality"][last] < 0.9  # else this would not tell
    assert faces["quality"][first] <= faces["quality"][last] + 1e-5
    assert faces["detection_score"][first] is None


def test_what_was_read_outlives_a_disk_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = moving_face(60, 160, 96)
    video = encode(tmp_path / "long.mp4", (frames + frames[::-1]) * 9)  # 1,080 frames
    out, seen = tmp_path / "out", []

    def stop(_: str, frame: int, __: int | None) -> None:
        if frame == 1070:
            raise KeyboardInterrupt

    def silent_disk(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(KeyboardInterrupt):
        annotate([video], out, progress=stop)
    with monkeypatch.context() as patched:
        patched.setattr(av, "open", silent_disk)
        (row,) = annotate([video], out).rows
    assert row["status"] == "failed"
    assert "Input/output error" in row["reason"]
    (row,) = annotate([video], out, todo=Todo(retry=True), progress=lambda *at: seen.append(at[1])).rows
    assert (row["status"], row["frames"]) == ("ok", 1080)
    assert seen[0] == 1025


def test_pictures_that_none_could_be_read_of_are_all_read_again(tmp_path: Path) -> None:
    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    for number in range(1026):  # more than a part
        (folder / f"{number}.png").write_bytes(b"not yet")
    assert annotate([folder], out).rows[0]["status"] == "failed"
    assert not (tmp_path / "out" / "many.begun").exists()


def test_what_another_library_began_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = moving_face(60, 160, 96)
    video = encode(tmp_path / "long.mp4", (frames + frames[::-1]) * 9)  # 1,080 frames
    seen: list[int] = []

    def stop(_: str, frame: int, __: int | None) -> None:
        if frame == 1070:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(annotation_run, "versions", lambda *names: dict.fromkeys(names, "0.1"))
        with pytest.raises(KeyboardInterrupt):
            annotate([video], tmp_path / "out", progress=stop)
    annotate([video], tmp_path / "out", progress=lambda *at: seen.append(at[1]))
    assert seen[0] == 1


def test_an_overlay_whose_source_is_gone_by_then_costs_the_overlay_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = encode(tmp_path / "cam.mp4", moving_face(4))

    def gone(*_: object, **__: object) -> None:
        raise SourceOpenError("cam.mp4 cannot be opened as a video: No such file or directory")

    monkeypatch.setattr(pipeline, "draw_overlay", gone)
    (row,) = annotate([video], tmp_path / "out", AnnotateSettings(overlay=True)).rows
    assert (row["status"], row["frames"]) == ("partial", 4)
    assert "No such file" in row["reason"]


def test_a_picture_that_comes_while_others_are_read_shows_no_face_of_theirs(tmp_path: Path) -> None:
    folder, out = tmp_path / "stills", tmp_path / "out"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), cv2.cvtColor(portrait(640, 360), cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(folder / "2.png"), landscape(640, 360))
    settings = AnnotateSettings(privacy=PrivacySettings(blur=True))

    def come(stage: str, done: int, _: int | None) -> None:
        if done == 2 and "overlay" not in stage:
            cv2.imwrite(str(folder / "0.png"), landscape(640, 360))

    (row,) = annotate([folder], out, settings, progress=come).rows
    assert (row["status"], row["frames"]) == ("partial", 2)
    assert "changed while it was read" in row["reason"]
    assert not (out / "stills" / "overlay").exists()
    (row,) = annotate([folder], out, settings).rows
    assert (row["status"], row["frames"]) == ("ok", 3)
    assert len(list((out / "stills" / "overlay").iterdir())) == 3


def test_a_run_stopped_while_it_drew_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, out = encode(tmp_path / "cam.mp4", moving_face(80, 160, 96)), tmp_path / "out"

    def stop(stage: str, done: int, _: int | None) -> None:
        if "overlay" in stage and done == 80:
            raise KeyboardInterrupt

    def gone(*_: object, **__: object) -> None:
        raise SourceOpenError("cam.mp4 cannot be opened as a video: Input/output error")

    with pytest.raises(KeyboardInterrupt):
        annotate([video], out, AnnotateSettings(overlay=True), progress=stop)
    assert not list((out / "cam.begun").glob("overlay*"))
    (out / "cam.begun" / "overlay.silent.mp4").write_bytes(b"of a run that was killed")
    with monkeypatch.context() as patched:
        patched.setattr(overlay, "read_frames", gone)
        (row,) = annotate([video], out, AnnotateSettings(overlay=True)).rows
    assert row["status"] == "partial"
    assert not list((out / "cam").glob("overlay*"))
    (out / "cam" / "overlay.silent.mp4").write_bytes(b"of a release that left it there")
    (row,) = annotate([video], out, AnnotateSettings(overlay=True), todo=Todo(retry=True)).rows
    assert row["status"] == "ok"
    assert [path.name for path in (out / "cam").glob("overlay*")] == ["overlay.mp4"]


def test_columns_are_the_documented_ones(done: AnnotateResult) -> None:
    video = [column.name for column in FACE_COLUMNS if column.name != "file"]
    assert pyarrow.csv.read_csv(done.out / "visit" / "faces.csv").column_names == video
    more = [column.name for column in (*QUALITY_PARTS, *LANDMARK_COLUMNS)]
    assert pq.read_schema(done.out / "visit" / "faces.parquet").names == video + more
    stills = [column.name for column in FACE_COLUMNS if column.name not in VIDEO_ONLY]
    assert pyarrow.csv.read_csv(done.out / "stills" / "faces.csv").column_names == stills
    pictures = [column.name for column in FRAME_COLUMNS]
    assert pyarrow.csv.read_csv(done.out / "stills" / "frames.csv").column_names == pictures
    assert pyarrow.csv.read_csv(done.out / "summary.csv").column_names == [c.name for c in SUMMARY_COLUMNS]


def test_csv_and_parquet_say_the_same(done: AnnotateResult) -> None:
    for name in ("visit", "stills"):
        csv = pyarrow.csv.read_csv(done.out / name / "faces.csv")
        parquet = pq.read_table(done.out / name / "faces.parquet", columns=csv.column_names)
        for column in csv.column_names:
            assert csv[column].cast(parquet[column].type).to_pylist() == parquet[column].to_pylist()


def test_pictures_are_read_in_natural_order(done: AnnotateResult) -> None:
    frames = pq.read_table(done.out / "stills" / "frames.parquet").to_pydict()
    assert frames["file"] == ["1.png", "2.png", "10.png"]
    assert frames["faces"] == [1, 0, 1]
    assert frames["time_s"] == [None] * 3


def test_what_cannot_be_read_is_recorded_and_stops_nothing(done: AnnotateResult) -> None:
    (failed,) = done.troubled
    assert (failed["source"], failed["status"]) == ("broken", "failed")
    assert "cannot be opened as a video" in failed["reason"]
    manifest = read_json(done.out / "broken" / "manifest.json")
    assert (manifest["status"], manifest["notes"]) == ("failed", [])
    summary = pyarrow.csv.read_csv(done.out / "summary.csv").to_pydict()
    assert summary["source"] == ["broken", "stills", "visit"]
    assert summary["status"] == ["failed", "ok", "ok"]
    assert summary["coverage"][1:] == [2 / 3, 0.75]


def test_the_overlay_has_every_frame_at_its_time(done: AnnotateResult) -> None:
    with av.open(str(done.out / "visit" / "overlay.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 40
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(40) / 25, atol=1e-3)
    drawn = frames[0].to_ndarray(format="rgb24").astype(int)
    assert np.abs(drawn - portrait(350)[:, :320]).max() > 60
    assert len(list((done.out / "stills" / "overlay").iterdir())) == 3


def test_the_first_frame_after_a_long_gap_is_searched(tmp_path: Path) -> None:
    times = [*np.arange(6) / 25, *(10 + np.arange(6) / 25)]
    video = encode(tmp_path / "gap.mkv", moving_face(12), times=times)
    every = AnnotateSettings(detection=DetectionSettings(every=5))
    annotate([video], tmp_path / "out", every)
    faces = pq.read_table(tmp_path / "out" / "gap" / "faces.parquet").to_pydict()
    assert faces["frame"] == list(range(12))
    searched = [frame for frame, score in zip(faces["frame"], faces["detection_score"], strict=True) if score]
    assert searched == [0, 5, 6, 10]


PQ_NOTE = "HDR (PQ) converted to SDR, white at 203 cd/m2"


@pytest.mark.parametrize("head", ["crowd", "fer2013"])
def test_expressions_of_hdr_are_those_of_sdr(tmp_path: Path, head: Head) -> None:
    images = moving_face(20)
    (tmp_path / "in").mkdir()
    encode(tmp_path / "in" / "sdr.mp4", images)
    encode(
        tmp_path / "in" / "hdr.mp4",
        [in_pq(image) for image in images],
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": "log-level=none", "crf": "18"},
        colours=(9, 16, 9),
    )
    done = annotate([tmp_path / "in"], tmp_path / "out", AnnotateSettings(head=head))
    hdr, sdr = (
        pq.read_table(tmp_path / "out" / name / "faces.parquet").to_pydict() for name in ("hdr", "sdr")
    )
    assert hdr["frame"] == sdr["frame"] == list(range(20))
    assert np.mean([one == other for one, other in zip(hdr["emotion"], sdr["emotion"], strict=True)]) >= 0.95
    assert np.abs(np.array(hdr["quality"]) - sdr["quality"]).mean() < 0.03
    assert [row["notes"] for row in done.rows] == [PQ_NOTE, None]
    assert [row["status"] for row in done.rows] == ["ok", "ok"]
    manifests = [read_json(tmp_path / "out" / name / "manifest.json") for name in ("hdr", "sdr")]
    assert [manifest["notes"] for manifest in manifests] == [[PQ_NOTE], []]
    summary = pyarrow.csv.read_csv(done.out / "summary.csv").to_pydict()
    assert [note or None for note in summary["notes"]] == [PQ_NOTE, None]


def test_what_was_said_of_frames_before_a_stop_is_said_at_the_end(tmp_path: Path) -> None:
    video = tmp_path / "cam.ts"
    with video.open("wb") as joined:
        for start, frames, colours in ((0, 10, (9, 16, 9)), (10 / 25, 1030, (1, 1, 1))):
            times = [start + index / 25 for index in range(frames)]
            images = [landscape(64, 48)] * frames
            joined.write(encode(tmp_path / "part.ts", images, times=times, colours=colours).read_bytes())

    def stop(_: str, frame: int, __: int | None) -> None:
        if frame == 1030:
            raise KeyboardInterrupt

    seen: list[int] = []
    out, whole = tmp_path / "out", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        annotate([video], out, progress=stop)
    annotate([video], out, progress=lambda *at: seen.append(at[1]))
    assert seen[0] == 1025
    annotate([video], whole)
    resumed, undisturbed = (read_json(folder / "cam" / "manifest.json") for folder in (out, whole))
    assert resumed["notes"] == [PQ_NOTE]
    assert {**resumed, "timings": None} == {**undisturbed, "timings": None}


def test_a_second_run_does_nothing(done: AnnotateResult, footage: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.out.rglob("*.parquet")}
    again = annotate([footage], done.out, AnnotateSettings(overlay=True))
    assert again.due == {"broken": Due.WAITING, "stills": Due.FINISHED, "visit": Due.FINISHED}
    assert again.rows == done.rows
    assert {path: path.stat().st_mtime_ns for path in done.out.rglob("*.parquet")} == before


def test_what_changed_is_due_and_a_dry_run_only_says_so(done: AnnotateResult, footage: Path) -> None:
    other = AnnotateSettings(overlay=True, sampling=SamplingSettings(every=2))
    result = annotate([footage], done.out, other, dry_run=True)
    assert set(result.due.values()) == {Due.CHANGED}
    retried = annotate(
        [footage], done.out, AnnotateSettings(overlay=True), todo=Todo(retry=True), dry_run=True
    )
    assert retried.due["broken"] is Due.RETRY


def test_workers_change_no_byte(done: AnnotateResult, footage: Path, tmp_path: Path) -> None:
    annotate([footage], tmp_path, AnnotateSettings(overlay=True), todo=Todo(workers=2))
    for name in ("visit", "stills"):
        assert contents(tmp_path, name) == contents(done.out, name)
        manifests = [read_json(out / name / "manifest.json") for out in (tmp_path, done.out)]
        assert [manifest.pop("timings") is not None for manifest in manifests] == [True, True]
        assert manifests[0] == manifests[1]
    assert (tmp_path / "summary.csv").read_bytes() == (done.out / "summary.csv").read_bytes()


def test_faces_only_takes_the_picture_for_the_face(footage: Path, tmp_path: Path) -> None:
    annotate([footage / "stills"], tmp_path, AnnotateSettings(faces_only=True))
    faces = pq.read_table(tmp_path / "stills" / "faces.parquet").to_pydict()
    assert faces["file"] == ["1.png", "2.png", "10.png"]
    assert faces["detection_score"] == [None] * 3
    assert list(zip(faces["width"], faces["height"], strict=True)) == [(320, 180), (320, 180), (640, 360)]


def test_known_expressions_give_a_confusion_matrix(footage: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("source,start_s,end_s,emotion\nvisit,0,0.4,happy\nvisit.mp4,0.4,0.8,sad\n")
    result = annotate([footage / "visit.mp4"], tmp_path / "out", labels=labels)
    assert result.agreement is not None
    assert result.agreement.sum(1).tolist() == [0, 0, 0, 10, 10, 0, 0]
    assert (tmp_path / "out" / "confusion_matrix.csv").is_file()
    assert (tmp_path / "out" / "confusion_matrix.png").is_file()
    # Nothing is done again: it still tells of what is there. It does not outlive that.
    annotate([footage / "visit.mp4"], tmp_path / "out")
    assert (tmp_path / "out" / "confusion_matrix.csv").is_file()
    annotate([footage / "visit.mp4"], tmp_path / "out", AnnotateSettings(sampling=SamplingSettings(fps=5)))
    assert not list((tmp_path / "out").glob("confusion_matrix.*"))


def test_a_name_that_a_spreadsheet_would_run_is_neutral_in_csv_alone(footage: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "=2+3.mp4").write_bytes((footage / "visit.mp4").read_bytes())
    out = tmp_path / "out"
    annotate([folder], out)
    for table in (out / "summary.csv", *(out / "=2+3" / f"{name}.csv" for name in ("faces", "frames"))):
        with table.open(encoding="utf-8", newline="") as stream:
            named = {row["source"] for row in csv.DictReader(stream)}
        assert {*map(restored, named)} == {"=2+3"}
        assert named == {"'=2+3"}
    assert set(pq.read_table(out / "=2+3" / "faces.parquet")["source"].to_pylist()) == {"=2+3"}
    labels = tmp_path / "labels.csv"  # the name copied from a table
    labels.write_text("source,start_s,end_s,emotion\n'=2+3,0,9,happy\n")
    assert annotate([folder], out, labels=labels).agreement is not None


def test_class_named_folders_need_no_labels(tmp_path: Path) -> None:
    for name in ("happy", "sad"):
        (tmp_path / "set" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "set" / name / "a.png"), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
    result = annotate([tmp_path / "set"], tmp_path / "out")
    assert result.agreement is not None
    assert result.agreement.sum(1).tolist() == [0, 0, 0, 1, 1, 0, 0]


def test_settings_and_models_that_cannot_be(footage: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"detection\.threshold"):
        annotate([footage], tmp_path / "a", AnnotateSettings(detection=DetectionSettings(threshold=2)))
    with pytest.raises(UsageError, match="workers"):
        annotate([footage], tmp_path / "a", todo=Todo(workers=0))
    with pytest.raises(ModelError, match="no model"):
        annotate([footage], tmp_path / "a", models=Models(classifier="gone"))
    assert not (tmp_path / "a").exists()


def test_results_that_cannot_be_written_end_the_run(footage: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(OutputError, match="out"):
        annotate([footage / "visit.mp4"], tmp_path / "out")
    assert not any(thread.name.startswith(("ahead", "stage")) for thread in threading.enumerate())


def test_two_processes_do_not_write_the_same_results(footage: Path, tmp_path: Path) -> None:
    begun = tmp_path / "visit.begun"
    begun.mkdir()
    sources = [footage / "visit.mp4", footage / "stills"]
    with FileLock(begun / ".lock"):
        result = annotate(sources, tmp_path)
        assert [path.name for path in begun.iterdir()] == [".lock"]
    assert [(row["source"], row["status"]) for row in result.rows] == [("visit", "failed"), ("stills", "ok")]
    assert "another process is at work on it" in result.troubled[0]["reason"]
    listed = pyarrow.csv.read_csv(tmp_path / "summary.csv").select(["source", "status"]).to_pydict()
    assert listed == {"source": ["stills", "visit"], "status": ["ok", "failed"]}
    assert not (tmp_path / "visit").exists()
    assert annotate(sources, tmp_path).due == {"visit": Due.NEW, "stills": Due.FINISHED}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stills", "summary.csv", "visit"]
    assert sorted(path.name for path in (tmp_path / "visit").iterdir()) == sorted([*RESULTS, "manifest.json"])


def test_what_others_keep_where_results_are_prepared_costs_no_other_source(
    footage: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "visit.begun" / "thesis.txt"
    theirs.parent.mkdir()
    theirs.write_text("years of work")
    sources = [footage / "visit.mp4", footage / "stills"]
    result = annotate(sources, tmp_path)
    assert [(row["source"], row["status"]) for row in result.rows] == [("visit", "failed"), ("stills", "ok")]
    assert "visit.begun is in the way and is not fer-batch's: move it" in result.troubled[0]["reason"]
    assert theirs.read_text() == "years of work"
    theirs.parent.rename(tmp_path / "mine")
    assert annotate(sources, tmp_path).troubled == []


def test_the_real_clips(shared_data: Path, tmp_path: Path) -> None:
    clips = shared_data / "clips"
    result = annotate([clips / "pexels.mp4", clips / "single_face.mp4", clips / "no_face.mp4"], tmp_path)
    rows = {row["source"]: row for row in result.rows}
    assert {name: (row["status"], row["frames"]) for name, row in rows.items()} == {
        "pexels": ("ok", 472),
        "single_face": ("ok", 72),
        "no_face": ("ok", 95),
    }
    assert rows["pexels"]["coverage"] >= 0.99
    assert rows["single_face"]["coverage"] >= 0.99
    assert rows["no_face"]["coverage"] <= 0.01


def test_the_real_group_photo(shared_data: Path, tmp_path: Path) -> None:
    (row,) = annotate([shared_data / "clips" / "multi_face.jpg"], tmp_path).rows
    assert (row["faces"], row["status"]) == (5, "ok")


def test_faces_are_read_with_the_crowd_head(done: AnnotateResult) -> None:
    assert done.head == "crowd"
    for name in ("visit", "stills", "broken"):
        manifest = read_json(done.out / name / "manifest.json")
        assert manifest["head"] == "crowd", name
        stated = manifest["made_from"]["settings"]
        assert (stated["head"], stated["prior"]) == ("auto", "natural")


def test_a_model_with_one_head_reads_with_it(footage: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "one.onnx", "cnn7", heads=("fer2013",))
    result = annotate([footage / "stills"], tmp_path / "out", models=Models(classifier=tmp_path / "one.onnx"))
    assert result.head == "fer2013"
    assert read_json(tmp_path / "out" / "stills" / "manifest.json")["head"] == "fer2013"
    with pytest.raises(ModelError, match="has no head 'crowd', only fer2013"):
        annotate(
            [footage / "stills"],
            tmp_path / "out",
            AnnotateSettings(head="crowd"),
            models=Models(classifier=tmp_path / "one.onnx"),
        )


def test_a_prior_that_a_model_knows_nothing_of_is_refused_before_anything_is_written(
    footage: Path, tmp_path: Path
) -> None:
    write_model(tmp_path / "bare.onnx", "cnn7")
    models = Models(classifier=tmp_path / "bare.onnx")
    with pytest.raises(ModelError, match="does not know how frequent each expression was in its training"):
        annotate([footage / "stills"], tmp_path / "out", models=models)
    assert not (tmp_path / "out" / "stills").exists()
    annotate([footage / "stills"], tmp_path / "out", AnnotateSettings(prior="training"), models=models)


def test_the_prior_changes_the_probabilities_and_makes_a_source_due(footage: Path, tmp_path: Path) -> None:
    def neutral(prior: Prior) -> tuple[Due, float]:
        result = annotate([footage / "stills"], tmp_path, AnnotateSettings(prior=prior))
        faces = pq.read_table(tmp_path / "stills" / "faces.parquet").to_pydict()
        return result.due["stills"], faces["neutral"][0]

    due, by_default = neutral("natural")
    assert due is Due.NEW
    assert neutral("natural") == (Due.FINISHED, by_default)
    due, balanced = neutral("balanced")
    assert due is Due.CHANGED
    due, mostly = neutral(ExpectedShares(1, 1, 1, 1, 1, 1, 1000))
    assert due is Due.CHANGED
    assert balanced < by_default < mostly
    assert neutral(ExpectedShares(1, 1, 1, 1, 1, 1, 1000)) == (Due.FINISHED, mostly)
    due, never = neutral(ExpectedShares(1, 1, 1, 1, 1, 1, 0))
    assert (due, never) == (Due.CHANGED, 0)


def test_faces_that_are_too_small_are_estimated_and_told_of(tmp_path: Path) -> None:
    frame = landscape(1920, 1080)
    frame[:360, :640] = portrait(640, 360)
    frame[600:668, 900:1020] = portrait(120, 68)  # its face is 27 pixels high: 13 of what is looked at
    video = encode(tmp_path / "shop.mp4", [frame] * 25, fps=2)
    result = annotate([video], tmp_path / "out")
    (row,) = result.rows
    assert (row["frames"], row["faces"], row["faces_missed_estimate"]) == (25, 25, 25)
    assert "about 25 more faces" in row["notes"]
    assert "min_face 48" in row["notes"]
    closely = AnnotateSettings(detection=DetectionSettings(min_face=48))
    (row,) = annotate([video], tmp_path / "closely", closely).rows
    assert (row["faces"], row["faces_missed_estimate"], row["notes"]) == (50, 0, None)
