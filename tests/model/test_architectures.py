"""The networks are what their papers and the course say they are."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from fer_batch.model.architectures import ARCHITECTURES, Normalise, ResidualBlock, build_network
from fer_batch.model.layers import architecture_layers
from fer_batch.settings import ArchitectureName, TrainSettings, build


def test_every_architecture_that_can_be_named_can_be_built() -> None:
    assert set(ARCHITECTURES) == set(get_args(ArchitectureName))


@pytest.mark.parametrize("name", get_args(ArchitectureName))
@pytest.mark.parametrize("heads", [["fer2013"], ["fer2013", "crowd"]])
def test_logits_have_one_row_a_picture_and_one_column_a_class(name: str, heads: list) -> None:
    network = build_network(build(TrainSettings, {"arch": name}), heads).eval()
    pixels = torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8)
    outputs = network(pixels)
    assert list(outputs) == heads
    assert all(logits.shape == (3, 7) and logits.dtype == torch.float32 for logits in outputs.values())


def test_uint8_and_float_pixels_give_the_same_logits() -> None:
    network = build_network(TrainSettings(), ["fer2013"]).eval()
    pixels = torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8)
    torch.testing.assert_close(network(pixels)["fer2013"], network(pixels.float())["fer2013"])


def test_normalising_centres_mid_gray() -> None:
    values = Normalise()(torch.tensor([[0, 255]], dtype=torch.uint8))
    assert values[0, 0] == pytest.approx(-0.5075 / 0.2550)
    assert values[0, 1] == pytest.approx((1 - 0.5075) / 0.2550)


def test_cnn7_has_the_classic_layer_table() -> None:
    rows = architecture_layers("cnn7")
    convolutions = [(row.shape, row.parameters) for row in rows if "Conv2d" in row.name]
    assert convolutions == [
        ((32, 48, 48), 320),
        ((32, 48, 48), 9_248),
        ((64, 24, 24), 18_496),
        ((64, 24, 24), 36_928),
        ((128, 12, 12), 73_856),
        ((128, 12, 12), 147_584),
        ((256, 6, 6), 295_168),
        ((256, 6, 6), 590_080),
    ]
    dense = [(row.shape, row.parameters) for row in rows if "Linear" in row.name]
    assert dense == [((64,), 2304 * 64 + 64), ((64,), 64 * 64 + 64), ((7,), 64 * 7 + 7)]
    assert sum("MaxPool2d" in row.name for row in rows) == 4
    assert sum("Dropout" in row.name for row in rows) == 6


def test_cnn7_is_initialised_like_keras_he_normal() -> None:
    torch.manual_seed(0)
    network = build_network(build(TrainSettings, {"arch": "cnn7"}), ["fer2013"])
    weight = next(
        m.weight for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.in_channels == 256
    )
    wanted = (2 / (256 * 9)) ** 0.5
    assert float(weight.detach().std()) == pytest.approx(wanted, rel=0.01)
    assert float(weight.detach().abs().max()) <= 2 * wanted / 0.8796 + 1e-6
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.01, 1e-3)}


def test_se_resnet_has_the_size_it_claims() -> None:
    total = sum(row.parameters for row in architecture_layers("se_resnet"))
    assert total == pytest.approx(2.8e6, rel=0.02)


@pytest.mark.parametrize("setting", ["depth", "full_blocks"])
def test_se_resnet_has_as_many_blocks_as_it_is_told(setting: str) -> None:
    default = build_network(build(TrainSettings, {"width": 0.25}), ["fer2013"])
    more = build_network(build(TrainSettings, {"width": 0.25, setting: 3}), ["fer2013"])
    blocks = [sum(isinstance(m, ResidualBlock) for m in network.modules()) for network in (default, more)]
    assert blocks == [6, 9]
    assert more.eval()(torch.zeros(2, 1, 32, 32))["fer2013"].shape == (2, 7)
