"""The whole real data set as CSV, made once."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_csv(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the real rows, all 32,298 of them, as `fer2013.csv` and `icml_face_data.csv`."""
    script = shared_data / "make_fer2013_csv.py"
    spec = importlib.util.spec_from_file_location("make_fer2013_csv", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("real") / "csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [str(script), str(folder)])
        module.main()
    yield folder
    shutil.rmtree(folder)  # half a gigabyte: pytest would keep it for three more runs
