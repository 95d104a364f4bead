"""What the settings mean to PyTorch."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import nn

from fer_batch.errors import UsageError
from fer_batch.settings import LossSettings, OptimizerSettings, TrainRuntime, TrainSettings, build
from fer_batch.training.data import Batchable
from fer_batch.training.recipe import (
    build_optimizer,
    choose_device,
    class_weights,
    learning_rate,
    training_loss,
    update_average,
    uses_bf16,
)
from fer_batch.training.recipes import load_recipe


def test_onecycle_warms_up_then_falls_to_a_thousandth() -> None:
    settings = OptimizerSettings(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(step, 1000, settings) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == rates[99] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(1e-3, abs=1e-4)
    assert all(a >= b for a, b in pairwise(rates[100:]))


def test_constant_schedule() -> None:
    settings = OptimizerSettings(learning_rate=0.5, schedule="constant")
    assert {learning_rate(step, 10, settings) for step in range(10)} == {0.5}


def test_only_weights_decay() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    decayed, kept = build_optimizer(network, OptimizerSettings(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 1, 3, 3), (2, 2)]
    assert len(kept["params"]) == 4


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_optimizers(name: str, kind: type) -> None:
    settings = build(OptimizerSettings, {"name": name})
    assert type(build_optimizer(nn.Linear(2, 2), settings)) is kind


def test_class_weights_are_inverse_and_average_to_one_over_the_rows() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = class_weights(labels)
    assert float(weights[labels].mean()) == pytest.approx(1)
    assert float(weights[2] / weights[0]) == pytest.approx(6)
    assert float(weights[3:].sum()) == 0


def test_class_weights_weigh_rows_and_leave_smoothed_targets_as_they_are() -> None:
    fer2013 = torch.tensor([3995, 436, 4097, 7215, 4830, 3171, 4965])
    weights = class_weights(torch.arange(7).repeat_interleave(fer2013))
    settings, target = LossSettings(label_smoothing=0.1), torch.eye(7)[[3, 1]]
    logits = (0.9 * target + 0.1 / 7).log().requires_grad_()
    training_loss({"fer2013": logits}, {"fer2013": target}, settings, weights).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(2, 7))  # the optimum is the smoothed target
    logits = torch.randn(2, 7, generator=torch.Generator().manual_seed(0))
    rows = F.cross_entropy(logits, target, label_smoothing=0.1, reduction="none")
    found = training_loss({"fer2013": logits}, {"fer2013": target}, settings, weights)
    assert float(found) == pytest.approx(float((rows * weights[[3, 1]]).mean()))


def batch(n: int, *, weight: float = 1.0) -> Batchable:
    generator = torch.Generator().manual_seed(0)
    return Batchable(
        pixels=torch.zeros(n, 1, 48, 48, dtype=torch.uint8),
        labels=torch.randint(0, 7, (n,), generator=generator),
        crowd=torch.softmax(torch.randn(n, 7, generator=generator), 1) * weight,
    )


def test_loss_adds_the_crowd_heads_share() -> None:
    data, logits = batch(5, weight=0.5), torch.randn(5, 7)
    settings = LossSettings(label_smoothing=0.1, crowd_weight=0.25)
    own = F.cross_entropy(logits, data.labels, label_smoothing=0.1)
    crowd = -(data.crowd * torch.log_softmax(logits, 1)).sum(1).mean()
    found = training_loss({"fer2013": logits, "crowd": logits}, data.targets(), settings, None)
    assert float(found) == pytest.approx(float(own + 0.25 * crowd), rel=1e-5)
    alone = training_loss({"fer2013": logits}, data.targets(), settings, None)
    assert float(alone) == pytest.approx(float(own))


def test_rows_without_votes_teach_the_crowd_head_nothing() -> None:
    crowd = torch.randn(3, 7, requires_grad=True)
    outputs = {"fer2013": torch.zeros(3, 7), "crowd": crowd}
    training_loss(outputs, batch(3, weight=0.0).targets(), LossSettings(), None).backward()
    assert crowd.grad is not None
    assert float(crowd.grad.abs().sum()) == 0


def test_moving_average_takes_in_batch_statistics() -> None:
    network = nn.BatchNorm1d(2)
    average = copy.deepcopy(network)
    network.running_mean = torch.tensor([1.0, 2.0])
    network.num_batches_tracked = torch.tensor(9)
    update_average(average, network, decay=0.9, step=10**6)
    torch.testing.assert_close(average.running_mean, torch.tensor([0.1, 0.2]))
    assert int(average.num_batches_tracked) == 9


def test_moving_average_starts_fast() -> None:
    network, average = nn.Linear(1, 1), nn.Linear(1, 1)
    before = float((average.weight - network.weight).detach())
    update_average(average, network, decay=0.999, step=0)
    assert float((average.weight - network.weight).detach()) == pytest.approx(0.1 * before, rel=1e-4)


def test_cuda_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(TrainRuntime()) == torch.device("cpu")
    with pytest.raises(UsageError, match="--device cuda"):
        choose_device(TrainRuntime(device="cuda"))


def test_precision_can_be_forced() -> None:
    cpu = torch.device("cpu")
    assert uses_bf16(TrainRuntime(precision="bf16"), cpu)
    assert not uses_bf16(TrainRuntime(precision="fp32"), cpu)


def test_the_courses_recipe_says_what_the_course_says() -> None:
    settings = build(TrainSettings, load_recipe("cnn7"))
    assert (settings.arch, settings.epochs, settings.batch_size, settings.dropout) == ("cnn7", 15, 32, 0.5)
    assert (settings.optimizer.name, settings.optimizer.learning_rate) == ("adam", 1e-3)
    assert math.isclose(settings.loss.label_smoothing, 0)


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="cnn7"):
        load_recipe("cnn8")
