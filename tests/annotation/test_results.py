"""Whose a folder of results is: nothing that `annotate` did not write is lost, and no result unasked."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from videos import encode, moving_face, portrait

from fer_batch.annotation import Todo, annotate
from fer_batch.annotation.results import has_tables, strangers
from fer_batch.engine.due import Due
from fer_batch.errors import OutputError, UsageError
from fer_batch.progress import Progress
from fer_batch.settings import AnnotateSettings, PrivacySettings, QualitySettings, SamplingSettings
from fer_batch.storage import read_json


def clip(path: Path, frames: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode(path, moving_face(frames))


def summary(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary.csv").open(newline="") as stream:
        return {row["source"]: row for row in csv.DictReader(stream)}


def test_pictures_that_lie_where_their_results_would_stay(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "a.png"), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
    before = (photos / "a.png").read_bytes()
    (row,) = annotate([photos], tmp_path).rows
    assert row["source"].startswith("photos-")
    assert has_tables(tmp_path / row["source"])
    assert [path.name for path in photos.iterdir()] == ["a.png"]
    assert (photos / "a.png").read_bytes() == before
    assert annotate([photos], tmp_path).due == {row["source"]: Due.FINISHED}


def test_what_was_laid_beside_results_is_not_written_over(tmp_path: Path) -> None:
    video = clip(tmp_path / "cam.mp4")
    annotate([video], tmp_path / "out")
    notes = tmp_path / "out" / "cam" / "notes.txt"
    notes.write_text("seen by Ann")
    assert strangers(notes.parent) == ["notes.txt"]
    assert annotate([video], tmp_path / "out").due == {"cam": Due.FINISHED}
    before = (notes.parent / "faces.csv").read_bytes()
    other, overlay = clip(tmp_path / "other.mp4"), AnnotateSettings(overlay=True)
    refused, done = annotate([video, other], tmp_path / "out", overlay).rows
    assert refused["status"] == "failed"
    assert "cam is to be written anew, and holds notes.txt" in refused["reason"]
    assert (done["source"], done["status"]) == ("other", "ok")  # nobody else's work is held up
    assert notes.read_text() == "seen by Ann"
    assert (notes.parent / "faces.csv").read_bytes() == before
    notes.rename(tmp_path / "notes.txt")
    assert annotate([video], tmp_path / "out", overlay).due == {"cam": Due.WAITING}
    (row,) = annotate([video], tmp_path / "out", overlay, todo=Todo(retry=True)).rows
    assert row["status"] == "ok"


@pytest.mark.parametrize("name", ["overlay.mp4", "faces.csv", "manifest.json", "overlay/mine.png", ".notes"])
def test_names_alone_make_no_results(tmp_path: Path, name: str) -> None:
    video, mine = clip(tmp_path / "cam.mp4"), tmp_path / "cam" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"mine": 1}')
    (row,) = annotate([video], tmp_path, todo=Todo(force=True)).rows
    assert row["source"].startswith("cam-")
    assert mine.read_text() == '{"mine": 1}'
    assert len(list((tmp_path / "cam").iterdir())) == 1


def test_what_was_laid_into_an_overlay_is_not_written_over(tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "out"
    cv2.imwrite(str(photo), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
    drawn = AnnotateSettings(overlay=True)
    annotate([photo], out, drawn)
    assert strangers(out / "photo") == []
    notes = out / "photo" / "overlay" / "corrections.csv"
    notes.write_text("hours of work")
    (row,) = annotate([photo], out, drawn, todo=Todo(force=True)).rows
    assert "holds overlay/corrections.csv" in row["reason"]
    assert notes.read_text() == "hours of work"
    video = clip(tmp_path / "cam.mp4")
    annotate([video], out)
    (out / "cam" / "overlay").mkdir()
    assert strangers(out / "cam") == ["overlay"]


def test_what_was_laid_beside_a_failure_is_not_lost(tmp_path: Path) -> None:
    video = tmp_path / "cam.mp4"
    video.write_bytes(b"no video")
    annotate([video], tmp_path / "out")
    notes = tmp_path / "out" / "cam" / "notes.txt"
    notes.write_text("asked the shop")
    for _ in range(2):
        (row,) = annotate([video], tmp_path / "out", todo=Todo(retry=True)).rows
        assert "holds notes.txt" in row["reason"]
        assert notes.read_text() == "asked the shop"


def once(action: Callable[[], object]) -> Progress:
    """Do something while the first frame is read."""
    actions = [action]

    def progress(*_: object) -> None:
        if actions:
            actions.pop()()

    return progress


def test_what_is_laid_beside_results_while_they_are_made_stays(tmp_path: Path) -> None:
    video, out, seen = clip(tmp_path / "cam.mp4"), tmp_path / "out", []
    notes = out / "cam" / "notes.txt"

    def lay() -> None:
        notes.parent.mkdir(parents=True, exist_ok=True)
        notes.write_text("seen by Ann")

    # Into a folder that is made meanwhile, and into one of results that are to be replaced.
    for settings in (AnnotateSettings(), AnnotateSettings(overlay=True)):
        (row,) = annotate([video], out, settings, progress=once(lay)).rows
        assert (row["source"], row["status"]) == ("cam", "failed")
        assert "cam is to be written anew, and holds notes.txt" in row["reason"]
        assert notes.read_text() == "seen by Ann"
        notes.rename(tmp_path / "notes.txt")
        again = Todo(retry=True)
        (row,) = annotate([video], out, settings, todo=again, progress=lambda *at: seen.append(at)).rows
        assert (row["source"], row["status"], row["frames"]) == ("cam", "ok", 4)
    assert {what for what, _, _ in seen} == {"cam overlay"}  # what had been read is not read again


def test_what_is_laid_beside_results_at_the_last_moment_stays(tmp_path: Path) -> None:
    video, notes = clip(tmp_path / "cam.mp4"), tmp_path / "out" / "cam" / "notes.txt"
    annotate([video], tmp_path / "out")
    program = (
        "import sys; from pathlib import Path; from fer_batch.annotation import Todo, annotate\n"
        "video, out, notes = map(Path, sys.argv[1:])\n"
        "def lay(event, arguments):\n"
        "    if event == 'os.rename' and Path(arguments[0]) == notes.parent:\n"
        "        notes.write_text('seen by Ann')\n"
        "sys.addaudithook(lay)\n"
        "print(annotate([video], out, todo=Todo(force=True)).rows[0]['reason'])"
    )
    arguments = [sys.executable, "-c", program, str(video), str(tmp_path / "out"), str(notes)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert "cam is to be written anew, and holds notes.txt" in done.stdout
    assert notes.read_text() == "seen by Ann"
    assert has_tables(notes.parent)


def test_no_run_replaces_what_another_has_finished_meanwhile(tmp_path: Path) -> None:
    monday, tuesday, out = tmp_path / "monday", tmp_path / "tuesday", tmp_path / "out"
    clip(monday / "a.mp4", 3)
    clip(monday / "cam.mp4", 4)
    clip(tuesday / "cam.mp4", 5)
    done, refused = annotate([monday], out, progress=once(lambda: annotate([tuesday], out))).rows
    assert (done["source"], done["status"]) == ("a", "ok")
    assert (refused["source"], refused["status"]) == ("cam", "failed")
    assert f"cam has become the folder of {tuesday / 'cam.mp4'} meanwhile: run again" in refused["reason"]
    found = {name: (row["status"], row["frames"]) for name, row in summary(out).items()}
    assert found == {"a": ("ok", "3"), "cam": ("ok", "5")}
    again = annotate([monday], out)
    assert [(row["status"], row["frames"]) for row in again.rows] == [("ok", 3), ("ok", 4)]
    assert again.rows[1]["source"].startswith("cam-")
    assert annotate([tuesday], out).due == {"cam": Due.FINISHED}


def test_what_another_run_has_done_meanwhile_is_not_done_again(tmp_path: Path) -> None:
    clip(tmp_path / "in" / "a.mp4", 3)
    second, out = clip(tmp_path / "in" / "b.mp4", 5), tmp_path / "out"
    made = []

    def other_run() -> None:
        annotate([second], out)
        made.append((out / "b" / "faces.csv").stat().st_ino)

    rows = annotate([tmp_path / "in"], out, progress=once(other_run)).rows
    assert [(row["source"], row["status"], row["frames"]) for row in rows] == [("a", "ok", 3), ("b", "ok", 5)]
    assert made == [(out / "b" / "faces.csv").stat().st_ino]


def test_folders_that_another_run_moves_while_the_summary_is_written(tmp_path: Path) -> None:
    video, out = clip(tmp_path / "cam.mp4"), tmp_path / "out"
    for name in ("gone", "gone.begun", "gone.partial"):
        (out / name / "parts").mkdir(parents=True)
    program = (
        "import sys; from pathlib import Path; from fer_batch.annotation import annotate\n"
        "def take_away(event, arguments):\n"
        "    if event == 'os.scandir' and Path(str(arguments[0])).stem == 'gone':\n"
        "        Path(arguments[0]).rename(sys.argv[3])\n"
        "sys.addaudithook(take_away)\n"
        "annotate(sys.argv[1:2], sys.argv[2])"
    )
    arguments = [sys.executable, "-c", program, str(video), str(out), str(tmp_path / "away")]
    subprocess.run(arguments, check=True, capture_output=True)
    assert summary(out)["cam"]["status"] == "ok"
    assert sorted(path.name for path in out.iterdir()) == ["cam", "gone.begun", "gone.partial", "summary.csv"]


@pytest.mark.parametrize("name", ["summary.csv", "confusion_matrix.csv", "confusion_matrix.png"])
def test_a_users_file_is_not_replaced_by_what_is_written_over_all_sources(tmp_path: Path, name: str) -> None:
    (tmp_path / "happy").mkdir()
    cv2.imwrite(str(tmp_path / "happy" / "a.png"), portrait())
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine,1\n")
    with pytest.raises(UsageError, match=rf"{name} is in the way and was not written by annotate"):
        annotate([tmp_path / "happy"], out)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == "mine,1\n"
    (out / name).unlink()
    for every in (1, 2):  # and what is its own, is
        annotate([tmp_path / "happy"], out, AnnotateSettings(sampling=SamplingSettings(every=every)))
    assert (out / name).is_file()


def test_results_outlive_a_run_that_fails(tmp_path: Path) -> None:
    video, away = clip(tmp_path / "cam.mp4"), tmp_path / "away"
    annotate([video], tmp_path / "out")
    before = (tmp_path / "out" / "cam" / "faces.csv").read_bytes()
    video.rename(away)
    video.write_bytes(b"half of a copy")
    (row,) = annotate([video], tmp_path / "out").rows
    assert (row["status"], row["source"]) == ("failed", "cam")
    assert "the results of an earlier run are still in its folder" in row["reason"]
    assert summary(tmp_path / "out")["cam"]["status"] == "failed"
    assert (tmp_path / "out" / "cam" / "faces.csv").read_bytes() == before
    # The results are of another source: known to be so, to this call and to others, and waiting for a retry.
    again = annotate([video], tmp_path / "out")
    assert again.due == {"cam": Due.WAITING}
    assert [row["status"] for row in again.troubled] == ["failed"]
    annotate([clip(tmp_path / "other.mp4")], tmp_path / "out")
    assert summary(tmp_path / "out")["cam"]["status"] == "failed"
    assert annotate([video], tmp_path / "out", todo=Todo(retry=True)).due == {"cam": Due.CHANGED}
    away.replace(video)
    again = annotate([video], tmp_path / "out")
    assert again.due == {"cam": Due.FINISHED}
    assert summary(tmp_path / "out")["cam"]["status"] == "ok"
    assert "later_attempt" not in read_json(tmp_path / "out" / "cam" / "manifest.json")
    nothing = AnnotateSettings(sampling=SamplingSettings(start_s=100))
    assert annotate([video], tmp_path / "out", nothing).troubled
    assert (tmp_path / "out" / "cam" / "faces.csv").read_bytes() == before


def test_sources_of_one_name_from_two_calls_both_have_results(tmp_path: Path) -> None:
    monday, tuesday = clip(tmp_path / "monday" / "cam.mp4", 3), clip(tmp_path / "tuesday" / "cam.mp4", 5)
    annotate([monday], tmp_path / "out")
    (row,) = annotate([tuesday.parent], tmp_path / "out").rows
    assert row["source"].startswith("cam-")
    frames = {name: row["frames"] for name, row in summary(tmp_path / "out").items()}
    assert frames == {"cam": "3", row["source"]: "5"}
    both = annotate([tmp_path / "monday", tmp_path / "tuesday"], tmp_path / "out")
    assert both.due == {"cam": Due.FINISHED, row["source"]: Due.FINISHED}


def test_a_new_neighbour_of_the_same_name_leaves_results_where_they_are(tmp_path: Path) -> None:
    clip(tmp_path / "in" / "cam.mp4", 3)
    annotate([tmp_path / "in"], tmp_path / "out")
    clip(tmp_path / "in" / "cam.mkv", 5)
    due = annotate([tmp_path / "in"], tmp_path / "out").due
    assert due.pop("cam") is Due.FINISHED
    assert list(due.values()) == [Due.NEW]
    assert len(summary(tmp_path / "out")) == 2


def test_a_file_that_was_moved_or_made_anew_keeps_its_folder(tmp_path: Path) -> None:
    video = clip(tmp_path / "cam.mp4")
    annotate([video], tmp_path / "out")
    (tmp_path / "archive").mkdir()
    moved = video.rename(tmp_path / "archive" / "cam.mp4")
    assert annotate([moved], tmp_path / "out").due == {"cam": Due.CHANGED}
    clip(moved, 6)
    assert annotate([moved], tmp_path / "out").due == {"cam": Due.CHANGED}
    assert [row["frames"] for row in summary(tmp_path / "out").values()] == ["6"]


@pytest.mark.parametrize("text", ['{"name": "app"}', "[1, 2]", '{"status": "ok", "made', ""])
def test_manifests_of_other_programs_are_none_of_its_business(tmp_path: Path, text: str) -> None:
    video = clip(tmp_path / "cam.mp4")
    theirs = tmp_path / "out" / "web" / "manifest.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text(text)
    annotate([video], tmp_path / "out")
    assert list(summary(tmp_path / "out")) == ["cam"]
    assert theirs.read_text() == text


def test_a_damaged_manifest_has_its_source_done_again_beside_it(tmp_path: Path) -> None:
    video = clip(tmp_path / "cam.mp4")
    annotate([video], tmp_path / "out")
    (tmp_path / "out" / "cam" / "manifest.json").write_text("{")
    before = (tmp_path / "out" / "cam" / "faces.csv").read_bytes()
    (name, due), *_ = annotate([video], tmp_path / "out").due.items()
    assert name.startswith("cam-")
    assert due == Due.NEW
    assert read_json(tmp_path / "out" / name / "manifest.json")["status"] == "ok"
    assert (tmp_path / "out" / "cam" / "faces.csv").read_bytes() == before


def test_a_later_purpose_is_stated_too(tmp_path: Path) -> None:
    video = clip(tmp_path / "cam.mp4")
    annotate([video], tmp_path / "out", AnnotateSettings(privacy=PrivacySettings(purpose="a trial")))
    manifest = tmp_path / "out" / "cam" / "manifest.json"
    before = read_json(manifest)
    due = annotate(
        [video], tmp_path / "out", AnnotateSettings(privacy=PrivacySettings(purpose="study 7"))
    ).due
    assert due == {"cam": Due.FINISHED}
    assert read_json(manifest) == before | {"purpose": "study 7"}
    annotate([video], tmp_path / "out")
    assert read_json(manifest)["purpose"] == "study 7"


def test_faces_whose_expression_is_left_empty_agree_with_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "happy"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "a.png"), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
    sure = AnnotateSettings(quality=QualitySettings(min_confidence=1.0))
    result = annotate([tmp_path / "set"], tmp_path / "out", sure)
    assert result.agreement is None
    assert [row["uncertain"] for row in result.rows] == [1]


def test_an_overlay_that_no_video_can_hold_costs_no_table_and_no_other_source(tmp_path: Path) -> None:
    wide = np.full((32, 17_000, 3), 120, np.uint8)  # H.264 ends at 16,384
    (tmp_path / "in").mkdir()
    encode(tmp_path / "in" / "a.mkv", [wide] * 2, codec="ffv1", pix_fmt="bgr0")
    clip(tmp_path / "in" / "b.mp4")
    result = annotate([tmp_path / "in"], tmp_path / "out", AnnotateSettings(overlay=True))
    assert [(row["source"], row["status"]) for row in result.rows] == [("a", "partial"), ("b", "ok")]
    assert "the overlay cannot be encoded" in result.rows[0]["reason"]
    names = sorted(path.name for path in (tmp_path / "out" / "a").iterdir())
    assert names == ["faces.csv", "faces.parquet", "frames.csv", "frames.parquet", "manifest.json"]
    assert (tmp_path / "out" / "b" / "overlay.mp4").is_file()


def test_names_that_cannot_be(tmp_path: Path) -> None:
    video = clip(tmp_path / "cam.mp4")
    with pytest.raises(UsageError, match="empty text"):
        annotate([""], tmp_path / "out")
    with pytest.raises(OutputError, match="b%E9"):
        annotate([video], os.fsdecode(os.fsencode(tmp_path) + b"/b\xe9"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cam.mp4"]
