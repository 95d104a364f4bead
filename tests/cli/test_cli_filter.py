"""`fer-batch filter` as people run it: its summary, its exit codes, and being stopped."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import processes
import pytest
from datasets_made import write_stripes


def run(*arguments: object, cwd: Path | None = None):
    return processes.run("filter", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("made"), train=280, held_out=56)


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


def test_the_summary_tells_what_was_found_and_where_it_is(data: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = run(data, "--no-labels", "--out", tmp_path / "clean", "--drop", "exact_duplicate", "--show",
               f"exact_duplicate={sheet}")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    assert lines["exact_duplicate"] == ["2", "0.51%", "dropped"]
    assert lines["label_issue"] == ["-", "-"]
    assert "dropped 2, kept 390" in done.stdout
    for path in (data / "quality.parquet", data / "audit.html", tmp_path / "clean", sheet):
        assert str(path) in done.stdout
        assert path.exists()
    again = run(data, "--no-labels", "--out", tmp_path / "clean", "--drop", "exact_duplicate")
    assert "was there already" in again.stdout


def test_json_is_one_object(data: Path) -> None:
    values = json.loads(run(data, "--no-labels", "--dry-run", "--json").stdout)
    assert values["dataset"] == str(data)
    assert values["pictures"] == 392
    assert values["issues"]["exact_duplicate"] == 2
    assert values["issues"]["outlier"] is None
    assert values["audit"] is None


def test_quiet_says_nothing(data: Path) -> None:
    done = run(data, "--no-labels", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "nowhere is not a folder"),
        (["empty"], 1, "empty is no data set"),
        (["data", "--drop", "ugly"], 2, "there is no check 'ugly'; there are unreadable, blank"),
        (["data", "--threshold", "dark"], 2, "--threshold dark lacks a value"),
        (["data", "--threshold", "dark=much"], 2, "--threshold dark=much: give a number"),
        (["data", "--threshold", "dark=7"], 2, "thresholds.dark is 7.0"),
        (["data", "--threshold", "dark=0.5", "--threshold", "dark=0.6"], 2, "dark=0.6: dark has 0.5 already"),
        (["data", "--show", "dark=sheet.txt"], 2, "sheet.txt must end in"),
        (["data", "--show", "dark=a.png", "--show", "dark=b.png"], 2, "dark=b.png: dark has a.png already"),
        (["data", "--show", "dark=clean/a.png", "--out", "clean"], 2, "lies in OUT clean"),
        (["data", "--drop", "label_issue"], 2, "label_issue cannot be dropped"),
        (["data", "--keep", "nowhere.txt"], 1, "nowhere.txt cannot be read"),
        (["data", "--out", "data/clean"], 2, "data/clean"),
        (["data", "--out", "empty/file.txt"], 2, "is no clean set of filter and is left alone"),
        (["data", "--config", "empty/file.txt"], 2, "is not TOML"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    arguments: list[str], code: int, message: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    Path("empty").mkdir()
    Path("empty/file.txt").write_text("no settings", encoding="utf-8")
    done = run(*arguments, "--no-labels")
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (data / "quality.parquet").exists()


def test_settings_from_a_file_with_options_on_top(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "filter.toml"
    config.write_text('labels = false\ndrop = ["dark"]\n[thresholds]\ndark = 0.0\n', encoding="utf-8")
    values = json.loads(run(data, "--config", config, "--json").stdout)
    assert (values["drop"], values["dropped"]) == (["unreadable", "dark"], 392)
    values = json.loads(run(data, "--config", config, "--threshold", "dark=1", "--json").stdout)
    assert values["dropped"] == 0


def test_where_nothing_would_remain_nothing_is_written(data: Path, tmp_path: Path) -> None:
    done = run(data, "--no-labels", "--drop", "dark", "--threshold", "dark=0", "--out", tmp_path / "clean")
    assert done.returncode == 2
    assert "every picture" in done.stderr
    assert not (tmp_path / "clean").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_while_measuring_it_ends_as_if_undisturbed(data: Path, made: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(made, tmp_path / "other"))
    assert run(other, "--no-labels").returncode == 0
    scratch = data / "quality.parquet.begun" / "pixels.npy"

    def reached() -> bool:
        # Pictures are put into the scratch file as they are measured: the file begins with zeros.
        return (
            scratch.is_file()
            and scratch.stat().st_size > 10_000
            and bool(np.fromfile(scratch, np.uint8, 200_000)[1000:].any())
        )

    code, _ = processes.stop_when(reached, "filter", data, "--no-labels", by=signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (data / "quality.parquet").exists()
    assert run(data, "--no-labels").returncode == 0
    assert (data / "quality.parquet").read_bytes() == (other / "quality.parquet").read_bytes()
    assert not scratch.parent.exists()
    assert {path.name for path in data.iterdir()} == {path.name for path in other.iterdir()}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to another process")
def test_interrupted_by_the_user(data: Path) -> None:
    begun = data / "quality.parquet.begun"
    code, stderr = processes.stop_when(begun.is_dir, "filter", data, "--no-labels", by=signal.SIGINT)
    assert code == 130
    assert "interrupted" in stderr
    assert run(data, "--no-labels").returncode == 0
