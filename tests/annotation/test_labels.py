"""Known expressions are found again under every name that a frame goes by."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from videos import portrait

from fer_batch.annotation import annotate
from fer_batch.annotation.labels import read_labels
from fer_batch.emotions import Emotion
from fer_batch.errors import DatasetFormatError, InputError


def write(folder: Path, *lines: str) -> Path:
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder / "labels.csv"


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    labels = read_labels(
        write(tmp_path, "file,emotion", "clip1/001.png,angry", "clip2/001.png,sad", "001.png,fear")
    )
    assert labels.of(("clip1", "clip1"), None, "001.png") == Emotion.ANGRY
    assert labels.of(("other", "clip2"), None, "001.png") == Emotion.SAD
    assert labels.of(("other",), None, "001.png") == Emotion.FEAR
    assert labels.of(("clip1",), None, "002.png") is None
    assert labels.of(("clip1",), 0.0, None) is None


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
    assert read_labels(twice).files == {"001.png": Emotion.SAD}
    with pytest.raises(
        DatasetFormatError, match=r"line 3: 001\.png was sad in a line before; name it folder/"
    ):
        read_labels(write(tmp_path, "file,emotion", "001.png,sad", "001.png,happy"))


def test_spans_begin_with_their_first_second_and_end_before_their_last(tmp_path: Path) -> None:
    labels = read_labels(
        write(tmp_path, "source,start_s,end_s,emotion", "a,0,1,angry", "a.mp4,1,2,sad", "b,0,9,fear")
    )
    known = [labels.of(("a", "a.mp4"), time_s, None) for time_s in (0, 0.99, 1, 2)]
    assert known == [Emotion.ANGRY, Emotion.ANGRY, Emotion.SAD, None]


def test_what_is_no_file_of_labels(tmp_path: Path) -> None:
    with pytest.raises(DatasetFormatError, match="expected the columns"):
        read_labels(write(tmp_path, "name,emotion", "a,sad"))
    with pytest.raises(DatasetFormatError, match=r"line 2: 'sadd' is not one of"):
        read_labels(write(tmp_path, "file,emotion", "a.png,sadd"))
    for span in ("2,1", "1,1", "nan,1", "0,inf"):
        with pytest.raises(DatasetFormatError, match=r"line 2: start_s is .* the first must be less"):
            read_labels(write(tmp_path, "source,start_s,end_s,emotion", f"a,{span},sad"))
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path)
