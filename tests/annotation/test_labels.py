"""Known expressions are found again under every name that a frame goes by."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from videos import portrait

from fer_batch.annotation import annotate
from fer_batch.annotation.labels import Labels, read_labels
from fer_batch.annotation.sources import find_sources
from fer_batch.emotions import Emotion
from fer_batch.errors import DatasetFormatError, InputError


def write(folder: Path, *lines: str) -> Path:
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder / "labels.csv"


def of_footage(folder: Path, files: list[str], *lines: str) -> Labels:
    """What some lines say of a folder of footage."""
    for name in files:
        path = folder / "footage" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return read_labels(write(folder, *lines), find_sources([folder / "footage"], out=folder / "out"))


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    footage = ["clip1/001.png", "deep/clip2/001.png", "deep/clip2/002.png", "clip1/003.png"]
    labels = of_footage(
        tmp_path, footage, "file,emotion", "clip1/001.png,angry", "clip2/001.png,sad", "002.png,fear"
    )
    assert labels.of("clip1", None, "001.png") == Emotion.ANGRY
    assert labels.of("deep/clip2", None, "001.png") == Emotion.SAD
    assert labels.of("deep/clip2", None, "002.png") == Emotion.FEAR
    assert labels.of("clip1", None, "003.png") is None
    assert labels.of("clip1", 0.0, None) is None


def test_names_that_fit_nothing_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    of_footage(tmp_path, ["a.mp4"], "source,start_s,end_s,emotion", "a,0,1,sad", "a.mp4,1,2,fear")
    assert not caplog.messages
    lines = ("a,0,1,sad", "b,0,1,sad", "b,1,2,sad", "c.mp4,0,1,sad")
    labels = of_footage(tmp_path, ["a.mp4"], "source,start_s,end_s,emotion", *lines)
    assert labels.of("a", 0.5, None) == Emotion.SAD
    (message,) = caplog.messages
    assert message.endswith("labels.csv: 2 names fit no source of this run, the first b in line 3")


def test_the_full_name_of_one_is_no_short_name_of_another(tmp_path: Path) -> None:
    footage = ["clip.mp4", "sub/clip.mp4", "day1/a.jpg", "sub/day1/a.jpg"]
    spans = of_footage(tmp_path, footage, "source,start_s,end_s,emotion", "clip.mp4,0,9,sad")
    assert [spans.of(source, 1.0, None) for source in ("clip", "sub/clip")] == [Emotion.SAD, None]
    files = of_footage(tmp_path, footage, "file,emotion", "day1/a.jpg,sad")
    assert [files.of(source, None, "a.jpg") for source in ("day1", "sub/day1")] == [Emotion.SAD, None]
    both = of_footage(tmp_path, footage, "file,emotion", "day1/a.jpg,sad", "sub/day1/a.jpg,fear")
    assert [both.of(source, None, "a.jpg") for source in ("day1", "sub/day1")] == [Emotion.SAD, Emotion.FEAR]


def test_what_several_sources_are_called_means_none_of_them(tmp_path: Path) -> None:
    footage = ["till/cam.mp4", "door/cam.mp4", "door/one.mp4", "1/day/a.jpg", "2/day/a.jpg"]
    for line, such in (
        ("cam.mp4,0,9,sad", "cam.mp4, such as door/cam and till/cam"),
        ("a.jpg,sad", "a.jpg, such as 1/day/a.jpg and 2/day/a.jpg"),
        ("day/a.jpg,sad", "day/a.jpg, such as 1/day/a.jpg and 2/day/a.jpg"),
    ):
        columns = "source,start_s,end_s,emotion" if line.count(",") > 1 else "file,emotion"
        with pytest.raises(DatasetFormatError, match=f"line 2: several sources have {such}: name it like"):
            of_footage(tmp_path, footage, columns, line)
    labels = of_footage(tmp_path, footage, "source,start_s,end_s,emotion", "one.mp4,0,9,sad")
    assert labels.of("door/one", 1.0, None) == Emotion.SAD


def test_a_folder_goes_by_its_link_and_by_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "footage" / "deep").mkdir(parents=True)
    (tmp_path / "away").mkdir()
    (tmp_path / "footage" / "deep" / "link").symlink_to(tmp_path / "away")
    for name in ("deep/link/a.png", "link/a.png", "away/a.png"):
        labels = of_footage(tmp_path, ["deep/link/a.png"], "file,emotion", f"{name},sad")
        assert labels.of("deep/link", None, "a.png") == Emotion.SAD


def test_pictures_named_one_by_one_go_by_their_folders_too(tmp_path: Path) -> None:
    for clip in ("clip1", "clip2"):
        (tmp_path / clip).mkdir()
        cv2.imwrite(str(tmp_path / clip / "001.png"), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
    labels = write(tmp_path, "file,emotion", "clip1/001.png,angry", "clip2/001.png,sad")
    result = annotate([tmp_path / "*" / "*.png"], tmp_path / "out", labels=labels)
    assert result.agreement is not None
    assert result.agreement.sum(1).tolist() == [1, 0, 0, 0, 1, 0, 0]


def test_one_picture_has_one_expression(tmp_path: Path) -> None:
    twice = write(tmp_path, "file,emotion", "001.png,sad", "001.png,sad")
    assert read_labels(twice, []).files == {"001.png": Emotion.SAD}
    with pytest.raises(
        DatasetFormatError, match=r"line 3: 001\.png was sad in a line before; name it folder/"
    ):
        read_labels(write(tmp_path, "file,emotion", "001.png,sad", "001.png,happy"), [])
    with pytest.raises(DatasetFormatError, match=r"line 3: 001\.png was sad in a line before"):
        of_footage(tmp_path, ["a/001.png"], "file,emotion", "a/001.png,sad", "001.png,happy")


def test_spans_begin_with_their_first_second_and_end_before_their_last(tmp_path: Path) -> None:
    spans = ["b,0,9,fear", "a.mp4,1,2,sad", "a,0,1,angry"]
    labels = of_footage(tmp_path, ["a.mp4", "b.mp4"], "source,start_s,end_s,emotion", *spans)
    known = [labels.of("a", time_s, None) for time_s in (0, 0.99, 1 - 1e-15, 1, 2 - 1e-15, 2)]
    assert known == [Emotion.ANGRY, Emotion.ANGRY, Emotion.SAD, Emotion.SAD, None, None]


@pytest.mark.parametrize(
    "lines", [("clip,0,10,happy", "clip.mp4,5,8,sad"), ("clip,5,8,sad", "clip,0,10,happy")]
)
def test_a_time_has_one_expression(tmp_path: Path, lines: tuple[str, str]) -> None:
    columns = "source,start_s,end_s,emotion"
    with pytest.raises(DatasetFormatError, match=r"line 4: .* overlaps .* of line 3"):
        of_footage(tmp_path, ["clip.mp4"], columns, "clip,20,30,sad", *lines)
    with pytest.raises(DatasetFormatError, match=r"line 5: sad from 50 to 60 s overlaps happy of line 2"):
        of_footage(tmp_path, [], columns, "x,0,99,happy", "x,10,20,happy", "y,0,99,sad", "x,50,60,sad")


def test_spans_of_one_expression_may_overlap(tmp_path: Path) -> None:
    spans = ["a,0,99,happy", "a,10,20,happy", "a,98,100.00000000000001,happy", "a,100,101,sad"]
    labels = of_footage(tmp_path, ["a.mp4"], "source,start_s,end_s,emotion", *spans)
    known = [labels.of("a", time_s, None) for time_s in (0, 15, 50, 99.5, 100, 101)]
    assert known == [*[Emotion.HAPPY] * 4, Emotion.SAD, None]


def test_rows_say_all_and_may_have_spaces(tmp_path: Path) -> None:
    labels = of_footage(tmp_path, ["a.mp4"], "source,start_s,end_s,emotion", "a , 0 , 1 , sad ")
    assert labels.of("a", 0.5, None) == Emotion.SAD
    for columns, row, empty in (
        ("emotion,file", "happy", "file"),
        ("file,emotion", "a.png, ", "emotion"),
        ("start_s,end_s,emotion,source", "0,1,happy", "source"),
        ("source,start_s,end_s,emotion", "a,0,,happy", "end_s"),
    ):
        with pytest.raises(DatasetFormatError, match=f"line 3: {empty} is empty"):
            read_labels(write(tmp_path, columns, "", row), [])


def test_what_is_no_file_of_labels(tmp_path: Path) -> None:
    with pytest.raises(DatasetFormatError, match="expected the columns"):
        read_labels(write(tmp_path, "name,emotion", "a,sad"), [])
    with pytest.raises(DatasetFormatError, match=r"line 2: 'sadd' is not one of"):
        read_labels(write(tmp_path, "file,emotion", "a.png,sadd"), [])
    for span in ("2,1", "1,1"):
        with pytest.raises(DatasetFormatError, match=r"line 2: start_s is .* the first must be less"):
            read_labels(write(tmp_path, "source,start_s,end_s,emotion", f"a,{span},sad"), [])
    for column, span in (
        ("start_s", "nan,1"),
        ("end_s", "0,inf"),
        ("start_s", "-1e999,1"),
        ("end_s", "0,1s"),
    ):
        with pytest.raises(
            DatasetFormatError, match=f"line 2: {column} is '.*': it takes a number of seconds"
        ):
            read_labels(write(tmp_path, "source,start_s,end_s,emotion", f"a,{span},sad"), [])
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path, [])
