"""What the benchmarks take apart is still put together as they think; nothing is timed here."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets_made import write_stripes
from skimage.data import astronaut
from videos import FACE, encode, landscape, moving_face, portrait

from fer_batch.annotation.sources import Source
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.flaws import WEIGHTS
from fer_batch.settings import AnnotateSettings, DetectionSettings, ThresholdSettings

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def benchmark_module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """One of the programs, as it finds its neighbours when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look for theirs there
    spec.loader.exec_module(module)
    return module


def test_every_stage_of_annotate_can_be_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = benchmark_module("annotate", monkeypatch)
    source = Source("a", encode(tmp_path / "a.mp4", moving_face(20)), "video")
    seconds = benchmark.stages_alone(source, AnnotateSettings())
    assert set(seconds) == {"decode", "mark", "detect", "closely", "track", "crop", "classify", "write"}


def test_natural_photographs_are_measured_by_every_head_and_prior(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = benchmark_module("natural", monkeypatch)
    pictures = [cv2.imencode(".jpg", image)[1].tobytes() for image in (portrait(), landscape())]
    rows = [
        {"id": str(row), "person": row // 2, "emotion": emotion, "jpeg": pictures[row == 9]}
        for row, emotion in enumerate((0, 3, 3, 4, 5, 6, 6, 6, 3, 3))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "natural.parquet")
    dataset = write_stripes(tmp_path, train=7, held_out=7)
    arguments = ["natural.py", str(tmp_path / "natural.parquet"), str(dataset), "--powers"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(benchmark, "DRAWS", 50)
    benchmark.main()
    said = capsys.readouterr().out
    assert said.startswith("9 photographs of 5 people, and 1 in which no face is found\n")
    for head in ("fer2013", "crowd"):
        for prior in ("training", "natural", "balanced"):
            assert said.count(f"| `{head}` | `{prior}` |") == 1
    assert "`crowd` under `natural`: agreement" in said
    assert "| 0.40 |" in said


def test_the_figures_of_natural_photographs_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = benchmark_module("natural", monkeypatch)
    labels = np.array([3, 3, 3, 6])
    answers = np.eye(7, dtype=np.float32)[[3, 3, 6, 6]]
    read = benchmark.figures(labels, answers, np.array([0.1, 0.1, 0.1, 0.7]))
    assert (read.agreement, read.off_by, read.ece) == pytest.approx((0.9, 0.1, 0.1))
    assert read.recall[[3, 6]].tolist() == pytest.approx([2 / 3, 1])
    assert np.isnan(read.recall[0])


def test_the_cuts_of_a_made_video_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = benchmark_module("scenes", monkeypatch)
    material = benchmark.takes([encode(tmp_path / "a.mp4", moving_face(20))])
    made = benchmark.a_mix(material, 0.1, np.random.default_rng(0))
    assert len(made.images) == len(made.happening) >= 0.1 * 60 * benchmark.FPS
    begins = benchmark.found_in(made)["fer-batch"]
    score = benchmark.Score()
    score.add(made, begins)
    assert score.all.total() == len(made.changes) > 0
    assert score.found["cut"] == score.all["cut"]
    perfect = benchmark.Score()
    perfect.add(made, [last for _, _, last in made.changes])
    assert (perfect.precision, perfect.recall, perfect.f1) == (1, 1, 1)
    perfect.add(made, [*(last for _, _, last in made.changes), 0])
    assert perfect.false.total() == 1


def test_a_picture_with_faces_of_a_size_has_them_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = benchmark_module("detect_size", monkeypatch)
    source = (cv2.resize(astronaut(), (512, 512)), np.array([FACE], np.float32))
    detector = YuNet(resolve_detector("yunet"), DetectionSettings(min_face=48))
    for heights in ((60, 90), (200, 300)):
        rng = np.random.default_rng(0)
        frame = benchmark.picture_of([source], 640, heights, rng)
        assert frame[0].shape[1] == pytest.approx(640, abs=4)
        assert set(frame[1].shape[1:]) == {2, 4}
        due, found, _ = benchmark.counted(frame, detector, heights)
        assert found == due > 0


def test_hidden_faces_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from making.fit_flaws import FlawNetwork, export

    benchmark = benchmark_module("hidden", monkeypatch)
    network = FlawNetwork().eval()
    with torch.no_grad():  # the mouth hidden in every picture, the eyes in none
        network.flaws.weight.zero_()
        network.flaws.bias.copy_(torch.tensor([-5.0, 5.0, -5.0, -5.0]))
    export(network, tmp_path / "flaws.onnx")
    jpeg = cv2.imencode(".jpg", portrait())[1].tobytes()
    rows = [
        {"hidden": hides, "what": what, "jpeg": jpeg}
        for hides, what in ((True, "sunglasses"), (True, "hand"), (False, ""), (False, ""))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "faces.parquet")
    looker = benchmark.Looker(tmp_path / "flaws.onnx")
    benchmark.real(looker, tmp_path / "faces.parquet", 0.5)
    benchmark.natural(looker, tmp_path / "faces.parquet", 0.5)
    said = capsys.readouterr().out
    assert "4 faces, 2 hidden: AUROC 0.500" in said
    assert "recall 1.00, precision 0.50, open faces called hidden 100.0%" in said
    assert "4 natural photographs, called hidden at 0.5: 100.0%" in said


def test_hidden_faces_of_films_are_found_and_open_ones_left_alone(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = benchmark_module("hidden", monkeypatch)
    benchmark.real(
        benchmark.Looker(WEIGHTS), shared_data / "hidden_dev.parquet", ThresholdSettings().occluded
    )
    figures = [float(figure) for figure in re.findall(r"\d+\.\d+", capsys.readouterr().out)]
    found, _, _, _, recall, precision, open_called = figures
    assert found >= 0.88
    assert recall >= 0.5
    assert precision >= 0.8
    assert open_called <= 2
