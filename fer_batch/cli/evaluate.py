"""`fer-batch evaluate`: a model's figures on labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fer_batch.cli.console import JsonOption, QuietOption, VerboseOption, console, summary
from fer_batch.settings import EvaluateSettings, Head, build, merge


def evaluate(
    model: Annotated[str, typer.Argument(help="`default`, a run folder, or an .onnx file.")],
    data: Annotated[Path, typer.Argument(help="Data set folder, or a folder of class folders.")],
    out: Annotated[Path, typer.Argument(help="Folder to write metrics, predictions and matrices to.")],
    split: Annotated[
        Literal["train", "val", "test"] | None, typer.Option(help="Split of a data set folder. Default: val.")
    ] = None,
    head: Annotated[
        Head | None, typer.Option(help="Label source the model answers for. Default: fer2013.")
    ] = None,
    flip: Annotated[
        bool | None, typer.Option("--flip", help="Average each picture with its mirror image.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure a model on labelled pictures: accuracy, macro-F1, calibration, confusion matrix.

    Needs no PyTorch.
    """
    from fer_batch.training import evaluate as run_evaluation

    settings = build(
        EvaluateSettings, merge({}, {"split": split, "head": head, "flip": flip}), origin="evaluate"
    )
    with console(quiet=quiet, verbose=verbose) as progress:
        result = run_evaluation(model, data, out, settings, progress=progress)
    summary(result.metrics, _text(result.metrics, settings, result.out), as_json=as_json, quiet=quiet)


def _text(metrics: dict[str, Any], settings: EvaluateSettings, out: Path) -> str:
    views = "two views" if settings.flip else "one view"
    left_out = metrics["data"]["unreadable"]
    lines = [
        f"{settings.head} head on {metrics['data']['name']}, {views}, labels from {metrics['labels']}",
        _line("all pictures", metrics),
    ]
    if metrics["without_training_twins"]:
        lines.append(_line("without training twins", metrics["without_training_twins"]))
    lines += ["", f"{'':<10}{'precision':>10}{'recall':>10}{'F1':>10}{'n':>8}"]
    lines += [
        f"{label:<10}{row['precision']:>10.3f}{row['recall']:>10.3f}{row['f1']:>10.3f}{row['support']:>8}"
        for label, row in metrics["per_class"].items()
    ]
    if left_out:
        lines.append(f"{left_out} pictures could not be read and were left out")
    lines.append(f"\nwritten to {out}")
    return "\n".join(lines)


def _line(name: str, figures: dict[str, Any]) -> str:
    return (
        f"{name:<24}accuracy {figures['accuracy']:.2%}  macro-F1 {figures['macro_f1']:.3f}  "
        f"loss {figures['loss']:.3f}  ECE {figures['ece']:.3f}  n {figures['n']}"
    )
