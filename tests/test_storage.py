"""Files and folders are whole or not there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch import storage
from fer_batch.errors import InputError, OccupiedError, OutputError


def test_atomic_file_replaces_only_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    storage.write_text(path, "first\n")
    with pytest.raises(RuntimeError), storage.atomic_file(path) as partial:  # noqa: PT012 - the block is the test
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "first\n"
    assert [child.name for child in path.parent.iterdir()] == ["a.txt"]


def visible(folder: Path) -> list[str]:
    return [child.name for child in folder.iterdir() if not child.name.startswith(".")]


def test_atomic_folder_leaves_what_was_there_until_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with storage.atomic_folder(folder) as partial:
        (partial / "one").write_text("1")
    with pytest.raises(RuntimeError), storage.atomic_folder(folder) as partial:  # noqa: PT012 - as above
        (partial / "two").write_text("2")
        raise RuntimeError
    assert [child.name for child in folder.iterdir()] == ["one"]
    assert [child.name for child in tmp_path.iterdir()] == ["data"]
    with storage.atomic_folder(folder) as partial:
        assert visible(partial) == []
        (partial / "three").write_text("3")
    assert [child.name for child in folder.iterdir()] == ["three"]
    assert [child.name for child in tmp_path.iterdir()] == ["data"]


def test_a_killed_writer_leaves_no_folder_that_looks_whole(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from fer_batch.storage import atomic_folder\n"
        "with atomic_folder(Path(sys.argv[1])) as partial:\n"
        "    (partial / 'half').write_text('x'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "data")], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "data").exists()
    with storage.atomic_folder(tmp_path / "data") as partial:
        assert visible(partial) == []


@pytest.mark.parametrize("folder", ["atomic_folder(path)", "resumable_folder(path, 1)"])
@pytest.mark.parametrize("changes", range(7))
def test_killed_while_a_folder_takes_its_place(tmp_path: Path, folder: str, changes: int) -> None:
    path = tmp_path / "data"
    with storage.atomic_folder(path) as partial:
        (partial / "old").write_text("1")
    program = (
        "import os, sys; from pathlib import Path; from fer_batch.storage import *\n"
        "path, left = Path(sys.argv[1]), int(sys.argv[2])\n"
        "def die(event, _):\n"
        "    global left\n"
        "    if event in {'os.rename', 'os.remove', 'os.rmdir'}:\n"
        "        left -= 1\n"
        "        left < 0 and os.kill(os.getpid(), 9)\n"
        f"with {folder} as made:\n"
        "    (made / 'new').write_text('2'); sys.addaudithook(die)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path), str(changes)], check=False)
    assert done.returncode in {-9, 0}
    again = {
        "path": path,
        "resumable_folder": storage.resumable_folder,
        "atomic_folder": storage.atomic_folder,
    }
    with pytest.raises(RuntimeError), eval(folder, again):  # noqa: S307 - one of the two above
        raise RuntimeError
    assert visible(path) in (["old"], ["new"])
    with eval(folder, again) as made:  # noqa: S307 - the same
        (made / "new").write_text("3")
    assert [child.name for child in path.iterdir()] == ["new"]
    assert [child.name for child in tmp_path.iterdir()] == ["data"]


def test_a_folder_that_must_not_go_stays_and_so_does_what_was_to_take_its_place(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with storage.atomic_folder(path) as partial:
        (partial / "old").write_text("1")
    asked = []

    def refuse(there: Path) -> None:
        asked.append((visible(there), path.exists()))
        raise InputError

    with pytest.raises(InputError), storage.resumable_folder(path, 1, refuse) as begun:
        (begun / "new").write_text("2")
    assert asked == [(["old"], False)]  # nobody lays anything into a folder that is not there
    assert visible(path) == ["old"]
    assert sorted(child.name for child in tmp_path.iterdir()) == ["data", "data.begun"]
    with storage.resumable_folder(path, 1) as begun:
        assert visible(begun) == ["new"]
    assert visible(path) == ["new"]


@pytest.mark.parametrize("folder", [storage.atomic_folder, lambda path: storage.resumable_folder(path, 1)])
@pytest.mark.parametrize("suffix", ["partial", "begun"])
def test_what_others_keep_under_a_working_name_is_not_touched(
    tmp_path: Path, folder: Callable[[Path], AbstractContextManager[Path]], suffix: str
) -> None:
    theirs = tmp_path / f"data.{suffix}" / "thesis.txt"
    theirs.parent.mkdir()
    theirs.write_text("years of work")
    with suppress(OutputError), folder(tmp_path / "data") as made:
        (made / "new").write_text("x")
    assert theirs.read_text() == "years of work"


@pytest.mark.parametrize("folder", [storage.atomic_folder, lambda path: storage.resumable_folder(path, 1)])
def test_two_processes_do_not_write_one_folder(
    tmp_path: Path, folder: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    with folder(tmp_path / "data") as made:
        (made / "one").write_text("1")
        with pytest.raises(OccupiedError, match="another process is at work"), folder(tmp_path / "data"):
            pass
    assert [child.name for child in (tmp_path / "data").iterdir()] == ["one"]
    assert [child.name for child in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("folder", ["atomic_folder(path)", "resumable_folder(path, 1)"])
def test_no_other_process_gets_a_folder_that_is_about_to_take_its_place(tmp_path: Path, folder: str) -> None:
    program = (
        "import subprocess, sys; from pathlib import Path; from fer_batch.storage import *\n"
        "path, other = Path(sys.argv[1]), sys.argv[2:]\n"
        "def run_the_other(event, _):\n"
        "    if event == 'os.rename' and other:\n"
        "        program = other.pop()\n"
        "        done = subprocess.run([sys.executable, '-c', program, str(path)], stderr=subprocess.PIPE)\n"
        "        print(done.stderr.decode().splitlines()[-1])\n"
        f"with {folder} as made:\n"
        "    (made / 'new').write_text('2'); sys.addaudithook(run_the_other)"
    )
    other = (
        "import sys; from pathlib import Path; from fer_batch.storage import *\n"
        "path = Path(sys.argv[1])\n"
        f"with {folder} as made:\n"
        "    (made / 'of the other').write_text('3')"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "data"), other]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert "another process is at work on it" in done.stdout
    assert [child.name for child in (tmp_path / "data").iterdir()] == ["new"]
    assert [child.name for child in tmp_path.iterdir()] == ["data"]


def test_a_folder_behind_a_link_is_written_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with storage.atomic_folder(tmp_path / "link") as partial:
        (partial / "one").write_text("1")
    assert (tmp_path / "link").is_symlink()
    assert [child.name for child in (tmp_path / "real").iterdir()] == ["one"]


def test_a_folder_that_nothing_can_replace_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="the folder you are in"), storage.atomic_folder(Path()):
        pytest.fail("it was not refused")
    with pytest.raises(OutputError, match="mount point"), storage.atomic_folder(Path(tmp_path.anchor)):
        pytest.fail("it was not refused")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_is_an_output_error_that_names_the_path(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"a\.txt"):
        storage.write_text(tmp_path / "a.txt", "x")


def test_a_file_in_the_way_is_an_output_error_that_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        storage.write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(OutputError, match="file"), storage.atomic_folder(tmp_path / "file" / "folder"):
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(value=json_values)
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "value.json"
    storage.write_json(path, value)
    assert storage.read_json(path) == value


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(tmp_path / "a.json", {"x": float("nan")})


def test_unreadable_json_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.json does not exist"):
        storage.read_json(tmp_path / "gone.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"bad\.json cannot be read as JSON"):
        storage.read_json(tmp_path / "bad.json")


def test_schema_carries_every_meaning() -> None:
    schema = storage.schema(storage.DATASET_COLUMNS)
    assert schema.names == [column.name for column in storage.DATASET_COLUMNS]
    assert all(field.metadata[b"meaning"] for field in schema)


@given(st.text(st.characters(codec=None), min_size=1))
def test_readable_names_are_valid_text_on_one_line(name: str) -> None:
    text = storage.readable(name)
    assert text.encode().decode() == text
    assert "\n" not in text
    assert storage.readable(text) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [(b"caf\xe9/\xff.png", "caf%E9/%FF.png"), ("café/100%.png".encode(), "café/100%.png")],
)
def test_only_what_is_no_text_is_changed(name: bytes, text: str) -> None:
    assert storage.readable(name.decode(errors="surrogateescape")) == text
