"""What the golden files hold, and how each is made. `golden/regenerate.py` writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fer2013_csv
from videos import encode, landscape, portrait

import fer_batch

FOLDER = Path(__file__).resolve().parent / "golden"


def prepare_listing(folder: Path) -> str:
    """Every file of a prepared data set folder."""
    rows = fer2013_csv.make_rows(42)
    source = fer2013_csv.write_lines(folder / "fer2013.csv", fer2013_csv.fer2013_lines(rows))
    fer_batch.prepare(source, folder / "out")
    return "".join(f"{name}\n" for name in sorted(fer2013_csv.tree(folder / "out")))


def annotate_frames(folder: Path) -> str:
    """`frames.csv` of a video with uneven times, and a face in every other frame."""
    times = (0.0, 0.04, 0.08, 0.5, 0.54, 1.0)
    images = [portrait() if index % 2 else landscape() for index in range(len(times))]
    encode(folder / "visit.mkv", images, times=times)
    fer_batch.annotate([folder / "visit.mkv"], folder / "out")
    return (folder / "out" / "visit" / "frames.csv").read_text(encoding="utf-8")


def annotate_face_columns(folder: Path) -> str:
    """The header of `faces.csv`: what people's scripts name."""
    encode(folder / "visit.mkv", [portrait()] * 3)
    fer_batch.annotate([folder / "visit.mkv"], folder / "out")
    return (folder / "out" / "visit" / "faces.csv").read_text(encoding="utf-8").splitlines()[0] + "\n"


GOLDEN: dict[str, Callable[[Path], str]] = {
    "prepare_listing.txt": prepare_listing,
    "annotate_frames.csv": annotate_frames,
    "annotate_face_columns.csv": annotate_face_columns,
}
