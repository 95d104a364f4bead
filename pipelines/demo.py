"""Annotate a real face: `make demo`.

Renders a ten-second clip by moving over a public-domain portrait at two sizes, looking away from the
face for a while, then reads it as `fer-batch annotate --overlay` would. Needs the `demo` extra.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

import fer_batch
from fer_batch.settings import AnnotateSettings

OUT = Path("out/demo")
WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 25, 10
# Seconds; then centre x, centre y and width, all in pixels of the portrait, that the camera sees.
# From 4 to 6 s it looks at the shuttle model and the flag, where there is no face.
PATH = [
    (0.0, 225, 130, 460),
    (3.5, 240, 120, 200),
    (4.0, 425, 330, 160),
    (6.0, 120, 420, 160),
    (6.5, 215, 125, 170),
    (10.0, 235, 150, 440),
]


def camera_views() -> Iterator[NDArray[np.uint8]]:
    """The clip's frames: uint8 [HEIGHT, WIDTH, 3], RGB."""
    portrait = astronaut()
    times, *places = zip(*PATH, strict=True)
    for index in range(FPS * SECONDS):
        x, y, width = (float(np.interp(index / FPS, times, values)) for values in places)
        scale = WIDTH / width
        shift = np.array([[scale, 0, WIDTH / 2 - scale * x], [0, scale, HEIGHT / 2 - scale * y]])
        view = cv2.warpAffine(
            portrait, shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        yield view.astype(np.uint8, copy=False)


def render(path: Path) -> None:
    """Encode the clip as H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for view in camera_views():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode())


def save_still(video: Path, second: float, path: Path) -> None:
    """Save one frame of a video as PNG."""
    with av.open(str(video)) as container:
        frame = next(frame for frame in container.decode(video=0) if (frame.time or 0) >= second)
        frame.to_image().save(path)


def main() -> None:
    """Render, annotate, and say where everything is."""
    logging.basicConfig(level=logging.WARNING)
    OUT.mkdir(parents=True, exist_ok=True)
    clip = OUT / "astronaut.mp4"
    print(f"Rendering {clip} from a public-domain portrait (NASA, Eileen Collins) ...")
    render(clip)
    print("Reading the expression of every face in every frame ...")
    result = fer_batch.annotate([clip], OUT, AnnotateSettings(overlay=True))
    (row,) = result.rows
    still = OUT / "still.png"
    save_still(OUT / "astronaut" / "overlay.mp4", 1.0, still)
    shares = {name.removeprefix("share_"): value for name, value in row.items() if name.startswith("share_")}
    print(f"\n{row['frames']} frames, {row['faces']} faces; a face in {row['coverage']:.0%} of the frames")
    for label, share in sorted(shares.items(), key=lambda item: -(item[1] or 0)):
        print(f"  {label:<9} {share or 0:>4.0%}")
    print("\nevery face     ", OUT / "astronaut" / "faces.csv")
    print("every frame    ", OUT / "astronaut" / "frames.csv")
    print("overlay video  ", OUT / "astronaut" / "overlay.mp4")
    print("one still      ", still)


if __name__ == "__main__":
    main()
