"""Figures as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def figure_text(value: float | None, form: str) -> str:
    """A figure in a format such as `.2%`; `-` where there was no row to measure."""
    return "-" if value is None else format(value, form)


def headline(figures: Mapping[str, Any]) -> str:
    """The figures of one head that are named first, of those that `measure` or `compare_with` gives."""
    if "compared_with" in figures:
        agreement = figure_text(figures["agreement"], ".2%")
        return f"agreement with the {figures['compared_with']} {agreement}, n {figures['n']}"
    accuracy, macro_f1 = figure_text(figures["accuracy"], ".2%"), figure_text(figures["macro_f1"], ".3f")
    return f"accuracy {accuracy}, macro-F1 {macro_f1}, n {figures['n']}"
