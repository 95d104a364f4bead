"""The nightly job as a timer starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from videos import encode, landscape

from fer_batch.storage import read_json

SCRIPT = Path(__file__).resolve().parents[2] / "pipelines" / "nightly_footage.py"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "footage").mkdir()
    encode(tmp_path / "footage" / "till.mp4", [landscape()] * 10)
    (tmp_path / "job.toml").write_text(
        'input = "footage"\noutput = "results"\nretry = true\n[annotate.sampling]\nevery = 5\n'
    )
    return tmp_path


def start(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], cwd=place, capture_output=True, text=True, check=False
    )


def test_a_night_and_the_next(place: Path) -> None:
    first = start(place, "job.toml")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "1 sources, 1 done now; 2 frames in all" in first.stdout
    assert read_json(place / "results" / "till" / "manifest.json")["status"] == "ok"
    encode(place / "footage" / "door.mp4", [landscape()] * 5)
    (place / "footage" / "copying.mp4").write_bytes(b"")
    second = start(place, "job.toml")
    assert second.returncode == 3
    assert "3 sources, 2 done now" in second.stdout
    assert "WARNING failed copying" in second.stdout


def test_a_night_without_footage_is_no_failure(place: Path) -> None:
    (place / "footage" / "till.mp4").unlink()
    quiet = start(place, "job.toml")
    assert quiet.returncode == 0
    assert "nothing to do: no video and no picture in footage" in quiet.stdout
    (place / "footage").rmdir()
    assert start(place, "job.toml").returncode == 1


def test_a_second_start_is_kept_out(place: Path) -> None:
    (place / "results").mkdir()
    with FileLock(place / "results" / ".nightly.lock"):
        busy = start(place, "job.toml")
    assert busy.returncode == 75
    assert "another run is still at work" in busy.stdout
    assert start(place, "job.toml").returncode == 0


def test_a_source_that_another_process_is_at_work_on_waits_for_the_next_night(place: Path) -> None:
    encode(place / "footage" / "door.mp4", [landscape()] * 5)
    (place / "results" / "till.begun").mkdir(parents=True)
    with FileLock(place / "results" / "till.begun" / ".lock"):
        first = start(place, "job.toml")
    assert first.returncode == 3
    assert "WARNING failed till: cannot write" in first.stdout
    assert read_json(place / "results" / "door" / "manifest.json")["status"] == "ok"
    assert start(place, "job.toml").returncode == 0
    assert read_json(place / "results" / "till" / "manifest.json")["status"] == "ok"


def test_a_lock_that_cannot_be_opened_is_one_line_of_the_log(place: Path) -> None:
    (place / "results" / ".nightly.lock").mkdir(parents=True)
    refused = start(place, "job.toml")
    assert refused.returncode == 1
    assert "ERROR cannot write" in refused.stdout
    assert ".nightly.lock" in refused.stdout
    assert refused.stderr == ""


def test_a_place_that_cannot_be_written_to(place: Path) -> None:
    (place / "results").write_text("a file")
    refused = start(place, "job.toml")
    assert refused.returncode == 1
    assert "ERROR cannot write results" in refused.stdout


def test_settings_that_cannot_be(place: Path) -> None:
    (place / "job.toml").write_text('input = "footage"\noutput = "results"\nworker = 2\n')
    wrong = start(place, "job.toml")
    assert wrong.returncode == 2
    assert "there is no setting 'worker'" in wrong.stdout
    assert start(place).returncode == 2
    assert start(place, "gone.toml").returncode == 2


def test_the_example_settings_are_settings(place: Path) -> None:
    example = SCRIPT.with_suffix(".toml").read_text()
    (place / "job.toml").write_text(
        example.replace("data/footage", "footage").replace("data/results", "results")
    )
    assert start(place, "job.toml").returncode == 0
