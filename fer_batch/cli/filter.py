"""`fer-batch filter`: what is wrong with the pictures and labels of a data set, and a clean one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from fer_batch.cli.console import JsonOption, QuietOption, VerboseOption, console, stated_path, summary
from fer_batch.errors import UsageError
from fer_batch.settings import CheckName, FilterSettings, build, load_toml, merge

if TYPE_CHECKING:
    from fer_batch.quality import FilterResult

_CHECKS: tuple[str, ...] = get_args(CheckName)


def filter_command(
    dataset: Annotated[
        Path,
        typer.Argument(
            parser=stated_path, help="Data set folder that `prepare` wrote, or a folder of class folders."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(parser=stated_path, help="Clean data set to write, of the same kind.")
    ] = None,
    config: Annotated[Path | None, typer.Option(parser=stated_path, help="Settings as TOML.")] = None,
    drop: Annotated[
        str | None,
        typer.Option(
            metavar="CHECK,...",
            help=f"Checks whose pictures a clean data set lacks, of {', '.join(_CHECKS)}.",
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHECK=X", help="Score, 0–1, from which a picture is an issue; one for each check."
        ),
    ] = None,
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHECK=FILE",
            help="Contact sheet (PNG, JPEG, WebP) of a check, in place of what is there; one for each.",
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            parser=stated_path,
            help="Ids that are kept whatever the checks say, unless unreadable: text, or CSV with `id`.",
        ),
    ] = None,
    labels: Annotated[
        bool | None,
        typer.Option(
            "--labels/--no-labels",
            help="Judge labels by models that have not seen them (default): takes minutes, needs PyTorch.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Measure, draw --show, and tell what would be dropped; write no data set."
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace a clean data set of other settings or measurements, or one that lacks files.",
        ),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find what is wrong with the pictures and labels of a data set.

    Scores and verdicts go to quality.parquet in the data set, and what they
    mean, with the worst pictures, to audit.html beside it. With --out, a clean
    data set is written; the data set's own pictures stay as they are. What has
    been measured is not measured again: thresholds can be moved freely. A run
    that was stopped goes on with the same command.
    """
    from fer_batch.quality import filter_dataset

    over = {
        "drop": None if drop is None else _names(drop),
        "labels": labels,
        "thresholds": {
            name: _number(text, name) for name, text in _assigned(threshold or [], "--threshold").items()
        },
    }
    stated = load_toml(config) if config else {}
    build(FilterSettings, stated, origin=str(config))  # so that what is wrong here is not taken for an option
    settings = build(FilterSettings, merge(stated, over), origin="filter")
    sheets: dict[CheckName, Path] = {
        cast(CheckName, name): Path(file) for name, file in _assigned(show or [], "--show").items()
    }
    with console(quiet=quiet, verbose=verbose) as progress:
        result = filter_dataset(
            dataset,
            out,
            settings,
            show=sheets,
            keep=keep,
            dry_run=dry_run,
            overwrite=overwrite,
            progress=progress,
        )
    values = {name: value for name, value in vars(result).items() if name != "path"}
    summary({"dataset": result.path} | values, _text(result, out), as_json=as_json, quiet=quiet)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        _require_check(name, "--drop")
    return names


def _assigned(texts: list[str], option: str) -> dict[str, str]:
    """What stands behind each check's `=`."""
    assigned = {}
    for text in texts:
        name, equals, value = text.partition("=")
        _require_check(name, option)
        if not equals or not value:
            raise UsageError(f"{option} {text} lacks a value: give {name}=...")
        if name in assigned:
            raise UsageError(f"{option} {text}: {name} has {assigned[name]} already; give one for each check")
        assigned[name] = value
    return assigned


def _require_check(name: str, option: str) -> None:
    if name not in _CHECKS:
        raise UsageError(f"{option}: there is no check {name!r}; there are {', '.join(_CHECKS)}")


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--threshold {name}={text}: give a number, 0–1") from None


def _text(result: FilterResult, wanted: Path | None) -> str:
    lines = [
        f"{result.path}: {result.pictures:,} pictures",
        "",
        f"{'check':<24}{'issues':>8}{'share':>9}",
    ]
    for name, count in result.issues.items():
        dropped = "  dropped" if name in result.drop else ""
        cells = f"{'-':>8}{'-':>9}" if count is None else f"{count:>8,}{count / result.pictures:>9.2%}"
        lines.append(f"{name:<24}{cells}{dropped}")
    remain = result.pictures - result.dropped
    lines += ["", f"dropped {result.dropped:,}, kept {remain:,}"]
    lines += [f"note: {note}" for note in result.notes]
    if result.out is not None:
        before = " was there already" if result.already_done else ""
        lines.append(f"clean data set{before}: {result.out}, what was dropped: {result.out / 'dropped.csv'}")
    elif wanted is not None:
        lines.append(f"dry run: {wanted} was not written")
    lines += [f"contact sheet: {sheet}" for sheet in result.sheets]
    lines.append(f"scores and verdicts: {result.table}")
    if result.audit is not None:
        lines.append(f"to look at: {result.audit}")
    return "\n".join(lines)
