"""`fer-batch train` as its help describes it; what it does is tested in tests/training."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import typer.main
from datasets_made import write_stripes
from processes import run

from fer_batch.cli.app import app
from fer_batch.model.onnx_file import load_card
from fer_batch.storage import read_json


def test_help_names_every_recipe() -> None:
    train = getattr(typer.main.get_command(app), "commands")["train"]  # noqa: B009 - Click's, untyped
    (config,) = [option for option in train.params if option.name == "config"]
    recipes = Path(str(files("fer_batch.training.recipes"))).glob("*.toml")
    assert f"known recipe ({', '.join(sorted(path.stem for path in recipes))})" in config.help


def test_without_votes_the_summary_says_what_the_model_lacks(tmp_path: Path) -> None:
    dataset = write_stripes(tmp_path / "plain", train=28, held_out=7, ferplus=False)
    (settings := tmp_path / "small.toml").write_text("width = 0.25\nepochs = 1\n")
    arguments = ("train", dataset, tmp_path / "run", "--config", settings, "--device", "cpu")
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("This model has only the fer2013 head.") == 1
    assert done.stdout.rstrip().endswith("as in --config crowd_from_default")
    values = json.loads(run(*arguments, "--resume", "--json").stdout)
    assert values["note"] in done.stdout
    assert read_json(tmp_path / "run" / "manifest.json")["note"] == values["note"]


def test_a_recipe_gives_a_data_set_without_votes_a_crowd_head(tmp_path: Path) -> None:
    dataset = write_stripes(tmp_path / "plain", train=16, held_out=7, ferplus=False)
    out = tmp_path / "run"
    done = run("train", dataset, out, "--config", "crowd_from_default", "--epochs", 1, "--batch-size", 8)
    assert done.returncode == 0, done.stderr
    assert "crowd: agreement with the teacher " in done.stdout
    assert "crowd: accuracy" not in done.stdout
    assert "only the fer2013 head" not in done.stdout
    card = load_card(out / "model.onnx")
    assert list(card.training["teacher"]) == ["default"]
    assert card.chosen_head("auto", "") == "crowd"
    shown = run("model", "show", out).stdout
    assert "crowd, temperature " in shown
    assert "learned from a teacher's answers alone" in shown
    assert "val: agreement with the teacher " in shown
