"""The real program in a process of its own, and how to kill it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_PATIENCE_S = 120


def _command(arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "fer_batch", *map(str, arguments)]


def run(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`fer-batch` with these arguments, to its end; None as its environment is this one's."""
    return subprocess.run(
        _command(arguments),
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )


def stop_when(
    reached: Callable[[], bool], *arguments: object, by: signal.Signals = signal.SIGKILL
) -> tuple[int, str]:
    """Start `fer-batch`, send it a signal once `reached`, and return its exit code and its stderr.

    A process that ends before is a failure of the test: nothing was interrupted.
    """
    process = subprocess.Popen(
        _command(arguments),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    end = time.monotonic() + _PATIENCE_S
    while not reached():
        assert process.poll() is None, f"ended before it was to be stopped: {process.communicate()[1]}"
        assert time.monotonic() < end, "never got to where it was to be stopped"
        time.sleep(0.002)
    process.send_signal(by)
    _, stderr = process.communicate(timeout=_PATIENCE_S)
    return process.returncode, stderr
