"""What the benchmarks take apart is still put together as they think; nothing is timed here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from videos import encode, moving_face

from fer_batch.annotation.sources import Source
from fer_batch.settings import AnnotateSettings

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def test_every_stage_of_annotate_can_be_run_alone(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("annotate_benchmark", BENCHMARKS / "annotate.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    source = Source("a", encode(tmp_path / "a.mp4", moving_face(20)), "video")
    seconds = benchmark.stages_alone(source, AnnotateSettings())
    assert set(seconds) == {"decode", "mark", "detect", "track", "crop", "classify", "write"}
