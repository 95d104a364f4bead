"""What is wrong with the pictures and labels of a data set, and a clean set without it."""

from __future__ import annotations

from fer_batch.quality.filter import FilterResult, filter_dataset

__all__ = ["FilterResult", "filter_dataset"]
