"""FER2013 in (CSV dialects, archives, folders) to pictures and Parquet, and back in as arrays."""

from __future__ import annotations

from fer_batch.dataset.arrays import Split, Unreadable, fingerprint, load_class_folders, load_split
from fer_batch.dataset.ferplus import crowd_majority, crowd_targets
from fer_batch.dataset.prepare import PrepareResult, prepare

__all__ = [
    "PrepareResult",
    "Split",
    "Unreadable",
    "crowd_majority",
    "crowd_targets",
    "fingerprint",
    "load_class_folders",
    "load_split",
    "prepare",
]
