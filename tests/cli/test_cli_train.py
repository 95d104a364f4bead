"""`fer-batch train` as its help describes it; what it does is tested in tests/training."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import typer.main

from fer_batch.cli.app import app


def test_help_names_every_recipe() -> None:
    train = getattr(typer.main.get_command(app), "commands")["train"]  # noqa: B009 - Click's, untyped
    (config,) = [option for option in train.params if option.name == "config"]
    recipes = Path(str(files("fer_batch.training.recipes"))).glob("*.toml")
    assert f"known recipe ({', '.join(sorted(path.stem for path in recipes))})" in config.help
