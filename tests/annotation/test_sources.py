"""What is found under what was named, and what it is called."""

from __future__ import annotations

import io
import json
import os
import shutil
import wave
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from videos import encode, landscape, moving_face

from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.frames import Frame
from fer_batch.annotation.skipped import Skipped
from fer_batch.annotation.sources import find_sources, natural_key
from fer_batch.emotions import Emotion
from fer_batch.errors import NothingFoundError, SourceOpenError, UsageError
from fer_batch.settings import SamplingSettings


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(root: Path, *named: str) -> list[str]:
    return [source.name for source in find_sources([root / name for name in named], out=root / "out")]


def test_names_are_relative_to_what_was_named(tmp_path: Path) -> None:
    touch(tmp_path, "shop/monday/till.mp4", "shop/door.mkv", "shop/notes.txt", "clip.MOV")
    assert names(tmp_path, "shop") == ["door", "monday/till"]
    assert names(tmp_path, "shop/door.mkv", "clip.MOV") == ["door", "clip"]


def test_a_folder_of_pictures_is_one_source(tmp_path: Path) -> None:
    touch(
        tmp_path, "set/happy/b.png", "set/happy/a.jpg", "set/happy/c.JFIF", "set/sad/c.png", "set/readme.md"
    )
    found = find_sources([tmp_path / "set"], out=tmp_path / "out")
    assert [(source.name, source.kind) for source in found] == [("happy", "images"), ("sad", "images")]
    assert [source.folder_emotion.label for source in found if source.folder_emotion] == ["happy", "sad"]
    assert [path.name for path in found[0].pictures] == ["a.jpg", "b.png", "c.JFIF"]


def test_a_folder_that_is_a_link_stands_for_its_own_name_before_anothers(tmp_path: Path) -> None:
    touch(tmp_path, "away/day1/a.jpg", "away/sad/a.jpg", "away/fear/a.jpg")
    (tmp_path / "set").mkdir()
    for link, name in (("happy", "day1"), ("1", "sad"), ("angry", "fear")):
        (tmp_path / "set" / link).symlink_to(tmp_path / "away" / name)
    found = find_sources([tmp_path / "set"], out=tmp_path / "out")
    emotions = {source.name: source.folder_emotion for source in found}
    assert emotions == {"happy": Emotion.HAPPY, "1": Emotion.SAD, "angry": Emotion.ANGRY}


def test_two_sources_of_one_name_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a/till.mp4", "b/till.mp4", "b/Till.mkv", "c/door.mp4")
    found = names(tmp_path, "a", "b", "c")
    assert len(set(found)) == 4
    assert [name.startswith("till-") for name in found] == [True, False, True, False]
    assert found[1].startswith("Till-")
    assert found[3] == "door"
    assert names(tmp_path, "a", "b", "c") == found


def test_no_results_lie_inside_anothers(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4", "s/a/b.mp4")
    found = names(tmp_path, "s")
    assert found[0].startswith("a-")
    assert found[1] == "a/b"


def finish(root: Path, *sources: str) -> None:
    """Have results of what these names stand for."""
    for source in find_sources([root / "s"], out=root / "out"):
        if source.name in sources:
            folder = root / "out" / source.name
            folder.mkdir(parents=True)
            made_from = {"source": source.identity()}
            manifest = {"made_from": made_from, "summary": {"source": source.name}}
            (folder / "manifest.json").write_text(json.dumps(manifest))


def test_whoever_has_results_keeps_the_name_when_others_go(tmp_path: Path) -> None:
    touch(tmp_path, "s/x.mp4", "s/x.mov")
    both = names(tmp_path, "s")
    finish(tmp_path, *both)
    (tmp_path / "s" / "x.mov").unlink()
    (kept,) = names(tmp_path, "s")
    assert kept in both
    assert kept.startswith("x-")


def test_whoever_has_results_keeps_the_name_when_a_folder_of_it_comes(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4")
    finish(tmp_path, "a")
    touch(tmp_path, "s/a/b.mp4", "s/a/c/d.mp4")
    found = names(tmp_path, "s")
    beside = found[1].split("/")[0]
    assert found == ["a", f"{beside}/b", f"{beside}/c/d"]
    assert beside.startswith("a-")
    finish(tmp_path, *found[1:])
    assert names(tmp_path, "s") == found
    (tmp_path / "s" / "a.mp4").unlink()  # its results stay, and stay whole
    assert names(tmp_path, "s") == found[1:]
    shutil.rmtree(tmp_path / "out" / "a")
    assert names(tmp_path, "s") == found[1:]


def test_the_same_file_named_twice_is_done_once(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4")
    assert names(tmp_path, "s", "s/a.mp4") == ["a"]


def test_patterns(tmp_path: Path) -> None:
    touch(tmp_path, "a1.mp4", "a2.mp4", "b.mp4", "a.txt", "ab/c.mp4")
    assert names(tmp_path, "a*.mp4") == ["a1", "a2"]
    assert names(tmp_path, "a*") == ["a1", "a2", "c"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    touch(tmp_path, "till [1].mp4")
    assert names(tmp_path, "till [1].mp4") == ["till [1]"]


def test_odd_names(tmp_path: Path) -> None:
    odd = {
        "ünïcødé 影片": "ünïcødé 影片",
        "with, comma": "with, comma",
        "100%": "100%",
        "new\nline": "new%0Aline",
        "caf\udce9": "caf%E9",
        "dots..": "dots.%2E",
        "space ": "space%20",
        "x" * 200: "x" * 200,
    }
    touch(tmp_path, *(f"s/{name}.mp4" for name in odd))
    assert sorted(names(tmp_path, "s")) == sorted(odd.values())


def test_names_that_are_no_folder_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "..mp4", "...mp4", ".hidden.mp4")
    assert names(tmp_path, "..mp4", "...mp4", ".hidden.mp4") == ["%2E", ".%2E", ".hidden"]


def test_names_that_look_like_something_else_of_the_results(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4", "s/a.partial.mp4", "s/a.begun/b.mp4", "s/b.Partial/c.mp4", "s/summary.csv.mp4")
    assert names(tmp_path, "s") == ["a", "a%2Epartial", "summary%2Ecsv", "a%2Ebegun/b", "b%2EPartial/c"]


def test_long_names_are_cut_and_told_apart(tmp_path: Path) -> None:
    long, wide = "x" * 230, "影" * 80
    touch(tmp_path, f"s/{long}1.mp4", f"s/{long}2.mp4", f"s/{wide}/a.mp4", f"s/{wide}/b.mp4")
    found = names(tmp_path, "s")
    assert len(set(found)) == 4
    assert all(len(part.encode()) <= 200 for name in found for part in name.split("/"))
    assert found[0].startswith("x" * 190)
    assert found[2].startswith("影" * 60)
    assert PurePosixPath(found[2]).parent == PurePosixPath(found[3]).parent
    assert names(tmp_path, "s") == found


def test_names_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a/caf\udce9.mp4", "a/caf%E9.mp4", "b/e\u0301.mp4", "c/\u00e9.mp4")
    found = names(tmp_path, "a", "b", "c")
    assert len({name.rsplit("-", 1)[1] for name in found}) == 4


def test_what_cannot_be_read_is_a_source_too(tmp_path: Path) -> None:
    touch(tmp_path, "s/pictures/a.png")
    (tmp_path / "s" / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "s" / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "s" / "pictures" / "b.png").symlink_to("nowhere.png")
    found = find_sources([tmp_path / "s"], out=tmp_path / "out")
    assert [source.name for source in found] == ["gone", "loop", "pictures"]
    assert [path.name for path in found[2].pictures] == ["a.png", "b.png"]
    before = [json.dumps(source.identity()) for source in found]
    (tmp_path / "s" / "nowhere.mp4").write_text("here again")
    (tmp_path / "s" / "pictures" / "nowhere.png").write_text("here again")
    after = [json.dumps(source.identity()) for source in found]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, False]
    assert names(tmp_path, "s/loop.mp4") == ["loop"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may list everything")
def test_a_folder_that_cannot_be_listed_is_a_source(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4", "s/locked/b.mp4")
    (tmp_path / "s" / "locked").chmod(0)
    found = find_sources([tmp_path / "s"], out=tmp_path / "out")
    assert [source.name for source in found] == ["a", "locked"]
    assert found[1].identity()["files"] == 0
    (tmp_path / "s" / "locked").chmod(0o700)


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "s/inner/a.mp4")
    (tmp_path / "s" / "inner" / "loop").symlink_to(tmp_path / "s")
    assert names(tmp_path, "s") == ["inner/a"]


def test_results_inside_a_source_are_not_read_again(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4", "s/out/a/overlay.mp4")
    found = find_sources([tmp_path / "s"], out=tmp_path / "s" / "out")
    assert [source.path for source in found] == [tmp_path / "s" / "a.mp4"]
    with pytest.raises(
        UsageError, match=r"no video and no picture in .*s, results and their folder .*s left out"
    ):
        find_sources([tmp_path / "s"], out=tmp_path / "s")


@pytest.mark.parametrize("pattern", ["**", "**/*.mp4", "*/*/*", "out/*/*"])
def test_no_pattern_reaches_results(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "s/a.mp4", "s/b/c.mp4")
    finish(tmp_path, "a", "b/c")
    out = (tmp_path / "out").rename(tmp_path / "s" / "out")
    touch(
        out,
        *("a/overlay.mp4", "b/c/overlay/1.png", "d.begun/overlay.mp4", "d.begun/.lock"),
        *("confusion_matrix.png", "b/own.mp4"),
    )
    (out / "summary.csv").write_text('"source","status","reason","frames"\n')
    found = find_sources([tmp_path / "s" / pattern, tmp_path / "s"], out=out)
    assert {source.path for source in found} == {
        tmp_path / "s" / "a.mp4",
        tmp_path / "s" / "b" / "c.mp4",
        out / "b" / "own.mp4",  # which annotate did not write
    }


@pytest.mark.parametrize(
    ("named", "footage"),
    [
        ("s", {"s/a.mp4", "s/web/b.mp4", "s/before/own/c.mp4", "s/d.begun/e.mp4"}),
        ("s/**", {"s/a.mp4", "s/web/b.mp4", "s/before/own/c.mp4", "s/d.begun/e.mp4"}),
        ("s/**/*.*", {"s/a.mp4", "s/web/b.mp4", "s/before/own/c.mp4", "s/d.begun/e.mp4"}),
        ("s/*/*/*", {"s/before/own/c.mp4"}),
        ("s/before", {"s/before/own/c.mp4"}),
    ],
)
def test_results_of_another_call_are_no_footage(tmp_path: Path, named: str, footage: set[str]) -> None:
    touch(tmp_path, "s/a.mp4", "s/web/b.mp4", "s/d.begun/e.mp4")
    finish(tmp_path, "a")
    before = (tmp_path / "out").rename(tmp_path / "s" / "before")
    touch(before, "a/overlay.mp4", "a/overlay/1.png", "f.begun/overlay.mp4", "f.begun/.lock")
    touch(before, "confusion_matrix.png", "own/c.mp4")
    (before / "summary.csv").write_text("source,status,reason,frames\n")
    (tmp_path / "s" / "web" / "manifest.json").write_text('{"name": "app"}')  # of another program
    found = find_sources([tmp_path / named], out=tmp_path / "out")
    assert {source.path.relative_to(tmp_path).as_posix() for source in found} == footage


@pytest.mark.parametrize("named", ["before/a/overlay.mp4", "before/a", "before/a/*.mp4", "before/a/o*"])
@pytest.mark.parametrize("relative", [False, True])
def test_results_that_are_named_are_footage(
    tmp_path: Path, named: str, relative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "s/a.mp4")
    finish(tmp_path, "a")
    ((tmp_path / "out").rename(tmp_path / "before") / "a" / "overlay.mp4").touch()
    monkeypatch.chdir(tmp_path / "before")
    place = named.removeprefix("before/") if relative else tmp_path / named
    assert [source.name for source in find_sources([place], out=tmp_path / "out")] == ["overlay"]


def test_a_picture_that_is_called_as_a_confusion_matrix_is_footage_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path, "s/confusion_matrix.png", "t/a.png", "t/confusion_matrix.png")
    (tmp_path / "t" / "summary.csv").write_text("source,status,reason,frames\n")
    (s,) = find_sources([tmp_path / "s"], out=tmp_path / "out")
    assert [path.name for path in s.pictures] == ["confusion_matrix.png"]
    (t,) = find_sources([tmp_path / "t"], out=tmp_path / "out")
    assert [path.name for path in t.pictures] == ["a.png"]


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4", "s/._a.mp4", "s/.cache/b.mp4", "s/p/a.png", "s/p/._a.png")
    found = find_sources([tmp_path / "s"], out=tmp_path / "out")
    assert [source.name for source in found] == ["a", "p"]
    assert [path.name for path in found[1].pictures] == ["a.png"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match="gone does not exist"):
        names(tmp_path, "gone")
    with pytest.raises(SourceOpenError, match="xxx cannot be read: File name too long"):
        names(tmp_path, "x" * 300)
    touch(tmp_path, "notes.txt", "empty/readme")
    with pytest.raises(UsageError, match="there are no sources"):
        find_sources([], out=tmp_path / "out")
    with pytest.raises(UsageError, match="no video and no picture"):
        names(tmp_path, "empty")


# Files whose suffix does not tell


def looked_at(root: Path, *named: str) -> tuple[list[tuple[str, str]], Skipped]:
    """The sources under some names, with their kinds, and what is skipped."""
    skipped = Skipped()
    found = find_sources([root / name for name in named], out=root / "out", skipped=skipped)
    return [(source.name, source.kind) for source in found], skipped


def a_video(path: Path, suffix: str = ".mkv") -> bytes:
    """What a small recording holds."""
    return encode(path.with_name(f"made{suffix}"), moving_face(3, 64, 48)).read_bytes()


def sound() -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(range(256)) * 64)
    return data.getvalue()


SCRIPT = "ffconcat version 1.0\nfile secret.mkv\n"
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.ts\n#EXT-X-ENDLIST\n"
DESCRIPTION = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"


def test_what_is_in_a_folder_is_read_or_counted(tmp_path: Path) -> None:
    folder, video = tmp_path / "s", a_video(tmp_path / "x")
    folder.mkdir()
    files = {
        "camera.dav": video,
        "export.264": a_video(tmp_path / "x", ".h264"),
        "monday.mod": video,
        "2024-01-02": video,
        "backup.0007": a_video(tmp_path / "x", ".h264"),
        "a.txt": b"text",
        "b.txt": b"text",
        "c.json": b"{}",
        "README": b"text",
        "tone.dat": sound(),
        "noise.bin": np.random.default_rng(0).bytes(20_000),
        "empty.dat": b"",
        "list.xyz": SCRIPT.encode(),
        "._camera.dav": b"of another system",
        "Thumbs.db": b"\0",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    found, skipped = looked_at(tmp_path, "s", "s", "s/*", "s/b.*")
    assert sorted(found) == sorted(
        (name, "video") for name in ("2024-01-02", "backup", "camera", "export", "monday")
    )
    assert skipped.suffixes == {".dat": 2, ".txt": 2, "": 1, ".bin": 1, ".json": 1, ".xyz": 1}
    assert skipped.lines == [
        "skipped 8 files that are neither video nor picture "
        "(.dat 2, .txt 2, no suffix 1, .bin 1, .json 1, .xyz 1)"
    ]
    assert not skipped.unread


def test_pictures_that_are_not_read_are_named_with_the_reason(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.png", "s/5.heic", *(f"s/{number}.HEIC" for number in range(5)), "s/z.nef")
    (tmp_path / "s" / "photo.old").write_bytes(cv2.imencode(".jpg", landscape(32, 32))[1].tobytes())
    (tmp_path / "s" / "gone.cam").symlink_to("nowhere")
    found, skipped = looked_at(tmp_path, "s")
    assert found == [("s", "images")]
    assert skipped.suffixes == {}
    s = tmp_path / "s"
    assert skipped.lines == [
        f"not read: {s}/gone.cam: it cannot be read: No such file or directory",
        f"not read: {s}/photo.old: it holds a picture, and has not the suffix of one: rename it, or name it",
        f"not read: {s}/z.nef: raw photographs are not read: develop them into JPEG, PNG or TIFF",
        f"not read: {s}/0.HEIC, {s}/1.HEIC, {s}/2.HEIC and 3 more: HEIC pictures are not read: save them as "
        "JPEG or PNG",
    ]
    assert [entry["file"] for entry in skipped.facts["not_read"]][-1] == f"{s}/5.heic"


def test_files_of_results_are_not_counted(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4")
    finish(tmp_path, "a")
    before = (tmp_path / "out").rename(tmp_path / "s" / "before")
    touch(before, "a/faces.csv", "confusion_matrix.csv", "confusion_matrix.png", "own.csv")
    (before / "summary.csv").write_text("source,status,reason,frames\n")
    _, skipped = looked_at(tmp_path, "s", "s/before/*")
    assert skipped.suffixes == {".csv": 1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_nothing_but_regular_files_is_opened(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4")
    for name in ("pipe.txt", "pipe.cam", "pipe"):
        os.mkfifo(tmp_path / "s" / name)  # whoever opens it waits for ever
    assert looked_at(tmp_path, "s")[1].suffixes == {"": 1, ".cam": 1, ".txt": 1}
    with pytest.raises(NothingFoundError, match="it is no regular file"):
        looked_at(tmp_path, "s/pipe")


def test_a_folder_of_text_alone(tmp_path: Path) -> None:
    touch(tmp_path, *(f"s/{number}.txt" for number in range(1200)), "s/a.json")
    with pytest.raises(
        NothingFoundError,
        match=r"no video and no picture in .*s, results .* left out; skipped 1,201 files that are neither "
        r"video nor picture \(\.txt 1,200, \.json 1\)",
    ):
        looked_at(tmp_path, "s")


def test_a_file_that_is_named_is_what_is_in_it(tmp_path: Path) -> None:
    video, picture = a_video(tmp_path / "x"), cv2.imencode(".jpg", landscape(32, 32))[1].tobytes()
    for name, content in {"clip.jpg": video, "clip.xyz": video, "a.txt": video, "photo": picture}.items():
        (tmp_path / name).write_bytes(content)
    found, _ = looked_at(tmp_path, "clip.jpg", "clip.xyz", "a.txt", "photo")
    assert [kind for _, kind in found] == ["video", "video", "video", "image"]
    assert all(frames(tmp_path / name) for name in ("clip.jpg", "clip.xyz", "a.txt", "photo"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"Dear diary", "it holds text"),
        (SCRIPT.encode(), "it holds text"),
        (DESCRIPTION.encode(), "it holds text"),
        (b"PK\3\4" + bytes(100), "nothing in it is known to FFmpeg or OpenCV"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC pictures are not read: save them as JPEG or PNG"),
    ],
)
def test_a_named_file_that_is_neither_says_what_was_found(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "a.log").write_bytes(content)
    with pytest.raises(
        NothingFoundError,
        match=rf"^not read: .*a\.log: it is neither a video nor a picture: {message}",
    ):
        looked_at(tmp_path, "a.log")


def test_a_named_file_that_is_neither_stops_no_other(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "notes.txt")
    found, skipped = looked_at(tmp_path, "a.mp4", "notes.txt")
    assert found == [("a", "video")]
    assert list(skipped.unread) == [str(tmp_path / "notes.txt")]


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.dat", "a.txt", "a.m3u8", "a.ffconcat"])
@pytest.mark.parametrize("text", [SCRIPT, PLAYLIST, DESCRIPTION])
def test_no_text_has_another_file_read(tmp_path: Path, name: str, text: str) -> None:
    for secret in ("secret.mkv", "secret.ts"):
        encode(tmp_path / secret, moving_face(3, 64, 48))
    (tmp_path / name).write_text(text)
    with pytest.raises((NothingFoundError, SourceOpenError)):
        frames(tmp_path / name)
    (tmp_path / name).write_bytes(text.encode() + bytes(100))
    with pytest.raises((NothingFoundError, SourceOpenError)):
        frames(tmp_path / name)


def frames(path: Path) -> list[Frame]:
    (source,) = find_sources([path], out=path.parent / "out")
    return list(read_frames(source, SamplingSettings(), DecodeReport()))


def test_pictures_that_move_are_videos(tmp_path: Path) -> None:
    images = [Image.fromarray(image) for image in moving_face(3, 64, 48)]
    (tmp_path / "s").mkdir()
    for suffix in ("webp", "png", "avif"):
        images[0].save(tmp_path / "s" / f"still.{suffix}")
        images[0].save(
            tmp_path / "s" / f"moving {suffix}.{suffix}",
            save_all=True,
            append_images=images[1:],
            duration=100,
        )
    found, skipped = looked_at(tmp_path, "s")
    assert found == [
        ("s", "images"),
        *((f"moving {suffix}", "video") for suffix in ("avif", "png", "webp")),
    ]
    assert not skipped.lines
    (folder, *_) = find_sources([tmp_path / "s"], out=tmp_path / "out")
    assert [path.name for path in folder.pictures] == ["still.avif", "still.png", "still.webp"]


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_in_names_sort_by_value(numbers: list[int]) -> None:
    ordered = sorted((f"img{number}.png" for number in numbers), key=natural_key)
    assert ordered == [f"img{number}.png" for number in sorted(numbers)]


@given(st.lists(st.text()))
def test_any_names_can_be_sorted(texts: list[str]) -> None:
    backwards = texts[::-1]
    assert sorted(texts, key=natural_key) == sorted(backwards, key=natural_key)
