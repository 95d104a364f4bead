"""`fer-batch prepare` as people run it: a process, its exit codes, its summary, and being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import fer2013_csv as made
import numpy as np
import processes
import pytest


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return processes.run("prepare", *arguments)


@pytest.fixture
def fer2013(tmp_path: Path) -> Path:
    return made.write_lines(tmp_path / "fer2013.csv", made.fer2013_lines(made.make_rows(42)))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough rows that a process is still at work when it is killed."""
    lines = made.fer2013_lines(made.make_rows(100))
    return made.write_lines(tmp_path_factory.mktemp("large") / "fer2013.csv", [lines[0], *lines[1:] * 40])


def test_verbose_tells_the_steps_and_nothing_of_libraries(fer2013: Path, tmp_path: Path) -> None:
    done = run(fer2013, tmp_path / "out", "--verbose")
    assert (done.returncode, done.stderr) == (0, "INFO fer_batch: reading MB\n")


def test_summary_shows_the_class_table_beside_the_published_one(fer2013: Path, tmp_path: Path) -> None:
    done = run(fer2013, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    table = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    assert table["train"] == ["published", "val", "published", "test", "published"]
    assert table["happy"] == ["2", "7,215", "2", "895", "2", "879"]
    assert table["total"] == ["14", "28,709", "14", "3,589", "14", "3,589"]
    assert "differs from the published data set in val: 14 pictures, published 3,589" in done.stdout
    again = run(fer2013, tmp_path / "out")
    assert again.returncode == 0
    assert again.stdout.startswith("nothing to do: ")


def test_json_summary_is_one_object(fer2013: Path, tmp_path: Path) -> None:
    done = run(fer2013, tmp_path / "out", "--json", "--splits", "two")
    values = json.loads(done.stdout)
    assert values["path"] == str(tmp_path / "out")
    assert values["counts"]["test"]["happy"] == 4
    assert (values["rejected"], values["already_done"]) == (0, False)


def test_quiet_says_nothing(fer2013: Path, tmp_path: Path) -> None:
    done = run(fer2013, tmp_path / "out", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_rejected_rows_are_an_error_only_when_strict(fer2013: Path, tmp_path: Path) -> None:
    with fer2013.open("a", encoding="utf-8") as stream:
        stream.write("3,1 2 3,Training\n")
    done = run(fer2013, tmp_path / "out")
    assert done.returncode == 0
    assert "1 rejected: see " in done.stdout
    for folder in ("out", "strict"):  # done before, and not
        assert run(fer2013, tmp_path / folder, "--strict").returncode == 3
    assert (tmp_path / "strict" / "dataset.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.csv", "out"], 1, "nowhere.csv does not exist"),
        (
            ["fer2013.csv", "taken"],
            2,
            "(dataset.json is missing or damaged) and is left alone",
        ),
        (["fer2013.csv", "out", "--ferplus", "fer2013.csv"], 1, "is not a FER+ file"),
        (["fer2013.csv", "out", "--ferplus", "nowhere.csv"], 1, "cannot read nowhere.csv: No such file"),
        (["fer2013.csv", "out", "--splits", "four"], 2, "Invalid value for '--splits'"),
        (["fer2013.csv", "fer2013.csv/out"], 1, "fer2013.csv/out: Not a directory"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    arguments: list[str], code: int, message: str, fer2013: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fer2013.parent)
    Path("taken").mkdir()
    Path("taken/mine.txt").write_text("mine", encoding="utf-8")
    done = run(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("out").exists()


def start_and_stop(source: Path, out: Path, pictures: int, stop: signal.Signals) -> int:
    """Start the program, send it a signal once it has written so many pictures, and wait for its end."""
    partial = out.with_name(f"{out.name}.partial")

    def reached() -> bool:
        return sum(len(files) for _, _, files in os.walk(partial)) >= pictures

    code, _ = processes.stop_when(reached, "prepare", source, out, by=stop)
    return code


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_at_random_moments_it_ends_as_if_undisturbed(large: Path, tmp_path: Path) -> None:
    assert run(large, tmp_path / "undisturbed").returncode == 0
    out = tmp_path / "out"
    for pictures in np.random.default_rng(0).integers(1, 3000, 4):
        code = start_and_stop(large, out, int(pictures), signal.SIGKILL)
        assert code == -signal.SIGKILL
        assert not out.exists()
    assert run(large, out).returncode == 0
    assert made.tree(out) == made.tree(tmp_path / "undisturbed")
    assert {path.name for path in tmp_path.iterdir()} == {"undisturbed", "out"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to another process")
def test_interrupted_by_the_user(large: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert start_and_stop(large, out, 500, signal.SIGINT) == 130
    assert list(tmp_path.iterdir()) == []
    assert run(large, out).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak memory of one program")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    script = (
        "import fer_batch, pathlib, re, sys; fer_batch.prepare(*sys.argv[1:]); "
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', pathlib.Path('/proc/self/status').read_text())[1])"
    )
    lines = made.fer2013_lines(made.make_rows(100))
    peaks = []
    for times in (5, 100):  # 4 and 83 MB of text
        source = made.write_lines(tmp_path / f"{times}.csv", [lines[0], *lines[1:] * times])
        command = [sys.executable, "-c", script, str(source), str(tmp_path / str(times))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) * 1024)
    assert peaks[1] - peaks[0] < 40e6
