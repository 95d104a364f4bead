"""What is wrong with a data set, measured, shown, and left out: read `filter_dataset` from top to bottom."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_batch.dataset.images import SIDE
from fer_batch.dataset.writer import UNLABELLED
from fer_batch.emotions import LABELS
from fer_batch.errors import UsageError
from fer_batch.progress import Progress, silent
from fer_batch.quality.audit import ON_PAGE, Audit, CheckAudit, require_own_page, write_audit
from fer_batch.quality.checks import BY_OUT_OF_FOLD, CHECKS, Scores, find_issues, score_all
from fer_batch.quality.clean import CleanResult, Dropped, dropped_before, is_written, write_clean
from fer_batch.quality.duplicates import NearCopies, is_spare_copy, leaking_picture, near_groups
from fer_batch.quality.keep import read_kept
from fer_batch.quality.measure import measure, read_pixels
from fer_batch.quality.out_of_fold import FOLDS, RECIPE, TooFewError, out_of_fold
from fer_batch.quality.pictures import PictureSource, Records, open_pictures
from fer_batch.quality.sheets import (
    CELL,
    ON_SHEET,
    Suspect,
    Twin,
    fit,
    require_picture_suffix,
    worst,
    write_sheet,
)
from fer_batch.quality.table import NAME, Columns, read_measured, write_table
from fer_batch.settings import (
    CheckName,
    FilterSettings,
    ThresholdSettings,
    TrainSettings,
    completed,
    plain,
    validated,
)
from fer_batch.storage import (
    MEASUREMENT_COLUMNS,
    PICTURE_COLUMNS,
    VERDICT_COLUMNS,
    check_columns,
    readable,
    real_path,
    require_text_path,
    resumable_scratch,
    versions,
)

RESULTS_VERSION = 3
"""Raised when the same pictures give other measurements, not with every release."""
AUDIT = "audit.html"
_FEWEST = 100
"""Labelled pictures from which models can learn anything."""
_OF_COPIES: tuple[CheckName, ...] = ("exact_duplicate", "near_duplicate")
"""Checks whose issues repeat another picture: they are dropped only where it, or one like it, stays."""


@dataclass(frozen=True)
class FilterResult:
    """What was found in a data set.

    Attributes:
        path: the data set.
        pictures: how many it has.
        issues: pictures at or over the threshold of each check; None where it was not measured.
        drop: the checks whose issues a clean data set lacks.
        dropped: how many pictures a clean data set lacks; of one that was written, what it does lack.
        notes: what was not measured, not kept though `keep` names it, or lost before it was copied, and
            why; and where work lies that was stopped.
        table: the Parquet file with all scores and verdicts.
        audit: the page; None in a dry run.
        out: the clean data set; None where none was asked for, or in a dry run.
        already_done: whether the clean data set was there before.
        sheets: the contact sheets written.
    """

    path: Path
    pictures: int
    issues: dict[CheckName, int | None]
    drop: tuple[CheckName, ...]
    dropped: int
    notes: tuple[str, ...]
    table: Path
    audit: Path | None
    out: Path | None
    already_done: bool
    sheets: tuple[Path, ...]


_OBSTACLE = "obstacle"
"""In what has judged the labels of a data set: why it could not."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is measured already, and what will be once this run has measured."""

    facts: dict[str, Any]
    """What measurements follow from, labels aside."""
    columns: Columns | None
    """Those of an earlier run; None where there are none that can be used."""
    judged: dict[str, Any] | None
    """What has judged labels in them; None where nothing has."""
    labels: dict[str, Any] | None
    """What will have judged them."""
    notes: dict[CheckName, str]
    """Why checks will lack their measurements."""


@dataclass(frozen=True, eq=False)
class _Findings:
    """What the measurements mean under the settings."""

    columns: Columns
    scores: dict[CheckName, Scores]
    issues: dict[CheckName, NDArray[np.bool_]]
    keep: NDArray[np.bool_]
    """[N], which pictures a clean data set has."""

    def reason(self, place: int | np.integer) -> str:
        """Every issue of one picture, in words."""
        return "; ".join(
            f"{name}: {self.explain(name, place)}" for name, flags in self.issues.items() if flags[place]
        )

    def explain(self, name: CheckName, place: int | np.integer) -> str:
        """What one check says of one picture."""
        values = {column: values[place] for column, values in self.columns.items()}
        for column in ("label", "suggested_label"):
            values[column] = LABELS[values[column]] if values[column] >= 0 else "no label"
        return CHECKS[name].reason.format(**values)


def filter_dataset(
    dataset: Path | str,
    out: Path | str | None = None,
    settings: FilterSettings | None = None,
    *,
    show: Mapping[CheckName, Path] | None = None,
    keep: Path | str | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> FilterResult:
    """Measure every picture of a data set, say what is wrong with which, and write a clean data set.

    `quality.parquet` and `audit.html` are written into the data set; its pictures and tables stay as they
    are. What was measured before is not measured again, whatever the thresholds; what an interrupted run
    had trained is not trained again.

    Memory is about 1 KB a picture, and 2 KB more while labels are judged: 1.5 GB for half a million. A
    scratch file of 2.3 KB a picture lies in the data set until its measurements are written.

    Args:
        dataset: a dataset folder, or a folder of class folders.
        out: the clean data set to write, of the same kind; None writes none.
        settings: thresholds, and the checks whose issues are dropped.
        show: contact sheets to write, by check; each a file of its own, neither in `out` nor in a folder
            of the data set.
        keep: a text or CSV file of ids that are kept, whatever the checks say; unreadable ones are not.
            Those that an earlier step dropped from the data set are passed over.
        dry_run: measure, and say what would be dropped; neither page nor clean data set is written.
        overwrite: replace a clean data set of another source, other settings or other measurements, or
            one that lacks files.
        progress: told how far it is.

    Returns:
        What was found.

    Raises:
        UsageError: a setting cannot be, a check in `drop` is not measured, or `out`, `quality.parquet` or
            `audit.html` holds something else.
        InputError: the data set or `keep` cannot be read.
        DatasetFormatError: it is no data set.
        OutputError: results cannot be written.
    """
    settings, show = validated(FilterSettings, settings), show or {}
    source = open_pictures(Path(dataset))
    require_text_path(source.path)
    _require_places(show, source.path, None if out is None else Path(out))
    if not dry_run:
        require_own_page(source.path / AUDIT)
    kept, lacking = np.zeros(len(source.records), bool), []
    if keep:
        kept, lacking = read_kept(Path(keep), source.records, dropped_before(source.path))
    by_hand = [name for name, flag in zip(source.records.ids, kept, strict=True) if flag]
    plan = _plan(source, settings)
    _require_measured(settings, plan)
    made_from = {
        "settings": asdict(settings) | {"drop": _dropping(settings)},  # in whatever order they were given
        "kept_by_hand": by_hand,
        "results_version": RESULTS_VERSION,
        "labels_judged_by": plan.labels,
    }
    if out is not None and not dry_run:  # before minutes are spent
        is_written(source, Path(out), made_from, overwrite=overwrite)
    columns, plan = _measured(source, settings, plan, progress)
    made_from["labels_judged_by"] = plan.labels
    findings = _judge(columns, settings, kept)
    _write_table(source, findings, plan.facts | {"labels": plan.labels})
    _require_measured(settings, plan)  # once more: that copies leave too few labels is only known now
    audit = None
    if not dry_run:
        audit = source.path / AUDIT
        write_audit(_audit(source, findings, settings, plan), audit)
    sheets = tuple(_write_sheet(source, findings, name, path) for name, path in show.items())
    written = None
    if out is not None and not dry_run:
        dropped = _dropped(source.records, findings, settings)
        written = write_clean(
            source, Path(out), findings.keep, dropped, made_from, overwrite=overwrite, progress=progress
        )
    return FilterResult(
        path=source.path,
        pictures=len(source.records),
        issues={
            name: None if name in plan.notes else int(flags.sum()) for name, flags in findings.issues.items()
        },
        drop=_dropping(settings),
        dropped=written.dropped if written else int((~findings.keep).sum()),
        notes=tuple(_notes(source, plan, findings, kept, lacking, written)),
        table=source.path / NAME,
        audit=audit,
        out=written.path if written else None,
        already_done=written.already_done if written else False,
        sheets=sheets,
    )


def _require_places(show: Mapping[CheckName, Path], dataset: Path, out: Path | None) -> None:
    """Refuse contact sheets that would be in the way of something, or of each other.

    Raises:
        UsageError: one is no picture file, is that of another check, lies in `out`, which would be no clean
            data set then, or in a folder of the data set, where it would be one of its pictures.
    """
    taken: dict[Path, CheckName] = {}
    for name, path in show.items():
        require_picture_suffix(path)
        place = real_path(path)
        other = taken.setdefault(place, name)
        if other != name:
            raise UsageError(f"--show {name}={path} is the sheet of {other} too; give each check its own")
        if out is not None and place.is_relative_to(real_path(out)):
            raise UsageError(f"--show {name}={path} lies in OUT {out}; choose another place")
        if real_path(dataset) in place.parent.parents:
            raise UsageError(f"--show {name}={path} lies in a folder of the data set; choose another place")


def _require_measured(settings: FilterSettings, plan: _Plan) -> None:
    """Refuse to drop by a check that lacks its measurements: nothing would go, and it would seem to.

    Raises:
        UsageError: there is such a check.
    """
    for name in settings.drop:
        if name in plan.notes:
            raise UsageError(f"{name} cannot be dropped, {plan.notes[name]}; leave it out of --drop")


def _plan(source: PictureSource, settings: FilterSettings) -> _Plan:
    facts: dict[str, Any] = {"identity": source.identity(), "results_version": RESULTS_VERSION}
    columns = judged = None
    found = read_measured(source.path / NAME)
    if found and {name: found[1].get(name) for name in facts} == facts:
        columns, judged = found[0], found[1]["labels"]
    obstacle = _obstacle(source.records, settings)
    wanted = None if obstacle else {"folds": FOLDS, "recipe": plain(RECIPE)}
    labels = wanted or judged
    if wanted and judged and wanted.items() <= _today(judged).items():
        labels = judged  # which says besides if they could not be
    obstacle = labels.get(_OBSTACLE) if labels else obstacle
    return _Plan(facts, columns, judged, labels, dict.fromkeys(BY_OUT_OF_FOLD, obstacle) if obstacle else {})


def _today(judged: Mapping[str, Any]) -> dict[str, Any]:
    """What judged labels, of this or an earlier release, as this one would record it."""
    try:
        return {**judged, "recipe": completed(TrainSettings, judged["recipe"], origin=NAME)}
    except (KeyError, UsageError):  # of a release whose recipe cannot be told any more: it is another
        return dict(judged)


def _measured(
    source: PictureSource, settings: FilterSettings, plan: _Plan, progress: Progress
) -> tuple[Columns, _Plan]:
    """The measurements, new or of an earlier run, and the plan as far as it could be followed."""
    columns = plan.columns
    if columns is not None and plan.labels == plan.judged:
        return columns, plan
    with resumable_scratch(source.path / NAME, plan.facts) as folder:
        pixels = _scratch(folder, len(source.records))
        if columns is None:
            columns = _described(source.records) | measure(source, pixels, progress)
            # What follows may take an hour: this much is kept if it is stopped.
            _write_table(source, _judge(columns, settings, None), plan.facts | {"labels": None})
        else:
            read_pixels(source, pixels, progress)
        if plan.labels and _OBSTACLE not in plan.labels:
            try:
                columns = columns | _judge_labels(pixels, columns, source.records, folder / "folds", progress)
            except TooFewError as error:  # only known when copies are
                note = f"labels were not judged: {error}"
                labels = plan.labels | {_OBSTACLE: note}
                plan = replace(plan, labels=labels, notes=dict.fromkeys(BY_OUT_OF_FOLD, note))
        del pixels  # Windows removes no file that is mapped
    return columns, plan


def _judge_labels(
    pixels: NDArray[np.uint8], columns: Columns, records: Records, work: Path, progress: Progress
) -> Columns:
    """The columns that models give which have seen neither a picture nor a copy of it."""
    groups = _copies(columns, _twins(columns), ThresholdSettings().near_duplicate)
    labels = np.where(columns["unreadable"] == "", records.labels, -1)
    judged = out_of_fold(pixels, labels, groups, work, folds=FOLDS, recipe=RECIPE, progress=progress)
    confidence = judged.probabilities[np.arange(len(labels)), labels]
    return {
        "label_confidence": np.where(labels < 0, np.float32(np.nan), confidence),
        "suggested_label": np.where(columns["unreadable"] == "", judged.suggested, -1),
        "label_doubt": judged.label_issue,
        "oddness": judged.outlier,
    }


def _obstacle(records: Records, settings: FilterSettings) -> str:
    """Why labels are not judged; empty where they can be."""
    if not settings.labels:
        return "labels were not judged, as asked for (--no-labels)"
    labelled = int((records.labels >= 0).sum())
    if labelled < _FEWEST:
        return f"labels were not judged: {labelled} pictures have one, and {_FEWEST} are needed to learn from"
    if find_spec("torch") is None:
        return "labels were not judged: that needs PyTorch, pip install 'fer-batch[torch]'"
    return ""


def _scratch(folder: Path, pictures: int) -> NDArray[np.uint8]:
    """Room for all pictures in a file: the system keeps in memory what it has room for."""
    path = folder / "pixels.npy"
    pixels = np.lib.format.open_memmap(path, "w+", np.uint8, (pictures, SIDE, SIDE))
    if hasattr(os, "posix_fallocate"):  # else a disk that is full would end the process without a word
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return pixels


def _described(records: Records) -> Columns:
    """The columns that say which picture a row is of."""
    return {
        "id": np.array(records.ids, object),
        "row": records.rows,
        "split": np.array(records.splits, object),
        "label": records.labels,
    }


def _dropping(settings: FilterSettings) -> tuple[CheckName, ...]:
    """The checks whose issues a clean data set lacks: what cannot be read is never in one."""
    return tuple(name for name in CHECKS if name in {*settings.drop, "unreadable"})


def _twins(columns: Columns) -> NDArray[np.int64]:
    """Where each picture's twin is, exact or near; -1 where it has none."""
    # Of equal ids in two splits the first counts, so that a twin is always earlier.
    place_of = {name: place for place, name in reversed(list(enumerate(columns["id"])))}
    return np.array([place_of.get(name, -1) for name in columns["twin"]], np.int64)


def _copies(columns: Columns, twins: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """The groups of copies, exact or near, as `near_groups` numbers them."""
    similarity = columns["near_similarity"]
    near = NearCopies(similarity, np.where(similarity > 0, twins, -1))
    return near_groups(columns["exact_group"], near, threshold)


def _judge(columns: Columns, settings: FilterSettings, kept: NDArray[np.bool_] | None) -> _Findings:
    twins = _twins(columns)
    leaking = leaking_picture(twins, columns["split"])
    columns = columns | {"leaked_from": np.where(leaking < 0, "", columns["id"][leaking])}
    scores = score_all(columns)
    issues = find_issues(scores, settings.thresholds)
    by_hand = np.zeros(len(twins), bool) if kept is None else kept & ~issues["unreadable"]
    dropped, copies = np.zeros(len(twins), bool), np.zeros(len(twins), bool)
    for name in _dropping(settings):
        (copies if name in _OF_COPIES else dropped)[issues[name] & ~by_hand] = True
    groups = columns["exact_group"]
    if "near_duplicate" in settings.drop:
        groups = _copies(columns, twins, settings.thresholds.near_duplicate)
    dropped |= is_spare_copy(groups, copies, dropped)
    return _Findings(columns, scores, issues, ~dropped)


def _write_table(source: PictureSource, findings: _Findings, facts: dict[str, Any]) -> None:
    """Write `quality.parquet`."""
    columns: Columns = dict(findings.columns)
    described = [*PICTURE_COLUMNS, *MEASUREMENT_COLUMNS]
    for name in CHECKS:
        score, issue = check_columns(name)
        columns |= {score.name: findings.scores[name], issue.name: findings.issues[name]}
        described += [score, issue]
    suspicious = np.logical_or.reduce(list(findings.issues.values()))
    reasons = np.full(len(suspicious), "", object)
    for place in np.flatnonzero(suspicious):
        reasons[place] = findings.reason(place)
    columns |= {"verdict": np.where(findings.keep, "keep", "drop").astype(object), "reason": reasons}
    write_table(source.path / NAME, columns, [*described, *VERDICT_COLUMNS], facts)


def _label(value: int) -> str:
    return LABELS[value] if value >= 0 else ""


def _suspects(source: PictureSource, findings: _Findings, name: CheckName, count: int) -> list[Suspect]:
    """The worst pictures of a check, each with its twin where the check is one of pairs."""
    places = worst(findings.scores[name], count)
    find_twins = CHECKS[name].twins
    twins = find_twins(findings.columns, places) if find_twins else places
    pictures = {
        place: fit(picture) if picture is not None and max(picture.shape) > CELL else picture
        for place, picture in source.pictures({*places.tolist(), *twins.tolist()})
    }
    records = source.records
    suspects = []
    for place, twin in zip(places.tolist(), twins.tolist(), strict=True):
        picture, other, shown = pictures[place], pictures[twin], None
        if twin != place and other is not None:
            shown = Twin(records.ids[twin], records.splits[twin], _label(int(records.labels[twin])), other)
        suspects.append(
            Suspect(
                id=records.ids[place],
                split=records.splits[place],
                label=_label(int(records.labels[place])),
                score=float(findings.scores[name][place]),
                issue=bool(findings.issues[name][place]),
                reason=findings.explain(name, place),
                picture=np.full((SIDE, SIDE), 128, np.uint8) if picture is None else picture,
                twin=shown,
            )
        )
    return suspects


def _write_sheet(source: PictureSource, findings: _Findings, name: CheckName, path: Path) -> Path:
    write_sheet(_suspects(source, findings, name, ON_SHEET), path, title=f"{name}: {CHECKS[name].meaning}")
    return path


def _audit(source: PictureSource, findings: _Findings, settings: FilterSettings, plan: _Plan) -> Audit:
    checks = [
        CheckAudit(
            name=name,
            meaning=check.meaning,
            threshold=getattr(settings.thresholds, name),
            scores=findings.scores[name],
            dropped=name in _dropping(settings),
            note=plan.notes.get(name, ""),
            suspects=_suspects(source, findings, name, ON_PAGE),
        )
        for name, check in CHECKS.items()
    ]
    facts = [("dropped", ", ".join(_dropping(settings)))]
    if plan.labels and _OBSTACLE not in plan.labels:
        models = f"{plan.labels['folds']} models of {plan.labels['recipe']['arch']}"
        facts.append(("labels judged by", f"{models}, each trained on the other folds"))
    facts += versions("numpy", "onnxruntime").items()
    name = readable(source.path.resolve().name)
    return Audit(name, checks, _class_counts(source.records, findings.keep), facts)


def _class_counts(records: Records, keep: NDArray[np.bool_]) -> dict[str, dict[str, tuple[int, int]]]:
    """Pictures before and after, by split and class."""
    splits = np.array(records.splits, object)
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for split in dict.fromkeys(records.splits):
        counts[split] = {}
        for value, name in (*enumerate(LABELS), (-1, UNLABELLED)):
            here = (splits == split) & (records.labels == value)
            if here.any() or value >= 0:
                counts[split][name] = (int(here.sum()), int((here & keep).sum()))
    return counts


def _notes(
    source: PictureSource,
    plan: _Plan,
    findings: _Findings,
    kept: NDArray[np.bool_],
    lacking: list[str],
    written: CleanResult | None,
) -> Iterator[str]:
    """What differs from what was asked for, and what a run that was stopped has left."""
    yield from dict.fromkeys(plan.notes.values())
    unreadable = np.flatnonzero(kept & findings.issues["unreadable"])
    if len(unreadable):
        yield (
            f"--keep names pictures that cannot be read and are dropped all the same: {len(unreadable)}, "
            f"{source.records.ids[unreadable[0]]} first"
        )
    if lacking:
        yield (
            f"--keep names pictures that an earlier step dropped, and the data set lacks: {len(lacking)}, "
            f"{lacking[0]} first"
        )
    lost = written.dropped - int((~findings.keep).sum()) if written else 0
    if lost:
        yield f"pictures that could be measured, but not be read again to be copied, are dropped too: {lost}"
    begun = source.path / f"{NAME}.begun"
    if begun.is_dir():
        yield f"{begun} is kept for a run that goes on to judge labels; remove it if there will be none"


def _dropped(records: Records, findings: _Findings, settings: FilterSettings) -> list[Dropped]:
    dropping = _dropping(settings)
    return [
        Dropped(
            index=int(place),
            id=records.ids[place],
            split=records.splits[place],
            label=_label(int(records.labels[place])),
            checks=tuple(name for name in dropping if findings.issues[name][place]),
            reason=findings.reason(place),
        )
        for place in np.flatnonzero(~findings.keep)
    ]
