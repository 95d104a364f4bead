"""fer-batch: FER2013 into a clean data set, a classifier trained on it, expressions out of video.

The Python API is one function a command, loaded when it is first used:

    import fer_batch

    fer_batch.prepare("fer2013.csv", "data/fer2013")
    fer_batch.filter_dataset("data/fer2013", "data/clean")
    fer_batch.train("data/clean", "runs/first")
    fer_batch.evaluate("runs/first", "data/fer2013", "out/evaluation")
    fer_batch.annotate(["footage"], "out/footage")
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from fer_batch.emotions import Emotion
from fer_batch.errors import FerBatchError

if TYPE_CHECKING:
    from fer_batch.annotation import annotate
    from fer_batch.dataset import prepare
    from fer_batch.quality import filter_dataset
    from fer_batch.training import evaluate, train

# From 1.29 on, ONNX Runtime tells its makers what it is used for, unless told not to before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = [
    "Emotion",
    "FerBatchError",
    "__version__",
    "annotate",
    "evaluate",
    "filter_dataset",
    "prepare",
    "train",
]

_HOMES = {
    "annotate": "fer_batch.annotation",
    "evaluate": "fer_batch.training",
    "filter_dataset": "fer_batch.quality",
    "prepare": "fer_batch.dataset",
    "train": "fer_batch.training",
}


def __getattr__(name: str) -> object:
    """Load a function of the API on first use, so that importing the package stays instant."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name the functions too that have not been loaded yet: notebooks complete names from it."""
    return sorted({*globals(), *__all__})
