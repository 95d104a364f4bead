"""`fer-batch annotate`: expressions of every face in videos and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_batch.cli.console import (
    JsonOption,
    PriorOption,
    QuietOption,
    VerboseOption,
    console,
    stated_path,
    stated_prior,
    summary,
)
from fer_batch.errors import EXIT_PARTIAL, UsageError
from fer_batch.settings import AnnotateSettings, BackendName, DeviceName, HeadChoice, build, load_toml, merge

if TYPE_CHECKING:
    from fer_batch.annotation import AnnotateResult


def annotate(
    sources: Annotated[list[str], typer.Argument(help="Videos, pictures, folders of either, or patterns.")],
    out: Annotated[
        Path, typer.Option(parser=stated_path, help="Folder to write to; may lie inside a source.")
    ],
    config: Annotated[Path | None, typer.Option(parser=stated_path, help="Settings as TOML.")] = None,
    model: Annotated[str, typer.Option(help="`default`, a run folder, or an .onnx file.")] = "default",
    detector: Annotated[str, typer.Option(help="`yunet`, or an .onnx file of its layout.")] = "yunet",
    head: Annotated[
        HeadChoice | None,
        typer.Option(help="Label source to answer for. Default: crowd, if the model has it."),
    ] = None,
    prior: PriorOption = None,
    every: Annotated[int | None, typer.Option(help="Read one frame out of so many. Default: 1.")] = None,
    fps: Annotated[float | None, typer.Option(help="Read at most so many frames a second of video.")] = None,
    start: Annotated[float | None, typer.Option(help="Second of each video to begin at.")] = None,
    end: Annotated[
        float | None, typer.Option(help="Second of each video to stop at. Default, and 0: its end.")
    ] = None,
    detect_size: Annotated[
        str | None,
        typer.Option(metavar="auto|N", help="Longest side of what the detector sees, in pixels."),
    ] = None,
    min_face: Annotated[
        float | None,
        typer.Option(
            help="Height in pixels of the smallest face to be found with --detect-size auto. Default: 96."
        ),
    ] = None,
    detect_every: Annotated[
        int | None, typer.Option(help="Search one frame out of so many; tracks fill the others. Default: 1.")
    ] = None,
    smooth: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation in seconds of the Gaussian that smooths a track. Default: 0.25."
        ),
    ] = None,
    causal: Annotated[
        bool | None, typer.Option("--causal", help="Smooth by what came before only, as live footage must.")
    ] = None,
    min_quality: Annotated[
        float | None, typer.Option(help="Leave the expression of worse faces empty (0–1). Default: 0.")
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="Leave expressions empty that are less probable (0–1). Default: 0.")
    ] = None,
    overlay: Annotated[
        bool | None, typer.Option("--overlay", help="Also write a video with boxes and probabilities.")
    ] = None,
    blur: Annotated[
        bool | None,
        typer.Option("--blur", help="Make faces in the overlay unrecognisable; implies --overlay."),
    ] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,W,H",
            help="Rectangle that is blackened before detection, besides those of --config; may be repeated.",
        ),
    ] = None,
    purpose: Annotated[str | None, typer.Option(help="Why the footage is read, for the manifest.")] = None,
    workers: Annotated[int, typer.Option(help="Sources done at once, each in its own process.")] = 1,
    device: Annotated[DeviceName, typer.Option(help="Where to run the networks.")] = "auto",
    backend: Annotated[BackendName, typer.Option(help="ONNX Runtime, or PyTorch.")] = "auto",
    labels: Annotated[
        Path | None,
        typer.Option(
            parser=stated_path,
            help="CSV of known expressions (source,start_s,end_s,emotion or file,emotion).",
        ),
    ] = None,
    rotate: Annotated[
        Literal["auto", "0", "90", "180", "270"] | None,
        typer.Option(
            help="Degrees by which sources have to be turned clockwise for faces to be upright; auto looks."
        ),
    ] = None,
    faces_only: Annotated[
        bool | None, typer.Option("--faces-only", help="Every picture, or frame, is one face already.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Do partial and failed sources again.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Do finished sources again too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read the expression of every face in every frame of videos and pictures into CSV and Parquet.

    What is finished is passed over; a run that was stopped goes on with the same command.

    Exit code 3: finished, but some sources failed or are partial.
    """
    from fer_batch.annotation import Models, Todo
    from fer_batch.annotation import annotate as run_annotation

    over = {
        "head": head,
        "rotate": int(rotate) if rotate is not None and rotate != "auto" else rotate,
        "overlay": overlay,
        "faces_only": faces_only,
        "sampling": {"every": every, "fps": fps, "start_s": start, "end_s": end},
        "detection": {"size": _size(detect_size), "min_face": min_face, "every": detect_every},
        "smoothing": {"seconds": smooth, "causal": causal},
        "quality": {"min_quality": min_quality, "min_confidence": min_confidence},
        "privacy": {"blur": blur, "masks": _rectangles(mask), "purpose": purpose},
    }
    stated = load_toml(config) if config else {}
    build(
        AnnotateSettings, stated, origin=str(config)
    )  # so that what is wrong here is not taken for an option
    values = merge(stated, over)
    if prior is not None:
        values["prior"] = stated_prior(prior)
    if mask:
        values["privacy"]["masks"] = [
            *stated.get("privacy", {}).get("masks", ()),
            *values["privacy"]["masks"],
        ]
    settings = build(AnnotateSettings, values, origin="annotate")
    with console(quiet=quiet, verbose=verbose) as progress:
        result = run_annotation(
            sources,
            out,
            settings,
            models=Models(model, detector, device, backend),
            todo=Todo(retry=retry, force=force, workers=workers),
            labels=labels,
            dry_run=dry_run,
            progress=progress,
        )
    facts = {
        "out": result.out,
        "head": result.head,
        "due": {name: due.value for name, due in result.due.items()},
        "sources": result.rows,
        "skipped": result.skipped.facts,
        "agreement": None if result.agreement is None else result.agreement.tolist(),
    }
    text = _text(result, dry_run=dry_run)
    if labels is not None and result.agreement is None and not dry_run:
        text += (
            f"\nnothing in {labels} is known of a face that was read: are sources and files named as here?"
        )
    summary(facts, text, as_json=as_json, quiet=quiet)
    if result.troubled:
        raise typer.Exit(EXIT_PARTIAL)


def _size(text: str | None) -> str | int | None:
    if text is None or text == "auto":
        return text
    size = _whole_number(text)
    if size is None:
        raise UsageError(f"--detect-size is {text!r}: give `auto` or a number of pixels")
    return size


def _rectangles(texts: list[str] | None) -> list[list[int]] | None:
    if not texts:
        return None
    rectangles = []
    for text in texts:
        numbers = [number for part in text.split(",") if (number := _whole_number(part)) is not None]
        if len(numbers) != 4 or text.count(",") != 3:
            raise UsageError(f"--mask is {text!r}: give X,Y,WIDTH,HEIGHT in pixels of the upright frame")
        rectangles.append(numbers)
    return rectangles


def _whole_number(text: str) -> int | None:
    try:
        return int(text) if text.strip().isdecimal() else None
    except ValueError:  # more digits than Python reads
        return None


def _text(result: AnnotateResult, *, dry_run: bool) -> str:
    from fer_batch.engine.due import FAILED

    if dry_run:
        lines = [
            f"{'would do' if due.to_do else 'passes'}  {name}: {due.value}"
            for name, due in result.due.items()
        ]
        lines += result.skipped.lines
        return "\n".join(lines)
    done = sum(due.to_do for due in result.due.values())
    failed = sum(row["status"] == FAILED for row in result.rows)
    lines = [
        f"{_counted(len(result.rows), 'source')}: {done} done now, {len(result.rows) - done} done before"
        + (f"; {failed} failed" if failed else "")
        + f"; read with the {result.head} head"
    ]
    for row in result.rows:
        if row["status"] == FAILED:
            continue  # its reason follows
        uncertain = f", {row['uncertain']} uncertain" if row["uncertain"] else ""
        found = f"{_counted(row['frames'], 'frame')}, {_counted(row['faces'], 'face')}{uncertain}"
        lines.append(f"  {row['source']}: {found}, {_shares(row)}")
    if result.agreement is not None:
        right, total = int(result.agreement.trace()), int(result.agreement.sum())
        lines.append(f"known expressions: {right} of {total} faces agree ({right / total:.1%})")
    for row in result.troubled:
        lines.append(f"  {row['status'].upper()} {row['source']}: {row['reason']}")
    for row in result.rows:
        if row["notes"]:
            lines.append(f"  note {row['source']}: {row['notes']}")
    lines += result.skipped.lines
    lines.append(f"written to {result.out}, over all of them {result.out / 'summary.csv'}")
    return "\n".join(lines)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _shares(row: dict[str, object]) -> str:
    shares = {
        name.removeprefix("share_"): share
        for name, share in row.items()
        if name.startswith("share_") and isinstance(share, float) and share > 0
    }
    if not shares:
        return "no expression"
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{label} {share:.0%}" for label, share in ranked)
