"""A small data set folder that a network can learn: seven kinds of stripes for seven expressions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fer_batch.dataset import prepare

_USAGES = ("Training", "PublicTest", "PrivateTest")


def write_stripes(folder: Path, *, train: int = 140, held_out: int = 35, ferplus: bool = True) -> Path:
    """Make and prepare `fer2013.csv` with striped pictures; returns the data set folder.

    The first held-out row of each split has the pixels of the first training row.
    """
    rng = np.random.default_rng(0)
    lines, votes = (
        ["emotion,pixels,Usage"],
        ["Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"],
    )
    order = {0: 4, 1: 5, 2: 6, 3: 1, 4: 3, 5: 2, 6: 0}
    first: np.ndarray | None = None
    for usage, count in zip(_USAGES, (train, held_out, held_out), strict=True):
        for index in range(count):
            emotion = index % 7
            wave = 100 * np.sin(2 * np.pi * (emotion + 1) * np.arange(48) / 48)[:, None]
            picture = np.clip(128 + wave + rng.normal(0, 15, (48, 48)), 0, 255).astype(int)
            first = picture if first is None else first
            picture = first if index == 0 else picture
            lines.append(f"{emotion},{' '.join(map(str, picture.ravel()))},{usage}")
            counts = [0] * 10
            counts[order[emotion]] = 8
            counts[8] = 2
            votes.append(",".join([usage, f"fer{len(lines):07d}.png", *map(str, counts)]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fer2013.csv").write_text("\n".join(lines) + "\n")
    (folder / "votes.csv").write_text("\n".join(votes) + "\n")
    prepare(folder / "fer2013.csv", folder / "data", ferplus=folder / "votes.csv" if ferplus else None)
    return folder / "data"
