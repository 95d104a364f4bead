"""The checks: what each makes of the measurements, and how it says so.

A check is a score, 0–1, higher is worse, computed from what was measured, and a threshold in the settings:
moving a threshold looks at no picture. Adding one is a name in `settings.CheckName`, a threshold, and an
entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_batch.quality.duplicates import has_contradiction, is_extra_copy
from fer_batch.settings import CheckName, ThresholdSettings

Columns = Mapping[str, NDArray[Any]]
"""Of `quality.parquet`, without its scores and verdicts, by name; `label`, -1 where there is none; and
`leaked_from`, the `id` of the picture that `leak_similarity` is the similarity to."""
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Check:
    """One way in which a picture or its label can be bad."""

    meaning: str
    """What a high score says, in a sentence."""
    score: Callable[[Columns], Scores]
    """0–1, [N]; NaN where it does not apply."""
    reason: str
    """What is said of one picture: a format of the columns' values."""
    twins: Callable[[Columns, NDArray[np.int64]], NDArray[np.int64]] | None = None
    """Where the check is one of pairs: for pictures at these places, where the others are."""


def _itself(column: str) -> Callable[[Columns], Scores]:
    return lambda columns: columns[column]


def _unreadable(columns: Columns) -> Scores:
    return (columns["unreadable"] != "").astype(np.float32)


def _dark(columns: Columns) -> Scores:
    return (1 - columns["light_tenth"] / 255).astype(np.float32)


def _bright(columns: Columns) -> Scores:
    return (columns["dark_tenth"] / 255).astype(np.float32)


def _low_contrast(columns: Columns) -> Scores:
    return (1 - columns["contrast"] / 255).astype(np.float32)


def _blank(columns: Columns) -> Scores:
    return np.exp(-columns["deviation"] / 2)


_NO_DETAIL = 0.2
"""Sharpness where a picture has none, by the squares of 1, 2 and 4: (4 - 1) / (16 - 1)."""
_DETAIL = 0.1
"""So much more of it divides the score by e: an ordinary picture has 0.37, and a score of 0.18."""


def _blurry(columns: Columns) -> Scores:
    # Never quite 0, so that of two sharp pictures the less sharp has the higher score.
    return np.exp(-np.maximum(columns["sharpness"] - _NO_DETAIL, 0) / _DETAIL)


_FOUND, _TURNED = (0.1, 0.4), (0.4, 0.6)
"""Detection scores, and turns in distances of the eyes, between which doubt begins and is complete."""
_DOUBT = 0.4
"""Share of the score that complete doubt takes away."""


def _occluded(columns: Columns) -> Scores:
    # Where there is no face, nothing hides one; in a profile, or a head bent down, an eye or the mouth is
    # out of sight rather than hidden.
    found = np.interp(columns["face_score"], _FOUND, (0, 1))
    turned = np.interp(np.abs(np.nan_to_num(columns["face_yaw"])), _TURNED, (0, 1))
    doubt = _DOUBT * np.maximum(1 - found, turned)
    hidden = np.maximum(columns["eyes_hidden"], columns["mouth_hidden"])
    return (hidden * (1 - columns["no_face"]) * (1 - doubt)).astype(np.float32)


_FACE_IS_FOUND = 0.3
_FAR = {"offset": 10.0, "octaves": 1.0, "roll": 45.0, "yaw": 0.7}
"""What is too far off: pixels of 48, doublings of the size, degrees, distances of the eyes."""


def _off_centre(columns: Columns) -> Scores:
    found = columns["face_score"] >= _FACE_IS_FOUND
    parts = [
        columns["face_offset"] / _FAR["offset"],
        np.abs(np.log2(np.maximum(columns["face_size"], 0.01))) / _FAR["octaves"],
        np.abs(columns["face_roll"]) / _FAR["roll"],
        np.abs(columns["face_yaw"]) / _FAR["yaw"],
    ]
    worst = np.maximum.reduce(parts)
    return np.where(found, worst / (1 + worst), np.nan).astype(np.float32)


def _exact_duplicate(columns: Columns) -> Scores:
    return is_extra_copy(columns["exact_group"]).astype(np.float32)


def _contradictory_duplicate(columns: Columns) -> Scores:
    return has_contradiction(columns["exact_group"], columns["label"]).astype(np.float32)


def _named(column: str) -> Callable[[Columns, NDArray[np.int64]], NDArray[np.int64]]:
    """The pictures that a column names for those at given places; themselves where it names none."""

    def find(columns: Columns, places: NDArray[np.int64]) -> NDArray[np.int64]:
        place_of = {name: place for place, name in enumerate(columns["id"])}
        return np.array([place_of.get(columns[column][place], place) for place in places], np.int64)

    return find


def _contradicting(columns: Columns, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """A picture with the same pixels and another label for each."""
    groups, labels = columns["exact_group"], columns["label"]
    others = []
    for place in places:
        against = (groups == groups[place]) & (labels != labels[place]) & (labels >= 0)
        others.append(int(against.argmax()))
    return np.array(others, np.int64)


CHECKS: dict[CheckName, Check] = {
    "unreadable": Check("the picture cannot be decoded", _unreadable, "{unreadable}"),
    "blank": Check("one gray level all over", _blank, "gray levels deviate by {deviation:.2f}"),
    "dark": Check(
        "even its lightest parts are dark", _dark, "a tenth of it is lighter than {light_tenth:.0f}"
    ),
    "bright": Check(
        "even its darkest parts are bright", _bright, "a tenth of it is darker than {dark_tenth:.0f}"
    ),
    "low_contrast": Check(
        "light and dark hardly differ", _low_contrast, "{contrast:.0f} gray levels from dark to light"
    ),
    "blurry": Check("out of focus, or enlarged from few pixels", _blurry, "sharpness {sharpness:.2f}"),
    "not_a_face": Check(
        "no face is to be seen", _itself("no_face"), "no face: {no_face:.0%}, detector {face_score:.2f}"
    ),
    "occluded": Check(
        "something hides an eye or the mouth: dark glasses, hands, hair, things",
        _occluded,
        "hidden: the eyes {eyes_hidden:.0%}, the mouth {mouth_hidden:.0%}",
    ),
    "watermark": Check("words or a mark are printed across it", _itself("print"), "print: {print:.0%}"),
    "off_centre": Check(
        "the face is elsewhere, too large, too small, tilted or turned away",
        _off_centre,
        "{face_offset:.0f} pixels off, size {face_size:.2f}, tilted {face_roll:.0f} degrees, "
        "turned {face_yaw:.2f}",
    ),
    "exact_duplicate": Check(
        "the same pixels as an earlier picture", _exact_duplicate, "copy of {twin}", _named("twin")
    ),
    "near_duplicate": Check(
        "the same photograph as an earlier picture, cut, lit or stored otherwise",
        _itself("near_similarity"),
        "like {twin}: {near_similarity:.2f}",
        _named("twin"),
    ),
    "cross_split_leak": Check(
        "an earlier split has the same photograph: val and test measure what was learned by heart",
        _itself("leak_similarity"),
        "in {split}, like {leaked_from}: {leak_similarity:.2f}",
        _named("leaked_from"),
    ),
    "contradictory_duplicate": Check(
        "pictures with the same pixels have different labels",
        _contradictory_duplicate,
        "a copy has another label than {label}",
        _contradicting,
    ),
    "outlier": Check(
        "unlike all others of its label, to a model that has not seen it",
        _itself("oddness"),
        "distance from {label} {oddness:.2f}",
    ),
    "label_issue": Check(
        "a model that has not seen it holds another label for right",
        _itself("label_doubt"),
        "{suggested_label} rather than {label} ({label_confidence:.0%})",
    ),
}
"""In the order of the audit page."""

BY_OUT_OF_FOLD: frozenset[CheckName] = frozenset({"outlier", "label_issue"})
"""Checks by models that have not seen the picture: they take minutes, and PyTorch."""


def score_all(columns: Columns) -> dict[CheckName, Scores]:
    """The scores of every check, float32 [N] each; all NaN for those that were not measured."""
    unreadable = columns["unreadable"] != ""
    scores: dict[CheckName, Scores] = {}
    for name, check in CHECKS.items():
        values = np.asarray(check.score(columns), np.float32)
        # What cannot be decoded has no pixels to say anything of.
        scores[name] = values if name == "unreadable" else np.where(unreadable, np.float32(np.nan), values)
    return scores


def find_issues(
    scores: Mapping[CheckName, Scores], thresholds: ThresholdSettings
) -> dict[CheckName, NDArray[np.bool_]]:
    """Which pictures are issues of each check: those with at least its threshold."""
    return {name: values >= getattr(thresholds, name) for name, values in scores.items()}
