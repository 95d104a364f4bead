"""Tensors and a JSON header in one safetensors file: nothing in it can run when it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fer_batch.errors import ModelError
from fer_batch.storage import atomic_file

_HEADER = "fer_batch"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and their header as one file, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    from safetensors.torch import save

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_file(path) as partial:
        # safetensors' own way to a file hides the operating system's errors in one of its own.
        partial.write_bytes(save(contiguous, metadata={_HEADER: json.dumps(header)}))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the header of a file that `save_checkpoint` wrote.

    Raises:
        ModelError: the file is missing, cannot be read, or was not written by `save_checkpoint`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        # Opened twice: safetensors calls every file that it cannot open missing.
        with path.open("rb"), safe_open(path, framework="pt") as stream:
            header = json.loads(stream.metadata()[_HEADER])
            return {name: stream.get_tensor(name) for name in stream.keys()}, header  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        raise ModelError(f"checkpoint {path} does not exist") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is not a checkpoint of fer-batch: {error}") from error


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, each name behind `{prefix}.`: several groups share one file."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def group(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that `prefixed` put behind `{prefix}.`, under their own names again."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
