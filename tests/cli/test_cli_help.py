"""Help is instant, whole, and the README shows all there is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import cv2
import pytest
import typer.main
from processes import run
from videos import portrait

import fer_batch
from fer_batch.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"av", "cv2", "matplotlib", "onnx", "onnxruntime", "pandas", "pyarrow", "scipy", "sklearn", "torch"}


def loaded_after(program: str) -> set[str]:
    """Top-level names of the heavy modules that a fresh process has loaded."""
    tail = "\nimport sys; print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program + tail], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()) & HEAVY


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import fer_batch") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["annotate", "--help"], ["model", "show", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = (
        f"import sys; sys.argv = ['fer-batch', *{arguments!r}]\n"
        "from fer_batch.cli import main\n"
        "try: main()\nexcept SystemExit as done: assert not done.code"
    )
    assert loaded_after(program) == set()


def commands() -> dict[str, Any]:
    """Every command by its words, e.g. `model show`."""
    found: dict[str, Any] = {}

    def collect(command: object, words: tuple[str, ...]) -> None:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            found[" ".join(words)] = command
        else:
            for name, below in subcommands.items():
                collect(below, (*words, name))

    collect(typer.main.get_command(app), ())
    return found


@pytest.mark.parametrize("name", commands())
def test_every_command_and_option_is_explained(name: str) -> None:
    command = commands()[name]
    assert command.help
    for parameter in command.params:
        explanation = getattr(parameter, "help", None)
        assert explanation, f"{name} {parameter.name} has no help"


@pytest.mark.parametrize("name", commands())
def test_the_readme_shows_every_command_and_option(name: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"fer-batch {name}" in readme
    for parameter in commands()[name].params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert f"`{option}" in readme or f" {option}" in readme, f"{name} {option}"


def test_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert run("--version").stdout.strip() == fer_batch.__version__ == project["version"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["annotate", "clip.mp4", "--out", ""],
        ["annotate", "clip.mp4", "--out", "out", "--config", ""],
        ["prepare", "", "data"],
        ["train", "data", ""],
        ["evaluate", "default", "data", ""],
        ["filter", ""],
        ["model", "export", "default", ""],
        ["model", "show", ""],
        ["annotate", "{portrait}", "--out", "out", "--model", ""],
        ["annotate", "{portrait}", "--out", "out", "--detector", ""],
    ],
)
def test_no_path_is_not_the_current_folder(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    picture = tmp_path / "there" / "portrait.png"
    cv2.imwrite(str(picture), portrait())
    done = run(*(argument.format(portrait=picture) for argument in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert "the path is empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_summary_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fer_batch", "model", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "fer-batch: cannot write the summary to standard output: No space left on device\n"


def test_no_command_and_an_unknown_one() -> None:
    assert run().returncode == 2
    assert run("annotat").returncode == 2


def test_the_api_is_one_function_a_command() -> None:
    for name in ("prepare", "filter_dataset", "train", "evaluate", "annotate"):
        assert callable(getattr(fer_batch, name))
        assert name in dir(fer_batch)
    with pytest.raises(AttributeError, match="no attribute 'report'"):
        fer_batch.report  # noqa: B018 - that is the test
