"""`fer-batch evaluate`: a model's figures on labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fer_batch.cli.console import (
    JsonOption,
    PriorOption,
    QuietOption,
    VerboseOption,
    console,
    stated_path,
    stated_prior,
    summary,
)
from fer_batch.errors import EXIT_PARTIAL
from fer_batch.settings import EvaluateSettings, HeadChoice, build, merge

if TYPE_CHECKING:
    from fer_batch.training.evaluation import EvaluateResult


def evaluate(
    model: Annotated[str, typer.Argument(help="`default`, a run folder, or an .onnx file.")],
    data: Annotated[
        Path, typer.Argument(parser=stated_path, help="Data set folder, or a folder of class folders.")
    ],
    out: Annotated[
        Path, typer.Argument(parser=stated_path, help="Folder to write metrics, predictions and matrices to.")
    ],
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(help="Split to measure on, where the data has splits. Default: val."),
    ] = None,
    head: Annotated[
        HeadChoice | None,
        typer.Option(
            help="Label source the model answers for. Default: fer2013 on FER2013, else as annotate's."
        ),
    ] = None,
    prior: PriorOption = None,
    flip: Annotated[
        bool | None, typer.Option("--flip", help="Average each picture with its mirror image.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure a model on labelled pictures: accuracy, macro-F1, calibration, confusion matrix.

    Needs no PyTorch. Exit code 3: finished, but pictures were left out; unreadable.csv lists them.
    """
    from fer_batch.training import evaluate as run_evaluation

    settings = build(
        EvaluateSettings,
        merge({}, {"split": split, "head": head, "prior": stated_prior(prior), "flip": flip}),
        origin="evaluate",
    )
    with console(quiet=quiet, verbose=verbose) as progress:
        result = run_evaluation(model, data, out, settings, progress=progress)
    summary(result.metrics, _text(result), as_json=as_json, quiet=quiet)
    if result.unreadable:
        raise typer.Exit(EXIT_PARTIAL)


def _text(result: EvaluateResult) -> str:
    metrics, settings = result.metrics, result.metrics["settings"]
    views = "two views" if settings["flip"] else "one view"
    prior = settings["prior"] if isinstance(settings["prior"], str) else "given"
    lines = [
        f"{settings['head']} head on {metrics['data']['name']}, {views}, prior {prior}, "
        f"labels from {metrics['labels']}",
        _line("all pictures", metrics),
    ]
    if metrics["without_training_twins"]:
        lines.append(_line("without training twins", metrics["without_training_twins"]))
    lines += ["", f"{'':<10}{'precision':>10}{'recall':>10}{'F1':>10}{'n':>8}"]
    lines += [
        f"{label:<10}{row['precision']:>10.3f}{row['recall']:>10.3f}{row['f1']:>10.3f}{row['support']:>8}"
        for label, row in metrics["per_class"].items()
    ]
    if result.unreadable:
        first = result.unreadable[0]
        lines.append(
            f"\npictures left out: {len(result.unreadable):,}; the first: {first.path}: {first.reason}"
        )
        lines.append(f"all of them: {result.out / 'unreadable.csv'}")
    lines.append(f"\nwritten to {result.out}")
    return "\n".join(lines)


def _line(name: str, figures: dict[str, Any]) -> str:
    from fer_batch.figures.text import figure_text

    accuracy = figure_text(figures["accuracy"], ".2%")
    macro_f1, loss, ece = (figure_text(figures[key], ".3f") for key in ("macro_f1", "loss", "ece"))
    return f"{name:<24}accuracy {accuracy}  macro-F1 {macro_f1}  loss {loss}  ECE {ece}  n {figures['n']}"
