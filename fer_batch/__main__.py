"""`python -m fer_batch`: the program, where its script is not on the path."""

from __future__ import annotations

from fer_batch.cli import main

main()
