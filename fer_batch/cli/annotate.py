"""`fer-batch annotate`: expressions of every face in videos and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_batch.cli.console import JsonOption, QuietOption, VerboseOption, console, summary
from fer_batch.errors import EXIT_PARTIAL
from fer_batch.settings import AnnotateSettings, Head, build, load_toml, merge

if TYPE_CHECKING:
    from fer_batch.annotation import AnnotateResult


def annotate(
    sources: Annotated[list[str], typer.Argument(help="Videos, pictures, folders of either, or patterns.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; may lie inside a source.")],
    config: Annotated[Path | None, typer.Option(help="Settings as TOML.")] = None,
    model: Annotated[str, typer.Option(help="`default`, a run folder, or an .onnx file.")] = "default",
    detector: Annotated[str, typer.Option(help="`yunet`, or an .onnx file of its layout.")] = "yunet",
    head: Annotated[Head | None, typer.Option(help="Label source to answer for. Default: fer2013.")] = None,
    every: Annotated[int | None, typer.Option(help="Read one frame out of so many.")] = None,
    fps: Annotated[float | None, typer.Option(help="Read at most so many frames a second of video.")] = None,
    workers: Annotated[int, typer.Option(help="Sources done at once, each in its own process.")] = 1,
    overlay: Annotated[
        bool | None, typer.Option("--overlay", help="Also write a video with boxes and probabilities.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV of known expressions (source,start_s,end_s,emotion or file,emotion)."),
    ] = None,
    faces_only: Annotated[
        bool | None, typer.Option("--faces-only", help="The pictures are face crops already.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Do partial and failed sources again.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Do finished sources again too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read the expression of every face in every frame of videos and pictures into CSV and Parquet.

    What is finished is passed over; a run that was stopped goes on with the same command. Exit code
    3: finished, but some sources failed or are partial.
    """
    from fer_batch.annotation import Models, Todo
    from fer_batch.annotation import annotate as run_annotation

    over = {
        "head": head,
        "overlay": overlay,
        "faces_only": faces_only,
        "sampling": {"every": every, "fps": fps},
    }
    settings = build(
        AnnotateSettings, merge(load_toml(config) if config else {}, over), origin=str(config or "annotate")
    )
    with console(quiet=quiet, verbose=verbose) as progress:
        result = run_annotation(
            sources,
            out,
            settings,
            models=Models(model, detector),
            todo=Todo(retry=retry, force=force, workers=workers),
            labels=labels,
            dry_run=dry_run,
            progress=progress,
        )
    values = {
        "out": result.out,
        "due": {name: due.value for name, due in result.due.items()},
        "sources": result.rows,
        "agreement": None if result.agreement is None else result.agreement.tolist(),
    }
    summary(values, _text(result, dry_run=dry_run), as_json=as_json, quiet=quiet)
    if result.troubled:
        raise typer.Exit(EXIT_PARTIAL)


def _text(result: AnnotateResult, *, dry_run: bool) -> str:
    if dry_run:
        lines = [
            f"{'would do' if due.to_do else 'passes'}  {name}: {due.value}"
            for name, due in result.due.items()
        ]
        return "\n".join(lines)
    done = sum(due.to_do for due in result.due.values())
    lines = [f"{len(result.rows)} sources: {done} done now, {len(result.rows) - done} done before"]
    for row in result.rows:
        lines.append(f"  {row['source']}: {row['frames']} frames, {row['faces']} faces, {_shares(row)}")
    if result.agreement is not None:
        right, total = int(result.agreement.trace()), int(result.agreement.sum())
        lines.append(f"known expressions: {right} of {total} faces agree ({right / total:.1%})")
    for row in result.troubled:
        lines.append(f"  {row['status'].upper()} {row['source']}: {row['reason']}")
    lines.append(f"written to {result.out}, over all of them {result.out / 'summary.csv'}")
    return "\n".join(lines)


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
