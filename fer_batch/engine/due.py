"""Which sources are due: decided by what lies on the disk, never by position."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from fer_batch.errors import InputError
from fer_batch.storage import read_json

OK, PARTIAL, FAILED = "ok", "partial", "failed"
"""What a manifest's `status` may be."""
LATER_ATTEMPT = "later_attempt"
"""Key of a manifest whose results stayed when they were to be replaced and that failed: what they would have
been made from, under `made_from`, is there."""


class Due(Enum):
    """Why a source is, or is not, to be done."""

    NEW = "new"
    CHANGED = "changed"
    """The source, the settings, the model or the version of the results differ."""
    RETRY = "retry"
    FORCED = "forced"
    FINISHED = "finished"
    WAITING = "waiting"
    """Done, but partial or failed, or not replaced because that failed: only a retry does it again."""

    @property
    def to_do(self) -> bool:
        """Whether the source is to be done."""
        return self not in {Due.FINISHED, Due.WAITING}


def judge(manifest: Path, made_from: Mapping[str, Any], *, retry: bool, force: bool) -> Due:
    """Compare what a result would be made from now with what it was made from.

    Args:
        manifest: the result's manifest, which holds `status`, `made_from`, and what has failed since.
        made_from: source, settings, models and version of the results as they are now.
        retry: do partial and failed ones again.
        force: do all of them again.
    """
    try:
        found = read_json(manifest)
        status, before = found["status"], found["made_from"]
        tried = found[LATER_ATTEMPT]["made_from"] if LATER_ATTEMPT in found else None
    except (InputError, KeyError, TypeError):
        return Due.NEW  # none, or damaged: then the result is not to be trusted either
    if force:
        return Due.FORCED
    if before != made_from:
        waits = tried == made_from and not retry
        return Due.WAITING if waits else Due.CHANGED
    if status == OK:
        return Due.FINISHED
    return Due.RETRY if retry else Due.WAITING
