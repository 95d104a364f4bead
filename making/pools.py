"""Pictures of each kind that the network learns from, drawn once and kept in a folder.

Each chunk of pictures has its own seed and its own file: drawing resumes where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.storage import atomic_file
from making.flaws import no_face, watermark
from making.graft import Donor, graft
from making.hidden import Drawn, draw_beside, draw_hidden, draw_open
from making.scene import Gray, Rng

FLAWS = ("eyes_hidden", "mouth_hidden", "watermark", "not_a_face")
_CHUNK = 512
_PRINTED = 0.35
"""Share of pictures that a word is printed over."""
_MOUTHS, _HIDING = 0.4, 0.6
"""Share of the parts set into other faces that are mouths, and that are hidden."""
PARTS = ("eyes", "mouth")


@dataclass(frozen=True, eq=False)
class Faces:
    """N pictures of faces to draw on."""

    pictures: NDArray[np.uint8]
    """[N, 48, 48]"""
    landmarks: NDArray[np.float32]
    """[N, 5, 2]; only of those that are drawn on they have to be known."""
    hidden: NDArray[np.float32]
    """[N, 2]: whether the eyes and the mouth are hidden as they are, 0–1; NaN where that is not known."""
    donors: tuple[Sequence[Donor], Sequence[Donor]] = ((), ())
    """Real faces of which something hides the eyes, and others of which something hides the mouth."""


@dataclass(frozen=True, eq=False)
class Pool:
    """N pictures of one kind, and what they are."""

    pictures: NDArray[np.uint8]
    """[N, 48, 48]"""
    flaws: NDArray[np.float32]
    """[N, 4] in the order of `FLAWS`, 0–1; NaN where unknown."""
    rows: NDArray[np.int64]
    """[N], of the faces that they were made of."""


_Draw = Callable[[Faces, int, Rng], Drawn]


def _as_it_is(faces: Faces, index: int, rng: Rng) -> Drawn:  # noqa: ARG001 - as the others
    return Drawn(faces.pictures[index], 0.0, 0.0)


def _nothing(faces: Faces, index: int, rng: Rng) -> Drawn:
    return Drawn(no_face(faces.pictures[index], rng), np.nan, np.nan)


def _over(draw: Callable[[Gray, NDArray[np.float32], Gray, Rng], Drawn]) -> _Draw:
    def over(faces: Faces, index: int, rng: Rng) -> Drawn:
        other = faces.pictures[rng.integers(len(faces.pictures))]
        return draw(faces.pictures[index], faces.landmarks[index], other, rng)

    return over


def _grafted(faces: Faces, index: int, rng: Rng) -> Drawn:
    """A face with the eyes or the mouth of another, hidden or open."""
    part = int(rng.random() < _MOUTHS)
    hides = rng.random() < _HIDING
    known = 1.0
    if hides:
        hidden = faces.donors[part]
        donor = hidden[rng.integers(len(hidden))]
    else:
        other = int(rng.integers(len(faces.pictures)))
        donor = Donor(faces.pictures[other], faces.landmarks[other])
        known = float(faces.hidden[other, part])
    made = graft(faces.pictures[index], faces.landmarks[index], donor, PARTS[part], rng)
    return Drawn(made, known, 0.0) if part == 0 else Drawn(made, 0.0, known)


KINDS: dict[str, _Draw] = {
    "clean": _as_it_is,
    "hidden": _over(draw_hidden),
    "open": _over(draw_open),
    "beside": _over(draw_beside),
    "nothing": _nothing,
    "grafted": _grafted,
}
"""How the pictures of each kind are made."""


def make_pool(
    kind: str, faces: Faces, rows: NDArray[np.int64], folder: Path, seed: int, workers: int
) -> Pool:
    """Draw a pool, or what is missing of it, and read it.

    Args:
        kind: of `KINDS`.
        faces: what is drawn on.
        rows: int64 [N], which of them, in what order; each may be there more than once.
        folder: has the chunks that were drawn before, and gets the others.
        seed: of all that is random.
        workers: processes that draw.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    paths = [folder / f"{kind}-{number:03}.npz" for number in range(len(chunks))]
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    if missing:
        _draw_chunks(kind, faces, {paths[number]: chunks[number] for number in missing}, seed, workers)
    read = [np.load(path) for path in paths]
    flaws = np.concatenate([chunk["flaws"] for chunk in read])
    # What was hidden before stays so; what is not known stays unknown unless it is covered now.
    drawn = flaws[:, :2]
    flaws[:, :2] = np.where(drawn >= 1, drawn, np.maximum(drawn, faces.hidden[rows]))
    return Pool(np.concatenate([chunk["pictures"] for chunk in read]), flaws, rows)


def _draw_chunks(
    kind: str, faces: Faces, chunks: dict[Path, NDArray[np.int64]], seed: int, workers: int
) -> None:
    seeds = [[seed, list(KINDS).index(kind), int(path.stem.rsplit("-", 1)[1])] for path in chunks]
    parts = (_part(faces, rows) for rows in chunks.values())
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(_draw_chunk, repeat(kind), parts, seeds, chunks))


def _part(faces: Faces, rows: NDArray[np.int64]) -> Faces:
    return Faces(faces.pictures[rows], faces.landmarks[rows], faces.hidden[rows], faces.donors)


def _draw_chunk(kind: str, faces: Faces, seed: list[int], path: Path) -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    made = list(_drawn(KINDS[kind], faces, rng, nothing=kind == "nothing"))
    pictures = np.stack([picture for picture, _ in made])
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, pictures=pictures, flaws=np.array([flaws for _, flaws in made], np.float32))


def _drawn(
    draw: _Draw, faces: Faces, rng: Rng, *, nothing: bool
) -> Iterator[tuple[Gray, tuple[float, float, float, float]]]:
    for index in range(len(faces.pictures)):
        drawn = draw(faces, index, rng)
        final, printed = drawn.picture, 0.0
        if rng.random() < _PRINTED:
            final = watermark(drawn.picture, rng)
            seen = np.abs(final.astype(np.int16) - drawn.picture).max() > 25
            printed = 1.0 if seen else np.nan
        yield final, (drawn.eyes, drawn.mouth, printed, float(nothing))
