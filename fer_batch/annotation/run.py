"""`annotate`: many sources, each done once, and a summary over all of them."""

from __future__ import annotations

import json
import logging
import os
import time
import traceback
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from fer_batch.annotation.labels import Labels, count_agreement, read_labels
from fer_batch.annotation.overlay import clear_overlay
from fer_batch.annotation.parts import discard_parts
from fer_batch.annotation.pipeline import Networks, Outcome, run_stages
from fer_batch.annotation.results import (
    CONFUSION,
    CONFUSION_FILES,
    SUMMARY,
    UNFINISHED,
    has_tables,
    is_of,
    manifest_of,
    read_manifest,
    require_own_tables,
    strangers,
)
from fer_batch.annotation.skipped import Skipped
from fer_batch.annotation.sources import Source, find_sources
from fer_batch.emotions import LABELS
from fer_batch.engine.due import FAILED, LATER_ATTEMPT, OK, PARTIAL, Due, judge
from fer_batch.engine.local import WorkerDied, run_local
from fer_batch.errors import FerBatchError, OccupiedError, OutputError, SourceOpenError, UsageError
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.flaws import FlawFinder
from fer_batch.inference.session import Runtime, choose_runtime
from fer_batch.model.onnx_file import resolve
from fer_batch.progress import Progress, silent
from fer_batch.settings import AnnotateSettings, BackendName, DeviceName, Head, validated
from fer_batch.spreadsheet import neutral_table
from fer_batch.storage import (
    SUMMARY_COLUMNS,
    atomic_file,
    discard_begun,
    file_sha256,
    has_begun,
    in_begun,
    resumable_folder,
    schema,
    versions,
    write_json,
)

RESULTS_VERSION = 12
"""Raised when the same input would give other results, so that finished sources are done again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Models:
    """Which networks to use.

    Attributes:
        classifier: `default`, a run folder, or an .onnx file made by fer-batch.
        detector: `yunet`, or an .onnx file of its layout.
        device: where to run them; `auto` is CUDA where it is to be had.
        backend: what to run them with; `auto` is PyTorch on CUDA and ONNX Runtime on the CPU.
    """

    classifier: str | Path = "default"
    detector: str | Path = "yunet"
    device: DeviceName = "auto"
    backend: BackendName = "auto"


@dataclass(frozen=True)
class Todo:
    """Which sources to do, and in how many processes.

    Attributes:
        retry: do partial and failed sources again.
        force: do finished ones again too.
        workers: processes; each source is done by one.
        apart: have a process of its own for sources even where there is one: what kills it, like a lack of
            memory, fails the source that it worked on, and no other.
    """

    retry: bool = False
    force: bool = False
    workers: int = 1
    apart: bool = False


@dataclass(frozen=True)
class AnnotateResult:
    """What was done, and where it is.

    Attributes:
        out: the results' folder.
        due: why each source was, or was not, done; by name.
        rows: the rows of `summary.csv`, for the sources of this call that have results.
        head: of the model that expressions are read with.
        skipped: what lies among the sources and is not read.
        agreement: int64 [7, 7], known against found expressions; None where none are known.
    """

    out: Path
    due: dict[str, Due]
    rows: list[dict[str, Any]]
    head: Head
    skipped: Skipped = field(default_factory=Skipped)
    agreement: np.ndarray | None = None

    @property
    def troubled(self) -> list[dict[str, Any]]:
        """The rows of sources that failed or are partial."""
        return [row for row in self.rows if row["status"] != OK]


@dataclass(frozen=True)
class _Job:
    """One source with all that its results are made from; picklable."""

    source: Source
    folder: Path
    settings: AnnotateSettings
    classifier: Path
    detector: Path
    runtime: Runtime
    head: Head
    training_shares: dict[str, float] | None
    made_from: dict[str, Any]

    @property
    def networks(self) -> tuple[str | None, ...]:
        """SHA-256 of both networks' files."""
        return self.made_from["model_sha256"], self.made_from["detector_sha256"]


def annotate(
    sources: Sequence[str | Path],
    out: str | Path,
    settings: AnnotateSettings | None = None,
    *,
    models: Models | None = None,
    todo: Todo | None = None,
    labels: str | Path | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> AnnotateResult:
    """Read the expression of every face in every sampled frame of videos and pictures.

    Each source gets a folder under `out`, whole or not there: `faces` and `frames` as CSV and
    Parquet, `overlay.mp4` if wanted, and `manifest.json`. Sources whose results are there already
    are passed over; one that was stopped on the way goes on behind its last part. A source that cannot
    be read, or not to its end, stops no other, nor does one whose folder cannot be written anew because
    something else was laid into it, another run gave it to another source meanwhile, or is at work on it.

    Args:
        sources: videos, pictures, folders of either, or patterns.
        out: the results' folder.
        settings: what to do; None is the default.
        models: which networks.
        todo: which sources, and in how many processes.
        labels: CSV of known expressions; class-named folders of pictures need none.
        dry_run: only tell what would be done.
        progress: told in frames where they are read in this process, else in sources.

    Raises:
        UsageError: a setting cannot be, nothing is found, or somebody else's file is where a table over all
            sources goes.
        SourceOpenError: a named path does not exist.
        DatasetFormatError: `labels` says what cannot be, or of what is not clear.
        ModelError: a network cannot be used.
        OutputError: the results cannot be written; what was finished stays.
    """
    settings, todo, models = validated(AnnotateSettings, settings), todo or Todo(), models or Models()
    if todo.workers < 1:
        raise UsageError(f"workers is {todo.workers}, must be at least 1")
    out = Path(out)
    named, skipped = [sources] if isinstance(sources, str | Path) else sources, Skipped()
    found = find_sources(named, out=out, skipped=skipped)
    known = read_labels(Path(labels), found) if labels else Labels()
    jobs = _jobs(found, out, settings, models)
    head = jobs[0].head
    require_own_tables(out)
    due = {job.source.name: _due(job, todo) for job in jobs}
    to_do = [job for job in jobs if due[job.source.name].to_do]
    if dry_run:
        return AnnotateResult(out, due, [], head, skipped)
    done = _do(to_do, todo, progress)
    for job in jobs:
        if not due[job.source.name].to_do:
            _state_purpose(job)
            _forget_other_attempt(job)
    rows = [_row(done.get(job.source.name) or _last_summary(job.folder)) for job in jobs]
    _write_summary(out, rows)
    agreement = sum(
        count_agreement(job.source, job.folder, known)
        for job, row in zip(jobs, rows, strict=True)
        if has_tables(job.folder) and row["status"] != FAILED
    )
    if not isinstance(agreement, np.ndarray) or not agreement.any():
        if done:  # what it was counted over is no longer all that is there
            for name in CONFUSION_FILES:
                (out / name).unlink(missing_ok=True)
        return AnnotateResult(out, due, rows, head, skipped)
    from fer_batch.figures.confusion import write_confusion  # few runs draw, and each worker would wait

    write_confusion(agreement, out / CONFUSION, "faces of known expression")
    return AnnotateResult(out, due, rows, head, skipped, agreement)


def _due(job: _Job, todo: Todo) -> Due:
    return judge(manifest_of(job.folder), job.made_from, retry=todo.retry, force=todo.force)


def _do(jobs: Sequence[_Job], todo: Todo, progress: Progress) -> dict[str, dict[str, Any]]:
    """Do every source; by its name, the summary of what came of it."""
    workers = max(1, min(todo.workers, len(jobs)))
    threads = max(1, (os.cpu_count() or 1) // workers)
    here = workers == 1 and not todo.apart
    outcomes = run_local(_Work(todo, threads, progress if here else None), jobs, workers, apart=todo.apart)
    done = {}
    try:
        with closing(outcomes):
            for number, outcome in enumerate(outcomes, 1):
                job, summary = outcome.item, outcome.result
                if isinstance(summary, WorkerDied):
                    in_begun(job.folder, clear_overlay)
                    summary = _record_failure(
                        job, f"{summary.reason}; with retry it goes on where it was", ""
                    )
                done[job.source.name] = summary
                if not here:
                    progress("sources", number, len(jobs))
    except BaseException:
        # Workers are ended where they are, and leave what they were drawing.
        for job in jobs:
            with suppress(OutputError):  # what went wrong first is what matters
                in_begun(job.folder, clear_overlay)
        raise
    return done


def _jobs(sources: Sequence[Source], out: Path, settings: AnnotateSettings, models: Models) -> list[_Job]:
    classifier, detector = resolve(models.classifier), resolve_detector(models.detector)
    runtime = choose_runtime(models.device, models.backend)
    changing = replace(settings, privacy=replace(settings.privacy, purpose=""))
    networks = {
        "model_sha256": file_sha256(classifier),
        "detector_sha256": None if settings.faces_only else file_sha256(detector),
    }
    # A wrong model stops before any work.
    opened, _ = _open_models(classifier, detector, settings, runtime, tuple(networks.values()))
    shares = opened.card.shares.get(opened.head)
    common = {
        "results_version": RESULTS_VERSION,
        "settings": json.loads(json.dumps(asdict(changing))),  # as the manifest gives it back
        **networks,
    }
    return [
        _Job(
            source=source,
            folder=out / source.name,
            settings=settings,
            classifier=classifier,
            detector=detector,
            runtime=runtime,
            head=opened.head,
            training_shares=None if shares is None else dict(zip(LABELS, shares, strict=True)),
            made_from={"source": source.identity(), **common},
        )
        for source in sources
    ]


@lru_cache(maxsize=1)
def _open_models(
    classifier: Path,
    detector: Path,
    settings: AnnotateSettings,
    runtime: Runtime,
    _sha256: tuple[str | None, ...],
) -> tuple[Classifier, Networks]:
    """The networks; a process opens them once for all its sources, and anew where a file has changed."""
    found = None if settings.faces_only else YuNet(detector, settings.detection, runtime)
    reads = Classifier(classifier, head=settings.head, prior=settings.prior, runtime=runtime)
    return reads, Networks(found, reads, FlawFinder(mirrored=False))


class _MustStayError(FerBatchError):
    """What lies in a source's folder is not its own, and would go for its new results."""


def _may_go(job: _Job, folder: Path) -> None:
    """Nothing, where what lies in a source's folder may go for its new results.

    Args:
        job: the source.
        folder: where that lies now.

    Raises:
        _MustStayError: some of it was laid there by somebody else, or it has become another source's.
    """
    if added := strangers(folder):
        raise _MustStayError(
            f"{job.folder} is to be written anew, and holds {', '.join(added)}, which annotate did not "
            "write and which would go with it: move that, and run again with --retry"
        )
    manifest = read_manifest(folder)
    if manifest is not None and not is_of(manifest, job.made_from["source"]):
        raise _MustStayError(
            f"{job.folder} has become the folder of {manifest['made_from']['source']['path']} meanwhile: run "
            "again, and this source gets another"
        )


@dataclass(frozen=True)
class _Work:
    """Do one source, whatever comes of it, and tell its summary; picklable where `progress` is None."""

    todo: Todo
    threads: int
    progress: Progress | None

    def __call__(self, job: _Job) -> dict[str, Any]:
        if not _due(job, self.todo).to_do:  # any more: another run has done it
            return _last_summary(job.folder)
        try:
            return self._annotate(job)
        except OccupiedError as error:
            return _failure(job, str(error))  # recorded nowhere: the folder may be the other's by now
        except OutputError:
            raise  # what cannot be written for one source cannot be for the next
        except _MustStayError as error:
            return _record_failure(job, str(error), "")  # and what is begun goes on once that is moved
        except FerBatchError as error:
            summary = _record_failure(job, str(error), "")
            # A source of which something was read could be opened: the next start may find it so again.
            if not (isinstance(error, SourceOpenError) and has_begun(job.folder)):
                discard_begun(job.folder)
            return summary
        except Exception as error:  # noqa: BLE001 - the one place that isolates a source from the others
            _log.exception("%s", job.source.path)
            return _record_failure(job, f"unexpected {type(error).__name__}: {error}", traceback.format_exc())

    def _annotate(self, job: _Job) -> dict[str, Any]:
        _may_go(job, job.folder)
        started = time.monotonic()
        _, networks = _open_models(job.classifier, job.detector, job.settings, job.runtime, job.networks)

        def told(stage: str, frames: int) -> None:
            if self.progress is not None:
                self.progress(f"{job.source.name} {stage}".rstrip(), frames, None)

        # The same source read on another device, or by another library, has other last digits.
        key = {**job.made_from, **_made_by(job)}
        with resumable_folder(job.folder, key, lambda there: _may_go(job, there)) as folder:
            outcome = run_stages(
                job.source,
                job.made_from["source"],
                folder,
                job.settings,
                networks,
                threads=self.threads,
                told=told,
            )
            summary = _summary(job, outcome)
            _may_go(job, job.folder)  # asked while there are parts to go on from
            _write_manifest(folder, job, summary, outcome, time.monotonic() - started)
            discard_parts(folder / "parts")
        return summary


def _summary(job: _Job, outcome: Outcome) -> dict[str, Any]:
    totals, problems = outcome.totals, outcome.problems
    stated = sum(totals.expressions)
    shares = {
        f"share_{label}": n / stated if stated else None
        for label, n in zip(LABELS, totals.expressions, strict=True)
    }
    return {
        "source": job.source.name,
        "status": PARTIAL if problems else OK,
        "reason": "; ".join(problems) or None,
        "notes": "; ".join(outcome.notes) or None,
        "seconds": totals.last_time_s,
        "frames": totals.frames,
        "faces": totals.faces,
        "tracks": totals.tracks if job.source.kind == "video" else None,
        "uncertain": totals.uncertain,
        "faces_missed_estimate": totals.missed_estimate,
        "coverage": totals.frames_with_faces / totals.frames if totals.frames else 0.0,
        **shares,
    }


def _failure(job: _Job, reason: str) -> dict[str, Any]:
    """The summary of a source that failed; where no manifest holds it, the source stays due."""
    return {"source": job.source.name, "status": FAILED, "reason": reason, "frames": 0, "faces": 0}


def _record_failure(job: _Job, reason: str, trace: str) -> dict[str, Any]:
    """Write why there are no results, and return the summary that says so.

    Those of an earlier run stay; their manifest tells of it. Nothing is written where the folder has become
    another's: the next run finds this source as if it had never been done.
    """
    summary = _failure(job, reason)
    manifest = read_manifest(job.folder)
    anothers = strangers(job.folder) if manifest is None else not is_of(manifest, job.made_from["source"])
    if anothers:
        return summary
    kept = has_tables(job.folder)
    if kept:
        summary["reason"] = f"{reason} (the results of an earlier run are still in its folder)"
    if kept and manifest is not None:
        attempt = {"made_from": job.made_from, "summary": summary}
        write_json(manifest_of(job.folder), manifest | {LATER_ATTEMPT: attempt})
    else:
        _write_manifest(job.folder, job, summary | ({"traceback": trace} if trace else {}), None, None)
    return summary


def _write_manifest(
    folder: Path, job: _Job, summary: dict[str, Any], outcome: Outcome | None, seconds: float | None
) -> None:
    manifest = {
        "status": summary["status"],
        "reason": summary["reason"],
        "notes": outcome.notes if outcome else [],
        "rotation": 90 * outcome.quarters if outcome else None,
        "summary": summary,
        "purpose": job.settings.privacy.purpose or None,
        "head": job.head,
        "training_shares": job.training_shares,
        "made_from": job.made_from,
        **_made_by(job),
        "timings": {"seconds": seconds},
    }
    write_json(manifest_of(folder), manifest)


def _made_by(job: _Job) -> dict[str, Any]:
    network = "torch" if job.runtime.backend == "torch" else "onnxruntime"
    return {
        "runtime": asdict(job.runtime),
        "versions": versions("av", "numpy", network, "opencv-python-headless"),
    }


def _state_purpose(job: _Job) -> None:
    """Have the manifest of results that stay as they are say what they are read for now."""
    manifest, purpose = read_manifest(job.folder), job.settings.privacy.purpose
    if manifest is not None and purpose and manifest.get("purpose") != purpose:
        write_json(manifest_of(job.folder), manifest | {"purpose": purpose})


def _forget_other_attempt(job: _Job) -> None:
    """Have results that are of this source as it is now stand again, where it had been another in between."""
    manifest = read_manifest(job.folder)
    if manifest is not None and manifest["made_from"] == job.made_from and LATER_ATTEMPT in manifest:
        write_json(manifest_of(job.folder), {k: v for k, v in manifest.items() if k != LATER_ATTEMPT})


def _last_summary(folder: Path) -> dict[str, Any]:
    """What was last said of a folder's source; nothing where there is no manifest of `annotate`'s."""
    manifest = read_manifest(folder)
    return manifest.get(LATER_ATTEMPT, manifest)["summary"] if manifest else {}


def _row(summary: dict[str, Any]) -> dict[str, Any]:
    return {column.name: summary.get(column.name) for column in SUMMARY_COLUMNS}


def _write_summary(out: Path, done: list[dict[str, Any]]) -> None:
    """A row for every source that has a manifest under `out`, from earlier calls too.

    Args:
        out: the results' folder.
        done: this call's rows; those of failures that no manifest tells of come last.
    """
    manifests = []
    # Another run may move or remove folders meanwhile, which ends `rglob`.
    for folder, inside, files in os.walk(out):
        inside[:] = [name for name in inside if PurePath(name).suffix not in UNFINISHED]
        if "manifest.json" in files:
            manifests.append(manifest_of(Path(folder)))
    summaries = [_last_summary(manifest.parent) for manifest in sorted(manifests)]
    rows = [_row(summary) for summary in summaries if summary]
    listed = {row["source"] for row in rows}
    rows += [row for row in done if row["status"] == FAILED and row["source"] not in listed]
    table = pa.Table.from_pylist(rows, schema(SUMMARY_COLUMNS))
    with atomic_file(out / SUMMARY) as partial:
        pyarrow.csv.write_csv(neutral_table(table), partial, pyarrow.csv.WriteOptions(quoting_style="needed"))
