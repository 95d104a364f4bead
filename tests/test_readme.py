"""The README's commands and its Python example, run as they are printed, on small files of those names."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from datasets_made import write_stripes
from processes import run
from videos import encode, moving_face

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ fer-batch (.*?)(?: +#.*)?$", README, flags=re.MULTILINE)
ADAPTED = {
    "train": ("--epochs", "1"),  # the commands are what is tested here, not the learning
    "filter": ("--threshold", "not_a_face=1"),  # the pictures at hand are stripes
}
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the inputs that the README names."""
    folder = tmp_path_factory.mktemp("desk")
    write_stripes(folder / "made", train=42, held_out=14)
    shutil.copy(folder / "made" / "fer2013.csv", folder / "fer2013.csv")
    shutil.copy(folder / "made" / "votes.csv", folder / "fer2013new.csv")
    (folder / "footage").mkdir()
    encode(folder / "footage" / "clip.mp4", moving_face(10))
    return folder


def test_every_command_works_in_the_order_of_the_text(desk: Path) -> None:
    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        done = run(*shlex.split(command), *ADAPTED.get(command.partition(" ")[0], ()), cwd=desk)
        assert done.returncode == 0, f"fer-batch {command}\n{done.stderr}"
    for made in (
        "results/clip/overlay.mp4",
        "data/clean/dropped.csv",
        "data/fer2013/audit.html",
        "occluded.png",
        "runs/cnn7/model.onnx",
        "out/evaluation/metrics.json",
        "my.onnx",
        "small.onnx",
    ):
        assert (desk / made).is_file(), made


@pytest.mark.parametrize("example", PYTHON, ids=lambda text: text.splitlines()[0])
def test_every_python_example_works(desk: Path, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own text
