"""`fer-batch model`: what models there are, what is in one, a copy of it, and a faster one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from fer_batch.cli.console import JsonOption, stated_path, summary
from fer_batch.settings import ArchitectureName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fer_batch.model.onnx_file import ModelCard

app = typer.Typer(help="List, show, export and quantize models.", no_args_is_help=True)

ARCHITECTURES = get_args(ArchitectureName)
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="`default`, a run folder, or an .onnx file.")
]
OutArgument = Annotated[Path, typer.Argument(metavar="OUT.onnx", parser=stated_path, help="File to write.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace OUT.onnx if it is there.")]


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """Name the trained model that comes with fer-batch, and the architectures that `train` builds."""
    from fer_batch.model.onnx_file import default_model, load_card

    card = load_card(default_model())
    values = {"default": card.architecture, "architectures": ARCHITECTURES}
    text = f"trained:        default ({card.architecture})\narchitectures:  {', '.join(ARCHITECTURES)}"
    summary(values, text, as_json=as_json, quiet=False)


@app.command()
def show(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="`default`, a run folder, an .onnx file, or an architecture."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Print a model's layer table and, where it is trained, its card: heads, training shares and priors too.

    An architecture's table needs PyTorch; a trained model's does not.
    """
    from fer_batch.model.onnx_file import load_card, resolve
    from fer_batch.storage import file_sha256, readable

    if model in ARCHITECTURES:
        from fer_batch.model.layers import architecture_layers

        layers = architecture_layers(model)
        summary({"architecture": model, "layers": layers}, _table(layers), as_json=as_json, quiet=False)
        return
    path = resolve(model)
    card, sha256 = load_card(path), file_sha256(path)
    values = asdict(card) | {"path": readable(path), "bytes": path.stat().st_size, "sha256": sha256}
    text = "\n\n".join([_table(card.layers), _card(card, path, sha256)])
    summary(values, text, as_json=as_json, quiet=False)


@app.command()
def export(
    model: ModelArgument,
    out: OutArgument,
    overwrite: OverwriteOption = False,
    half: Annotated[bool, typer.Option("--half", help="Weights as float16: half the size.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a model and write it as one ONNX file that needs nothing else.

    Input `pixels`: uint8 [N, 1, 48, 48], gray. Outputs: one a head, logits [N, 7]; divide by the
    head's temperature before the softmax. The card is JSON in the metadata, under `fer_batch`.
    """
    from fer_batch.model.onnx_file import check_graph, load_card, read_graph, resolve, save_half
    from fer_batch.storage import atomic_file

    path = resolve(model)
    load_card(path)
    check_graph(read_graph(path, str(path)), str(path))
    _check_out(out, overwrite=overwrite)
    if half:
        save_half(path, out)
    else:
        with atomic_file(out) as partial:
            partial.write_bytes(path.read_bytes())
    _tell(out, {}, [], as_json=as_json)


@app.command()
def quantize(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder, or an .onnx file in float32.")],
    dataset: Annotated[
        Path,
        typer.Argument(metavar="DATASET", parser=stated_path, help="The data set it was trained on."),
    ],
    out: OutArgument,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model in 8-bit integers: smaller, and faster on CPUs, for hardly another answer.

    Scales are fitted to training pictures; temperatures and figures are found anew on the validation
    split. Needs PyTorch.
    """
    _check_out(out, overwrite=overwrite)
    from fer_batch.figures.text import headline
    from fer_batch.training.quantize import quantize as write_int8  # takes seconds: PyTorch

    card = write_int8(model, dataset, out)
    figures = card.figures["val"]
    lines = [f"{head}: {headline(measured)}" for head, measured in figures.items()]
    _tell(out, {"figures": figures}, [*lines, ""], as_json=as_json)


def _check_out(out: Path, *, overwrite: bool) -> None:
    from fer_batch.errors import UsageError

    if out.is_dir():
        raise UsageError(f"{out} is a folder: name the file to write, such as {out / 'model.onnx'}")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists: --overwrite replaces it")


def _tell(out: Path, values: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    from fer_batch.storage import file_sha256, readable

    name = readable(out)
    values = {"path": name, "bytes": out.stat().st_size, "sha256": file_sha256(out)} | values
    summary(values, "\n".join([*lines, f"wrote {name}"]), as_json=as_json, quiet=False)


def _table(layers: Sequence[tuple[str, tuple[int, ...], int]]) -> str:
    """The layer table in the familiar form: layer, output shape, parameters."""
    rows = [(name, str((None, *shape)), f"{parameters:,}") for name, shape, parameters in layers]
    rows.insert(0, ("Layer", "Output shape", "Parameters"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
    rule = "-" * len(lines[0])
    total = sum(parameters for _, _, parameters in layers)
    return "\n".join([lines[0], rule, *lines[1:], rule, f"Total parameters: {total:,}"])


def _card(card: ModelCard, path: Path, sha256: str) -> str:
    from fer_batch.figures.text import headline
    from fer_batch.storage import readable

    lines = [
        f"file:          {readable(path)} ({path.stat().st_size / 1e6:.1f} MB)",
        f"SHA-256:       {sha256}",
        f"architecture:  {card.architecture}, weights as {card.weights}",
        f"labels:        {', '.join(card.labels)}",
        f"input:         gray, {card.input_size}x{card.input_size}, uint8; normalised {card.normalisation}",
        f"crop:          square of side {card.crop.side} x box height, centre shifted by "
        f"({card.crop.centre_x:+}, {card.crop.centre_y:+}) box heights"
        f"{'; by the landmarks where they are known' if card.crop.landmarks else ''}",
        f"trained on:    data with fingerprint {card.training.get('data_fingerprint', 'unknown')}",
        f"epoch:         {card.training.get('epoch', 'unknown')}",
    ]
    sources = card.training.get("heads", {})
    for head, temperature in card.heads.items():
        alone = ", learned from a teacher's answers alone" if sources.get(head) == "teacher" else ""
        lines.append(f"head:          {head}, temperature {temperature}{alone}")
        for split, heads in card.figures.items():
            lines.append(f"               {split}: {headline(heads[head])}")
    return "\n".join([*lines, "", *_heads(card)])


def _heads(card: ModelCard) -> list[str]:
    """How frequent each expression is in each head's training, and how its answers are brought to a prior."""
    if not card.shares:
        return ["training shares: unknown, and priors that need them are refused: train the model again"]
    shares = [
        ("training shares", *card.labels),
        *((head, *(f"{share:.1%}" for share in shares)) for head, shares in card.shares.items()),
    ]
    priors = [
        ("prior", "head", "power", "temperature"),
        *(
            (prior, head, f"{adjustment.power:g}", f"{adjustment.temperature:g}")
            for head, known in card.priors.items()
            for prior, adjustment in known.items()
        ),
    ]
    return [*_aligned(shares), "", *_aligned(priors)]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows of a table: its first column to the left, all others to the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        "  ".join(
            [f"{row[0]:<{first}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], others, strict=True))]
        )
        for row in rows
    ]
