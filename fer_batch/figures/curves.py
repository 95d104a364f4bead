"""A training run as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_batch.storage import atomic_file

_DPI = 120


def write_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw loss, accuracy and learning rate over the epochs into a PNG.

    Args:
        history: a row an epoch: epoch, learning_rate, train_loss, train_accuracy, val_loss,
            val_accuracy.
        path: the PNG to write.

    Raises:
        OutputError: the file cannot be written.
    """
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(15, 4.5), dpi=_DPI, layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        # Training pictures are augmented and their loss is smoothed and summed over the heads:
        # the two curves of a panel are not on one scale, and the legend says so.
        axes.plot(epochs, [row[f"train_{name}"] for row in history], label="training (augmented)")
        axes.plot(epochs, [row[f"val_{name}"] for row in history], label="validation")
        axes.set_title(name)
        axes.legend()
    best = max(history, key=lambda row: row["val_accuracy"])
    accuracy.plot(best["epoch"], best["val_accuracy"], "o", color="black")
    accuracy.annotate(
        f"{best['val_accuracy']:.1%}",
        (best["epoch"], best["val_accuracy"]),
        (0, 8),
        textcoords="offset points",
        ha="center",
    )
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    rate.plot(epochs, [row["learning_rate"] for row in history], color="tab:green")
    rate.set_title("learning rate at the epoch's end")
    for axes in (loss, accuracy, rate):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    with atomic_file(path) as partial:
        FigureCanvasAgg(figure).print_png(str(partial))
