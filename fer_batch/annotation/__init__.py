"""Faces and expressions of videos and pictures: decode, detect, crop, classify, write."""

from __future__ import annotations

from fer_batch.annotation.run import AnnotateResult, Models, Todo, annotate

__all__ = ["AnnotateResult", "Models", "Todo", "annotate"]
