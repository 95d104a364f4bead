"""The fit resumes after an interruption, and its file has the outputs that `filter` reads."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_batch.dataset import Split
from fer_batch.inference.session import open_network
from making.fit_flaws import LOOKED_AT, SHARES, FlawNetwork, export, fit
from making.pools import FLAWS, Pool

ROWS = 128
"""One step an epoch."""


@pytest.fixture
def split() -> Split:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (ROWS, 48, 48)).astype(np.uint8)
    votes = np.tile([0, 10, 0, 0, 0, 0, 0, 0, 0, 0], (ROWS, 1))
    names = [f"{row:05}" for row in range(ROWS)]
    return Split("train", names, images, np.full(ROWS, 3), votes, names)


def pools_of(split: Split) -> dict[str, Pool]:
    rng = np.random.default_rng(1)
    flaws = rng.integers(0, 2, (ROWS, len(FLAWS))).astype(np.float32)
    flaws[::7, 1] = np.nan
    return dict.fromkeys(SHARES, Pool(split.images, flaws, np.arange(ROWS)))


def weights_of(network: FlawNetwork) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_an_interrupted_fit_ends_as_if_it_had_not_been(split: Split, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole: list[str] = []
    expected = fit(split, pools_of(split), tmp_path, 2, whole.append)

    def stop(line: str) -> None:
        raise KeyboardInterrupt(line)

    other, rest = tmp_path / "other", []
    other.mkdir()
    with pytest.raises(KeyboardInterrupt, match="epoch 1/2"):
        fit(split, pools_of(split), other, 2, stop)
    resumed = fit(split, pools_of(split), other, 2, rest.append)
    assert [line[:9] for line in whole] == ["epoch 1/2", "epoch 2/2"]
    assert rest == whole[1:]
    assert torch.equal(weights_of(expected), weights_of(resumed))


def test_the_file_has_a_logit_for_each_flaw_and_is_small(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = FlawNetwork().eval()
    path = tmp_path / "flaws.onnx"
    export(network, path)
    assert path.stat().st_size <= 3_000_000
    pictures = np.random.default_rng(0).integers(0, 255, (3, 1, 48, 48)).astype(np.uint8)
    (logits,) = open_network(path).run(["flaws"], {"pixels": pictures})
    with torch.no_grad():
        expected = network(torch.from_numpy(pictures))[0].numpy()
    assert logits.shape == (3, len(FLAWS))
    assert np.abs(logits - expected).max() < 1e-4


def test_the_rows_that_were_looked_at_are_named_once() -> None:
    with LOOKED_AT.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len({line["id"] for line in lines}) == len(lines)
    assert {line[part] for line in lines for part in ("eyes_hidden", "mouth_hidden")} == {"", "0", "1"}
    assert sum(line["eyes_hidden"] == "1" for line in lines) >= 90
