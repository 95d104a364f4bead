"""`fer-batch prepare`: FER2013, however it was downloaded, into a dataset folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_batch.cli.console import JsonOption, QuietOption, VerboseOption, console, stated_path, summary
from fer_batch.emotions import LABELS
from fer_batch.errors import EXIT_PARTIAL
from fer_batch.settings import PrepareSettings, build, merge

if TYPE_CHECKING:
    from fer_batch.dataset import PrepareResult


def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            parser=stated_path,
            help="fer2013.csv, icml_face_data.csv, train.csv or test.csv; a zip, tar.gz or gz of them; "
            "a folder with them; or a folder of class folders.",
        ),
    ],
    out: Annotated[Path, typer.Argument(parser=stated_path, help="Dataset folder to write.")],
    ferplus: Annotated[
        Path | None,
        typer.Option(parser=stated_path, help="FER+ votes, fer2013new.csv: joined to the rows one by one."),
    ] = None,
    splits: Annotated[
        Literal["three", "two"] | None,
        typer.Option(help="three: train, val, test (default); two: PublicTest and PrivateTest both in test."),
    ] = None,
    image_format: Annotated[
        Literal["png", "jpg"] | None, typer.Option(help="Format of the pictures: png (default) is lossless.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 where rows were rejected.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace a dataset folder of another source or settings, or that lacks files.",
        ),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Turn FER2013 into pictures in class folders and Parquet tables.

    Rows that cannot be used are listed in rejected.csv with their reason, and
    never stop the rest. The class counts are printed beside the published ones.
    A second run of the same source and settings does nothing.
    """
    from fer_batch.dataset import prepare as run_prepare

    settings = build(
        PrepareSettings, merge({}, {"splits": splits, "image_format": image_format}), origin="prepare"
    )
    with console(quiet=quiet, verbose=verbose) as progress:
        result = run_prepare(source, out, settings, ferplus=ferplus, overwrite=overwrite, progress=progress)
    summary(asdict(result), _text(result), as_json=as_json, quiet=quiet)
    if strict and result.rejected:
        raise typer.Exit(EXIT_PARTIAL)


def _text(result: PrepareResult) -> str:
    rows = sum(sum(counts.values()) for counts in result.counts.values())
    first = f"{result.path}: {rows:,} pictures"
    if result.already_done:
        first = f"nothing to do: {result.path} holds this source with these settings, {rows:,} pictures"
    lines = [first, "", *_table(result), "", *_differences(result)]
    if result.resized:
        lines.append(f"{result.resized:,} pictures were not 48x48 and were resized")
    if result.rejected:
        lines.append(f"{result.rejected:,} rejected: see {result.path / 'rejected.csv'}")
    return "\n".join(lines)


def _table(result: PrepareResult) -> list[str]:
    """The class counts of each split, each beside the published one."""
    splits = list(result.published)
    further = {label for counts in result.counts.values() for label in counts} - set(LABELS)
    lines = [f"{'':10}" + "".join(f"{split:>10}{'published':>11}" for split in splits)]
    for label in (*LABELS, *sorted(further), "total"):
        cells = [
            f"{_cell(result.counts, s, label):>10}{_cell(result.published, s, label):>11}" for s in splits
        ]
        lines.append(f"{label:10}" + "".join(cells))
    return lines


def _cell(table: dict[str, dict[str, int]], split: str, label: str) -> str:
    counts = table.get(split, {})
    count = sum(counts.values()) if label == "total" else counts.get(label)
    return "-" if count is None else f"{count:,}"


def _differences(result: PrepareResult) -> list[str]:
    """What differs from the published counts, a line for every split; or that nothing does."""
    lines: list[str] = []
    for split, published in result.published.items():
        counts = result.counts.get(split, {})
        total = sum(counts.values())
        unlabelled = total - sum(counts.get(label, 0) for label in LABELS)
        if total != sum(published.values()):
            lines.append(f"{split}: {total:,} pictures, published {sum(published.values()):,}")
        elif unlabelled:
            lines.append(f"{split}: as many pictures as published, {unlabelled:,} of them without labels")
        elif counts != published:
            other = [label for label in LABELS if counts[label] != published[label]]
            lines.append(f"{split}: as many pictures as published, with other counts of {', '.join(other)}")
    if not lines:
        return ["the counts are the published ones"]
    return [f"differs from the published data set in {line}" for line in lines]
