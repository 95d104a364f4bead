"""The `fer-batch` program: its commands, and how an error becomes an exit code."""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

import fer_batch
from fer_batch.cli.annotate import annotate
from fer_batch.cli.evaluate import evaluate
from fer_batch.cli.filter import filter_command
from fer_batch.cli.model import app as model_app
from fer_batch.cli.prepare import prepare
from fer_batch.cli.train import train
from fer_batch.errors import EXIT_INTERRUPTED, EXIT_OK, FerBatchError, UsageError

_TRAINING_LIBRARIES = {"torch", "onnxscript", "safetensors"}

app = typer.Typer(
    name="fer-batch",
    help="Expressions of every face in every frame, and the data set and model behind them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(fer_batch.__version__)
        raise typer.Exit(EXIT_OK)


# A callback of its own, and eager: it answers before the missing command is complained about.
@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


app.command()(prepare)
app.command("filter")(filter_command)
app.command()(train)
app.command()(evaluate)
app.command()(annotate)
app.add_typer(model_app, name="model")


_ENDS = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
"""Signals that ask a program to end, as a service manager and a terminal that is closed do."""
_INTERRUPTED = "fer-batch: interrupted; the same command goes on (train: with --resume), or begins again"


def main() -> None:
    """Run the command line and leave with the exit code that the design gives each outcome.

    Whoever is asked to end cleans up as after Ctrl-C, and then ends by the signal, as was asked.
    """
    ended_by: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        ended_by.append(number)
        raise KeyboardInterrupt

    for number in _ENDS:
        if signal.getsignal(number) == signal.SIG_DFL:  # else it is ignored, as by nohup
            signal.signal(number, end)
    try:
        app()
    except FerBatchError as error:
        # The traceback is for whoever asked for details; everybody gets the one line.
        logging.getLogger("fer_batch").debug("the error's origin", exc_info=True)
        typer.echo(f"fer-batch: {error}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in _TRAINING_LIBRARIES:
            raise
        typer.echo(f"fer-batch: this needs {error.name}: pip install 'fer-batch[torch]'", err=True)
        sys.exit(UsageError.exit_code)
    except SystemExit as done:  # Typer turns Ctrl-C into this, and says nothing
        if done.code == EXIT_INTERRUPTED:
            typer.echo(_INTERRUPTED, err=True)
        for number in ended_by:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        raise
