"""`fer-batch annotate` as people run it: processes, exit codes, being killed and interrupted."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from processes import run, stop_when
from videos import encode, in_pq, landscape, moving_face

from fer_batch.storage import read_json

RARELY = ("--detect-every", 60)
"""More rarely than tracks outlive: which frames are searched follows from those that were."""
RESULTS = ("faces.csv", "faces.parquet", "frames.csv", "frames.parquet")


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    encode(folder / "a.mp4", moving_face(40))
    back_and_forth = moving_face(60, 160, 96) + moving_face(60, 160, 96)[::-1]
    encode(folder / "b.mp4", back_and_forth * 22)  # several parts
    return folder


@pytest.fixture(scope="module")
def undisturbed(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    done = run("annotate", footage, "--out", out, *RARELY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 sources: 2 done now, 0 done before" in done.stdout
    return out


def contents(out: Path) -> dict[str, object]:
    tables = {f"{name}/{file}": (out / name / file).read_bytes() for name in "ab" for file in RESULTS}
    manifests = {name: read_json(out / name / "manifest.json") | {"timings": None} for name in "ab"}
    return tables | manifests | {"summary": (out / "summary.csv").read_bytes()}


def test_what_to_know_of_sound_results_is_said(tmp_path: Path) -> None:
    video = encode(tmp_path / "cam.mp4", [in_pq(landscape(64, 48))] * 3, colours=(9, 16, 9))
    done = run("annotate", video, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n  note cam: HDR (PQ) converted to SDR, white at 203 cd/m2\n" in done.stdout
    told = run("annotate", video, "--out", tmp_path / "out", "--json")
    assert json.loads(told.stdout)["sources"][0]["notes"] == "HDR (PQ) converted to SDR, white at 203 cd/m2"


def test_whatever_lies_in_a_folder_is_read_or_told_of(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    encode(tmp_path / "a.mkv", moving_face(4)).rename(folder / "take.cam")
    encode(folder / "export.h264", moving_face(4), fps=30)
    first, *others = map(Image.fromarray, moving_face(3))
    for name in ("scan.tif", "moving.webp"):
        first.save(folder / name, save_all=True, append_images=others)
    for name in ("notes.txt", "old.txt", "data.json", "photo.heic"):
        (folder / name).touch()
    done = run("annotate", folder, "--out", tmp_path / "out", "--blur")
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 sources: 4 done now" in done.stdout
    assert "note export: a raw stream without times: they are those of 30 frames a second" in done.stdout
    assert "\nskipped 3 files that are neither video nor picture (.txt 2, .json 1)\n" in done.stdout
    assert f"\nnot read: {folder}/photo.heic: HEIC pictures are not read" in done.stdout
    frames = {name: pq.read_table(tmp_path / "out" / name / "frames.parquet") for name in ("in", "moving")}
    assert frames["in"].select(["file", "frame", "faces"]).to_pylist() == [
        {"file": "scan.tif", "frame": page, "faces": 1} for page in range(3)
    ]
    assert frames["moving"]["time_s"].to_pylist() == [0, 0.1, 0.2]
    drawn = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*overlay*/*.png"))
    assert [path.name for path in drawn] == ["00000-scan.png", "00001-scan.png", "00002-scan.png"]
    assert all((tmp_path / "out" / name / "overlay.mp4").is_file() for name in ("take", "export", "moving"))
    again = json.loads(run("annotate", folder, "--out", tmp_path / "out", "--blur", "--json").stdout)
    assert set(again["due"].values()) == {"finished"}
    assert again["skipped"]["neither_video_nor_picture"] == {".txt": 2, ".json": 1}
    assert [one["file"] for one in again["skipped"]["not_read"]] == [f"{folder}/photo.heic"]


def test_a_wrong_file_is_named_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Dear diary")
    done = run("annotate", tmp_path / "notes.txt", "--out", tmp_path / "out")
    assert done.returncode == 2
    wanted = f"not read: {tmp_path}/notes.txt: it is neither a video nor a picture: it holds text"
    assert wanted in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "moment",
    [
        "a.begun/parts/000000.frames.parquet",
        "b.begun/parts/000000.faces.parquet",
        "b.begun/parts/000000.json",
        "b.begun/parts/000001.json",
        "b.begun/faces.csv",
    ],
)
def test_killed_and_started_again_it_ends_as_if_undisturbed(
    footage: Path, undisturbed: Path, tmp_path: Path, moment: str
) -> None:
    arguments = ("annotate", footage, "--out", tmp_path / "out", *RARELY)
    code, _ = stop_when((tmp_path / "out" / moment).exists, *arguments)
    assert code == -signal.SIGKILL
    assert not (tmp_path / "out" / "b" / "manifest.json").exists()
    again = run(*arguments)
    assert again.returncode == 0
    assert contents(tmp_path / "out") == contents(undisturbed)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in {".partial", ".begun"}]


def test_ctrl_c_ends_with_130_one_line_and_what_was_finished(footage: Path, tmp_path: Path) -> None:
    arguments = ("annotate", footage, "--out", tmp_path)
    code, stderr = stop_when(
        (tmp_path / "b.begun" / "parts" / "000000.json").exists, *arguments, by=signal.SIGINT
    )
    assert code == 130
    assert (
        stderr == "fer-batch: interrupted; the same command goes on (train: with --resume), or begins again\n"
    )
    assert (tmp_path / "a" / "manifest.json").is_file()
    assert not (tmp_path / "b").exists()
    assert pq.read_metadata(tmp_path / "b.begun" / "parts" / "000000.frames.parquet").num_rows == 1024


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals to another process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_shows_faces_does_not_outlive_a_run_that_is_ended(
    tmp_path: Path, name: str, workers: int
) -> None:
    by = signal.Signals[name]
    for video in ("a", "b"):
        encode(tmp_path / f"{video}.mp4", [landscape(640, 360)] * 300)
    out = tmp_path / "out"
    mine = signal.getsignal(by)
    if mine is signal.SIG_IGN:  # under nohup, which the program would inherit
        signal.signal(by, signal.SIG_DFL)
    try:
        code, stderr = stop_when(
            lambda: any(path.stat().st_size for path in out.glob("*.begun/overlay.silent.mp4")),
            *("annotate", tmp_path, "--out", out, "--overlay", "--workers", workers, *RARELY),
            by=by,
        )
    finally:
        signal.signal(by, mine)
    assert code == (130 if by is signal.SIGINT else -by)
    assert stderr.startswith("fer-batch: interrupted; ")
    assert not [path for path in out.rglob("*") if "overlay" in path.name]
    assert any(out.glob("*.begun/parts/*.parquet"))  # what a run needs to go on with


def test_second_run_json_and_dry_run(footage: Path, undisturbed: Path) -> None:
    again = json.loads(run("annotate", footage, "--out", undisturbed, *RARELY, "--json").stdout)
    assert again["due"] == {"a": "finished", "b": "finished"}
    dry = run("annotate", footage, "--out", undisturbed, *RARELY, "--every", 2, "--dry-run")
    assert dry.stdout == "would do  a: changed\nwould do  b: changed\n"


def test_partial_and_failed_sources_exit_with_3_and_are_listed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    encode(tmp_path / "in" / "good.mp4", [landscape()] * 5)
    (tmp_path / "in" / "bad.mp4").write_bytes(b"")
    done = run("annotate", tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert done.stdout.startswith(
        "2 sources: 2 done now, 0 done before; 1 failed; read with the crowd head\n"
    )
    assert "\n  good: 5 frames" in done.stdout
    assert done.stdout.count(" bad: ") == 1
    assert "FAILED bad: " in done.stdout
    assert str(tmp_path / "in" / "bad.mp4") in done.stdout
    assert run("annotate", tmp_path / "in", "--out", tmp_path / "out").returncode == 3
    assert "1 done now" in run("annotate", tmp_path / "in", "--out", tmp_path / "out", "--retry").stdout


def test_masks_of_the_settings_file_and_of_the_command_line_both_count(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", [landscape()] * 2)
    (tmp_path / "site.toml").write_text("[privacy]\nmasks = [[0, 0, 5, 6]]\n")
    config = ("--config", tmp_path / "site.toml", "--mask", "7,8,9,10", "--mask", "1,2,3,4")
    assert run("annotate", tmp_path / "a.mp4", "--out", tmp_path / "out", *config).returncode == 0
    made_from = read_json(tmp_path / "out" / "a" / "manifest.json")["made_from"]
    assert made_from["settings"]["privacy"]["masks"] == [[0, 0, 5, 6], [7, 8, 9, 10], [1, 2, 3, 4]]
    (tmp_path / "site.toml").write_text('[privacy]\nmasks = "0,0,5,6"\n')
    refused = run("annotate", tmp_path / "a.mp4", "--out", tmp_path / "out", *config)
    assert refused.returncode == 2
    assert "privacy.masks" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone.mp4", "--out", "o"], 1, "gone.mp4 does not exist"),
        (["{here}", "--out", "o"], 2, "no video and no picture"),
        (["{here}", "--out", "o", "--model", "gone"], 2, "no video"),
        (["{here}"], 2, "--out"),
        (
            ["{here}", "--out", "o", "--every", "0"],
            2,
            "sampling.every is 0, must be greater than or equal to 1",
        ),
        (["{here}", "--out", "o", "--config", "gone.toml"], 2, "settings file gone.toml does not exist"),
        (["{here}", "--out", "o", "--detect-size", "big"], 2, "give `auto` or a number of pixels"),
        (["{here}", "--out", "o", "--detect-size", "9" * 5000], 2, "give `auto` or a number of pixels"),
        (["{here}", "--out", "o", "--detect-size", "8"], 2, "detection.size"),
        (
            ["{here}", "--out", "o", "--prior", "even"],
            2,
            "--prior is 'even': give training, natural, balanced",
        ),
        (["{here}", "--out", "o", "--prior", ""], 2, "--prior"),
        (["{here}", "--out", "o", "--mask", "1,2,3"], 2, "give X,Y,WIDTH,HEIGHT"),
        (["{here}", "--out", "o", "--mask", "1,2,3,4,5"], 2, "give X,Y,WIDTH,HEIGHT"),
        (["{here}", "--out", "o", "--mask", f"0,0,5,{'9' * 5000}"], 2, "give X,Y,WIDTH,HEIGHT"),
        (["{here}", "--out", "o", "--mask", "0,0,0,5"], 2, "privacy.masks"),
        (["{here}", "--out", "o", "--backend", "onnx", "--device", "cuda"], 2, "no video"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = run("annotate", *(argument.format(here=tmp_path) for argument in arguments), cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()


def test_quiet_says_nothing(footage: Path, undisturbed: Path) -> None:
    done = run("annotate", footage, "--out", undisturbed, *RARELY, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


SHARES = "angry = 1\ndisgust = 0\nfear = 0\nhappy = 40\nsad = 1\nsurprise = 3\nneutral = 50\n"


def test_a_prior_is_what_its_file_says_not_where_it_lies(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", moving_face(3))
    arguments = ("annotate", tmp_path / "a.mp4", "--out", tmp_path / "out")

    def due(*prior: object) -> str:
        return run(*arguments, "--dry-run", *prior).stdout

    (tmp_path / "shares.toml").write_text(SHARES)
    done = run(*arguments, "--prior", tmp_path / "shares.toml")
    assert done.returncode == 0, done.stderr
    made_from = read_json(tmp_path / "out" / "a" / "manifest.json")["made_from"]
    assert made_from["settings"]["prior"] == {
        "angry": 1,
        "disgust": 0,
        "fear": 0,
        "happy": 40,
        "sad": 1,
        "surprise": 3,
        "neutral": 50,
    }
    (tmp_path / "moved.toml").write_text("# the same\n" + SHARES)
    assert "changed" not in due("--prior", tmp_path / "moved.toml")
    (tmp_path / "site.toml").write_text("[prior]\n" + SHARES)
    assert "changed" not in due("--config", tmp_path / "site.toml")
    assert due("--config", tmp_path / "site.toml", "--prior", "balanced") == "would do  a: changed\n"
    assert due() == "would do  a: changed\n"
    (tmp_path / "shares.toml").write_text(SHARES.replace("50", "60"))
    assert due("--prior", tmp_path / "shares.toml") == "would do  a: changed\n"


@pytest.mark.parametrize("command", ["annotate", "evaluate"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SHARES.replace("sad = 1\n", ""), "shares.toml: sad is missing"),
        (SHARES + "contempt = 1\n", "shares.toml: there is no setting 'contempt'"),
        (SHARES.replace("40", "-1"), "shares.toml: happy is -1"),
        (SHARES.replace("40", '"many"'), "shares.toml: happy is 'many'"),
        ("angry = ", "shares.toml"),
        ("".join(f"{line.split(' ')[0]} = 0\n" for line in SHARES.splitlines()), "are all 0"),
    ],
)
def test_a_file_of_no_shares_is_one_clear_line(tmp_path: Path, command: str, text: str, message: str) -> None:
    (tmp_path / "shares.toml").write_text(text)
    rest = [".", "--out", "o"] if command == "annotate" else ["default", ".", "o"]
    done = run(command, *rest, "--prior", "shares.toml", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()
