"""Settings files of known runs, for `train --config NAME`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from fer_batch.errors import UsageError
from fer_batch.settings import load_toml


def load_recipe(name_or_path: str) -> dict[str, Any]:
    """The tables of a settings file: a path, or the name of one that comes with fer-batch.

    Raises:
        UsageError: there is neither.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return load_toml(path)
    folder = Path(str(files(__name__)))
    known = sorted(recipe.stem for recipe in folder.glob("*.toml"))
    if name_or_path not in known:
        raise UsageError(f"--config {name_or_path}: give a .toml file or one of {', '.join(known)}")
    return load_toml(folder / f"{name_or_path}.toml")
