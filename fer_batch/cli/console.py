"""What every command shares: its output options, the progress bar and the closing summary."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from fer_batch.errors import OutputError, UsageError
from fer_batch.progress import Progress, silent
from fer_batch.settings import ExpectedShares, PriorName, build, load_toml

if TYPE_CHECKING:
    from tqdm import tqdm

JsonOption = Annotated[bool, typer.Option("--json", help="Print the closing summary as one JSON object.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no summary.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Tell every step, and tracebacks.")]

PriorOption = Annotated[
    str | None,
    typer.Option(
        metavar="natural|balanced|training|FILE",
        help="How frequent each expression is expected to be: as among people as they are, all equally, as "
        "in the training data, or as a TOML file says (angry = 0.05 and so on for all seven).",
    ),
]

_log = logging.getLogger("fer_batch")


def stated_path(text: str) -> Path:
    """A path as it was typed. Nothing at all is none: an unset variable does not mean the current folder.

    Raises:
        typer.BadParameter: the text is empty.
    """
    if not text:
        raise typer.BadParameter("the path is empty")
    return Path(text)


def stated_prior(text: str | None) -> str | dict[str, float] | None:
    """What `--prior` says, as settings want it: a name, or the shares in a file.

    Raises:
        UsageError: it is neither, or the file is not one of seven shares.
    """
    if text is None or text in get_args(PriorName):
        return text
    if not Path(text).is_file():
        names = ", ".join(get_args(PriorName))
        raise UsageError(
            f"--prior is {text!r}: give {names}, or a TOML file with a share for each expression"
        )
    return asdict(build(ExpectedShares, load_toml(Path(text)), origin=text))


@contextmanager
def console(*, quiet: bool, verbose: bool) -> Iterator[Progress]:
    """Set logging up and yield a progress callback that draws bars on a terminal's stderr."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("PIL", "filelock", "matplotlib", "torch", "onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    bars = None if quiet or not sys.stderr.isatty() else _Bars()
    try:
        yield _Steps(bars or silent)
    finally:
        if bars is not None:
            bars.close()


def summary(values: Mapping[str, Any], text: str, *, as_json: bool, quiet: bool) -> None:
    """Print the one closing summary on stdout: `values` as JSON, or `text`.

    Raises:
        OutputError: stdout is a file on a full disk.
    """
    if as_json:
        text = json.dumps(values, ensure_ascii=False, default=str)
    elif quiet:
        return
    try:
        typer.echo(text)
    except BrokenPipeError:  # whoever read it has seen enough: Typer knows what to do
        raise
    except OSError as error:
        raise OutputError(f"cannot write the summary to standard output: {error.strerror}") from error


class _Steps:
    """A progress callback that logs each new piece of work, for --verbose, and hands all on to another."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._what = ""

    def __call__(self, what: str, done: int, total: int | None, /) -> None:
        self._shown(what, done, total)
        if what != self._what:
            self._what = what
            _log.info("%s", what)


class _Bars:
    """A progress callback that shows one tqdm bar for the work at hand."""

    def __init__(self) -> None:
        self._what = ""
        self._bar: tqdm[Any] | None = None

    def __call__(self, what: str, done: int, total: int | None, /) -> None:
        from tqdm import tqdm

        if self._bar is None or what != self._what:
            self.close()
            self._what = what
            self._bar = tqdm(total=total, desc=what, leave=False, dynamic_ncols=True)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
