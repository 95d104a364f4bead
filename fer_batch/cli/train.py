"""`fer-batch train`: a data set folder into a run folder with a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_batch.cli.console import JsonOption, QuietOption, VerboseOption, console, stated_path, summary
from fer_batch.settings import ArchitectureName, DeviceName, TrainRuntime, TrainSettings, build, merge


def train(
    dataset: Annotated[
        Path, typer.Argument(parser=stated_path, help="Data set folder that `prepare` wrote.")
    ],
    run: Annotated[
        Path,
        typer.Argument(parser=stated_path, help="Folder to write: history, curves, checkpoint, model.onnx."),
    ],
    config: Annotated[
        str | None,
        typer.Option(
            help="Settings: a TOML file, or the name of a known recipe "
            "(cnn7, crowd_from_default, distilled, teacher1, teacher2, teacher3)."
        ),
    ] = None,
    arch: Annotated[ArchitectureName | None, typer.Option(help="Architecture of the network.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How often every picture is shown.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in one step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on after the last finished epoch, or begin where there is none."),
    ] = False,
    device: Annotated[
        DeviceName, typer.Option(help="Where to train; auto takes CUDA if it is there.")
    ] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="auto: bf16 where the hardware is fast at it.")
    ] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 lets PyTorch choose.")] = 0,
    compile_network: Annotated[
        bool, typer.Option("--compile", help="Compile the network first: for long runs on CUDA.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a classifier, choose its best epoch on the validation split, and export it to ONNX.

    A run that was stopped goes on with the same command and --resume.
    """
    from fer_batch.figures.text import headline
    from fer_batch.training import train as run_training
    from fer_batch.training.recipes import load_recipe

    over = {"arch": arch, "epochs": epochs, "batch_size": batch_size, "seed": seed}
    stated = load_recipe(config) if config else {}
    build(TrainSettings, stated, origin=str(config))  # so that what is wrong here is not taken for an option
    settings = build(TrainSettings, merge(stated, over), origin="train")
    runtime = TrainRuntime(device=device, precision=precision, threads=threads, compile=compile_network)
    with console(quiet=quiet, verbose=verbose) as progress:
        result = run_training(dataset, run, settings, runtime=runtime, resume=resume, progress=progress)
    lines = [f"{result.epochs} epochs; the best on the validation split was epoch {result.best_epoch}"]
    lines += [f"{head}: {headline(figures)}" for head, figures in result.figures.items()]
    lines.append(f"model: {result.model}")
    lines += [f"\n{result.note}"] if result.note else []
    values = {
        "run": result.run,
        "model": result.model,
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "figures": result.figures,
        "note": result.note,
    }
    summary(values, "\n".join(lines), as_json=as_json, quiet=quiet)
