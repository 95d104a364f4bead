"""What is found under what was named, and what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.annotation.sources import find_sources, natural_key
from fer_batch.errors import SourceOpenError, UsageError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(root: Path, *named: str) -> list[str]:
    return [source.name for source in find_sources([root / name for name in named], leave_out=root / "out")]


def test_names_are_relative_to_what_was_named(tmp_path: Path) -> None:
    touch(tmp_path, "shop/monday/till.mp4", "shop/door.mkv", "shop/notes.txt", "clip.MOV")
    assert names(tmp_path, "shop") == ["door", "monday/till"]
    assert names(tmp_path, "shop/door.mkv", "clip.MOV") == ["door", "clip"]


def test_a_folder_of_pictures_is_one_source(tmp_path: Path) -> None:
    touch(tmp_path, "set/happy/b.png", "set/happy/a.jpg", "set/sad/c.png", "set/readme.md")
    found = find_sources([tmp_path / "set"], leave_out=tmp_path / "out")
    assert [(source.name, source.kind) for source in found] == [("happy", "images"), ("sad", "images")]
    assert [source.folder_emotion.label for source in found if source.folder_emotion] == ["happy", "sad"]
    assert [path.name for path in found[0].pictures] == ["a.jpg", "b.png"]


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


def test_the_same_file_named_twice_is_done_once(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4")
    assert names(tmp_path, "s", "s/a.mp4") == ["a"]


def test_patterns(tmp_path: Path) -> None:
    touch(tmp_path, "a1.mp4", "a2.mp4", "b.mp4")
    assert names(tmp_path, "a*.mp4") == ["a1", "a2"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    touch(tmp_path, "till [1].mp4")
    assert names(tmp_path, "till [1].mp4") == ["till [1]"]


def test_odd_names(tmp_path: Path) -> None:
    odd = ["ünïcødé 影片.mp4", "with, comma.mp4", "new\nline.mp4", "x" * 200 + ".mp4"]
    touch(tmp_path, *(f"s/{name}" for name in odd))
    assert set(names(tmp_path, "s")) == {name.removesuffix(".mp4") for name in odd}


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "s/inner/a.mp4")
    (tmp_path / "s" / "inner" / "loop").symlink_to(tmp_path / "s")
    assert names(tmp_path, "s") == ["inner/a"]


def test_results_inside_a_source_are_not_read_again(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4", "s/out/a/overlay.mp4")
    found = find_sources([tmp_path / "s"], leave_out=tmp_path / "s" / "out")
    assert [source.name for source in found] == ["a"]


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "s/a.mp4", "s/._a.mp4", "s/.cache/b.mp4")
    assert names(tmp_path, "s") == ["a"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match="gone does not exist"):
        names(tmp_path, "gone")
    touch(tmp_path, "notes.txt", "empty/readme")
    with pytest.raises(UsageError, match="neither a video nor a picture"):
        names(tmp_path, "notes.txt")
    with pytest.raises(UsageError, match="no video and no picture"):
        names(tmp_path, "empty")


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_in_names_sort_by_value(numbers: list[int]) -> None:
    ordered = sorted((f"img{number}.png" for number in numbers), key=natural_key)
    assert ordered == [f"img{number}.png" for number in sorted(numbers)]


@given(st.lists(st.text()))
def test_any_names_can_be_sorted(texts: list[str]) -> None:
    backwards = texts[::-1]
    assert sorted(texts, key=natural_key) == sorted(backwards, key=natural_key)
