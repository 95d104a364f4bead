"""`fer-batch model`: list, show, export."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from datasets_made import write_stripes
from processes import run

from fer_batch.model.onnx_file import default_model, load_card, save_with_card
from fer_batch.storage import file_sha256


def test_list_names_the_default_and_the_architectures() -> None:
    values = json.loads(run("model", "list", "--json").stdout)
    assert values == {"default": "se_resnet", "architectures": ["se_resnet", "cnn7"]}


def test_show_prints_the_layer_table_of_an_architecture() -> None:
    done = run("model", "show", "cnn7")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["Layer", "Output", "shape", "Parameters"]
    convolutions = [line.split()[-1] for line in lines if "Conv2d" in line]
    assert convolutions[:5] == ["320", "9,248", "18,496", "36,928", "73,856"]
    assert "(None, 32, 48, 48)" in done.stdout


def test_show_prints_the_card_of_trained_weights() -> None:
    text = run("model", "show", "default").stdout
    card = load_card(default_model())
    for wanted in (
        "SHA-256",
        "angry, disgust, fear",
        "crop:",
        f"temperature {card.heads['fer2013']}",
        "se_resnet",
    ):
        assert wanted in text
    assert "val: accuracy" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["training", "shares", *card.labels] in lines
    for head, shares in card.shares.items():
        assert [head, *(f"{share:.1%}" for share in shares)] in lines
    assert ["prior", "head", "power", "temperature"] in lines
    adjustment = card.priors["crowd"]["natural"]
    assert ["natural", "crowd", f"{adjustment.power:g}", f"{adjustment.temperature:g}"] in lines
    assert "learned from a teacher's answers alone" not in text


def test_show_says_where_the_training_shares_are_unknown(tmp_path: Path) -> None:
    card = replace(load_card(default_model()), shares={}, priors={})
    save_with_card(default_model().read_bytes(), card, tmp_path / "old.onnx")
    done = run("model", "show", tmp_path / "old.onnx")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("training shares: unknown, and priors that need them")


def test_export_copies_what_it_checked_and_does_not_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "mine.onnx"
    done = run("model", "export", "default", out, "--json")
    assert out.read_bytes() == default_model().read_bytes()
    assert json.loads(done.stdout) == {
        "path": str(out),
        "bytes": out.stat().st_size,
        "sha256": file_sha256(out),
    }
    again = run("model", "export", "default", out)
    assert again.returncode == 2
    assert "--overwrite replaces it" in again.stderr
    into_folder = run("model", "export", "default", tmp_path, "--overwrite")
    assert into_folder.returncode == 2
    assert "is a folder: name the file to write" in into_folder.stderr


def test_export_refuses_a_model_whose_weights_are_not_whole(tmp_path: Path) -> None:
    graph = onnx.load(default_model())
    largest = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.raw_data = largest.raw_data[:100]
    onnx.save(graph, tmp_path / "damaged.onnx")
    done = run("model", "export", tmp_path / "damaged.onnx", tmp_path / "out.onnx")
    assert done.returncode == 1
    assert "damaged.onnx is not a valid ONNX model" in done.stderr
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are no text")
def test_a_path_that_is_no_text_is_printed_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")  # as on most systems: not so in LANG=C.UTF-8
    out = tmp_path / "caf\udce9.onnx"
    done = run("model", "export", "default", out)
    assert done.stdout == f"wrote {tmp_path / 'caf%E9.onnx'}\n", done.stderr
    assert f"file:          {tmp_path / 'caf%E9.onnx'} (" in run("model", "show", out).stdout
    for command in (("export", "default", out, "--overwrite"), ("show", out)):
        values = json.loads(run("model", *command, "--json").stdout)
        assert values["path"] == str(tmp_path / "caf%E9.onnx")


def test_quantize_writes_a_smaller_file_and_says_what_it_reaches(tmp_path: Path) -> None:
    dataset, out = write_stripes(tmp_path / "stripes", train=28, held_out=14), tmp_path / "int8.onnx"
    (settings := tmp_path / "small.toml").write_text("width = 0.5\nepochs = 1\n")
    trained = run("train", dataset, tmp_path / "run", "--config", settings, "--quiet")
    assert trained.returncode == 0
    done = run("model", "quantize", tmp_path / "run", dataset, out)
    assert done.returncode == 0
    assert done.stderr == ""
    first, second, _, last = done.stdout.splitlines()
    assert first.startswith("fer2013: accuracy ")
    assert second.startswith("crowd: accuracy ")
    assert last == f"wrote {out}"
    assert out.stat().st_size < 0.32 * (tmp_path / "run" / "model.onnx").stat().st_size
    assert "weights as int8" in run("model", "show", out).stdout
    again = run("model", "quantize", tmp_path / "run", dataset, out)
    assert again.returncode == 2
    assert "--overwrite replaces it" in again.stderr
    done = run("model", "quantize", tmp_path / "run", dataset, out, "--overwrite", "--json")
    assert json.loads(done.stdout)["sha256"] == file_sha256(out)
    twice = run("model", "export", "--half", out, tmp_path / "twice.onnx")
    assert twice.returncode == 1
    assert "are rounded already: a model in float32 is needed" in twice.stderr
    half = tmp_path / "half.onnx"
    assert run("model", "export", tmp_path / "run", half, "--half").returncode == 0
    assert "weights as float16" in run("model", "show", half).stdout
    before, rounded = load_card(tmp_path / "run" / "model.onnx"), load_card(half)
    assert set(before.shares) == set(before.priors) == {"fer2013", "crowd"}
    assert (rounded.shares, rounded.priors, rounded.heads) == (before.shares, before.priors, before.heads)
    assert load_card(out).shares == before.shares


def test_models_that_are_not_there(tmp_path: Path) -> None:
    for command in (("show", "gone"), ("show", "x" * 300), ("export", tmp_path, tmp_path / "x.onnx")):
        done = run("model", *command)
        assert done.returncode == 1
        assert done.stderr.startswith("fer-batch: ")
        assert "Traceback" not in done.stderr
