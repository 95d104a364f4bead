from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fer_batch.errors import ModelError
from fer_batch.model.checkpoint import group, load_checkpoint, prefixed, save_checkpoint


def test_round_trip_keeps_values_dtypes_and_header(tmp_path: Path) -> None:
    tensors = {
        "a.weight": torch.randn(2, 3),
        "n": torch.tensor(7),
        "half": torch.ones(2, dtype=torch.bfloat16),
    }
    header = {"history": [{"epoch": 1, "loss": 0.1 + 0.2}]}
    save_checkpoint(tmp_path / "c.safetensors", tensors, header)
    found, found_header = load_checkpoint(tmp_path / "c.safetensors")
    assert found_header == header
    assert found.keys() == tensors.keys()
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
        for name, tensor in tensors.items()
    )


def test_channels_last_tensors_are_stored_by_value(tmp_path: Path) -> None:
    tensor = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / "c.safetensors", {"x": tensor}, {})
    assert torch.equal(load_checkpoint(tmp_path / "c.safetensors")[0]["x"], tensor)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    program = (
        "import resource, sys, torch; from pathlib import Path\n"
        "from fer_batch.errors import OutputError\n"
        "from fer_batch.model.checkpoint import save_checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        "    save_checkpoint(Path(sys.argv[1]), {'x': torch.zeros(100_000)}, {})\n"
        "except OutputError as error:\n"
        "    print(error)"
    )
    path = tmp_path / "c.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"cannot write {path}: File too large\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_groups_share_a_file() -> None:
    both = prefixed("network", {"w": torch.zeros(1)}) | prefixed("average", {"w": torch.ones(1)})
    assert torch.equal(group("average", both)["w"], torch.ones(1))
    assert list(group("net", both)) == []


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x00" * 64])
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_checkpoint(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_checkpoint(tmp_path / "gone.safetensors")


def test_what_cannot_be_opened_is_not_called_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*x: File name too long"):
        load_checkpoint(tmp_path / ("x" * 300))
    with pytest.raises(ModelError, match=r"cannot read .*: (Is a directory|Permission denied)"):
        load_checkpoint(tmp_path)
