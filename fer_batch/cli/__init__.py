"""The command line: each command parses, calls the Python API, and shows the result."""

from __future__ import annotations

from fer_batch.cli.app import main

__all__ = ["main"]
