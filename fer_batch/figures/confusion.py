"""Confusion matrices as CSV and as a picture."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_batch.emotions import LABELS
from fer_batch.storage import atomic_file, write_text

_DPI = 120


def write_confusion(counts: NDArray[np.int64], stem: Path, title: str) -> None:
    """Write `{stem}.csv` and `{stem}.png`.

    The CSV has a row for each true expression: its name, the counts of the predicted ones, and the
    row's shares, 0–1, behind them. The picture shows both side by side.

    Args:
        counts: int64 [7, 7], rows true, columns predicted, in the order of `Emotion`.
        stem: path of both files without suffix.
        title: what was measured, over the picture.

    Raises:
        OutputError: a file cannot be written.
    """
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true", *LABELS, *(f"share_{label}" for label in LABELS)])
    for label, row, share in zip(LABELS, counts.tolist(), shares.tolist(), strict=True):
        writer.writerow([label, *row, *(f"{value:.4f}" for value in share)])
    write_text(stem.with_suffix(".csv"), text.getvalue())
    with atomic_file(stem.with_suffix(".png")) as partial, warnings.catch_warnings():
        # A folder may be called anything: letters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        FigureCanvasAgg(_plot(counts, shares, title)).print_png(str(partial))


def _plot(counts: NDArray[np.int64], shares: NDArray[np.float64], title: str) -> Figure:
    figure = Figure(figsize=(13, 6), dpi=_DPI, layout="constrained")
    right = int(np.trace(counts))
    # Dollar signs in the name of a folder are no formula.
    figure.suptitle(f"{title}: {right:,} of {int(counts.sum()):,} right", parse_math=False)
    left_axes, right_axes = figure.subplots(1, 2)
    _panel(left_axes, shares, [[f"{value:,}" for value in row] for row in counts.tolist()], "pictures")
    _panel(
        right_axes,
        shares,
        [[f"{value:.0%}" for value in row] for row in shares.tolist()],
        "share of each row",
    )
    return figure


def _panel(axes: Axes, shares: NDArray[np.float64], texts: list[list[str]], title: str) -> None:
    # Both panels are coloured by share: the eye compares rows, however unequal the classes are.
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(LABELS)), LABELS, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(LABELS)), LABELS)
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour)
