from __future__ import annotations

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
