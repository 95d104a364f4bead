"""What every command shares: its output options, the progress bar and the closing summary."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_batch.progress import Progress, silent

if TYPE_CHECKING:
    from tqdm import tqdm

JsonOption = Annotated[bool, typer.Option("--json", help="Print the closing summary as one JSON object.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no summary.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Tell every step, and tracebacks.")]


@contextmanager
def console(*, quiet: bool, verbose: bool) -> Iterator[Progress]:
    """Set logging up and yield a progress callback that draws bars on a terminal's stderr."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("PIL", "matplotlib", "torch", "onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    bars = _Bars()
    try:
        yield bars
    finally:
        bars.close()


def summary(values: Mapping[str, Any], text: str, *, as_json: bool, quiet: bool) -> None:
    """Print the one closing summary on stdout: `values` as JSON, or `text`."""
    if as_json:
        typer.echo(json.dumps(values, ensure_ascii=False, default=str))
    elif not quiet:
        typer.echo(text)


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
