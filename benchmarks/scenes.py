"""Which scene cuts are found, and what is taken for one, in videos whose every cut is known.

    python benchmarks/scenes.py FOOTAGE... [--seeds N] [--minutes M] [--sheet scenes.png]

FOOTAGE are videos and pictures; scikit-image's photographs are added. Scenes of one to four seconds are seen
by a camera that rests, shakes, pans or zooms, some with a head that crosses near the camera; flashes, strobes
and steps of exposure fall on them. They follow each other by cuts, dissolves and fades through black. All of
it is encoded (H.264, 25 frames a second, 320x180) and read back as any video is.

A cut is found where one begins at its frame or the next; a dissolve or a fade where exactly one begins from
five frames before its first mixed frame to five after its last, as TRECVID extends short transitions
(Smeaton, Over & Doherty 2010). Whatever else begins is false. PySceneDetect's
detectors see the same file at their defaults where the package `scenedetect` is installed.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.sources import Source
from fer_batch.annotation.stages import mark
from fer_batch.settings import AnnotateSettings, SamplingSettings, SmoothingSettings

FIRST_SEED = 10
"""Constants were chosen on seeds 0 to 5."""
FPS = 25
WIDTH, HEIGHT = 320, 180
LASTS_S = (1.0, 4.0)
TRANSITIONS = {"cut": 0.6, "dissolve": 0.2, "fade": 0.2}
CAMERAS = {"rest": 0.25, "shake": 0.3, "pan": 0.25, "zoom": 0.2}
CALM = ("rest", "hand")
"""Cameras of the scenes before and after a dissolve."""
LIGHTS = {"even": 0.6, "flash": 0.15, "strobe": 0.1, "exposure": 0.15}
NEAR_HEAD = 0.2
"""Share of scenes in which somebody crosses near the camera."""
GRADUAL_S = (0.4, 1.6)
EXTENDED = 5
"""Frames by which a gradual change is extended at either end."""
PHOTOGRAPHS = (
    "astronaut",
    "coffee",
    "chelsea",
    "rocket",
    "camera",
    "coins",
    "moon",
    "hubble_deep_field",
    "retina",
)
Image = NDArray[np.uint8]
Found = dict[str, list[int]]


@dataclass
class Made:
    """A video, and what is in it."""

    images: list[Image] = field(default_factory=list)
    changes: list[tuple[str, int, int]] = field(default_factory=list)
    """Kind, first and last frame at which the new scene may begin."""
    happening: list[str] = field(default_factory=list)
    """What the camera and the light do, by frame."""


@dataclass
class Score:
    """Changes of scene by kind, and false ones by what happened."""

    all: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)

    def add(self, made: Made, begins: Sequence[int]) -> None:
        """Take in the frames at which scenes were found to begin."""
        left = set(begins)
        for kind, first, last in made.changes:
            self.all[kind] += 1
            inside = sorted(frame for frame in left if first <= frame <= last)
            self.found[kind] += bool(inside)
            left -= set(inside[:1])
            self.false.update({kind: len(inside[1:])} if inside[1:] else {})
            left -= set(inside)
        self.false.update(made.happening[frame] for frame in left)

    @property
    def precision(self) -> float:
        """Share of what was found that is one."""
        return self.found.total() / max(1, self.found.total() + self.false.total())

    @property
    def recall(self) -> float:
        """Share of all that were found."""
        return self.found.total() / max(1, self.all.total())

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.found.total() / max(1, self.found.total() + self.false.total() + self.all.total())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("footage", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each seed, and of shaking alone")
    parser.add_argument(
        "--sheet", type=Path, help="a picture of all changes that were not found, and false ones"
    )
    arguments = parser.parse_args()
    material = takes(arguments.footage)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    scores: dict[str, Score] = {}
    wrong: list[Image] = []
    for seed in seeds:
        made = a_mix(material, arguments.minutes, np.random.default_rng(seed))
        for name, begins in found_in(made).items():
            scores.setdefault(name, Score()).add(made, begins)
            if name == "fer-batch":
                wrong += around_errors(made, begins)
    report(scores, f"{arguments.minutes:g} minutes for each of the seeds {list(seeds)}")
    shaken = a_shake(material, arguments.minutes, np.random.default_rng(seeds[0]))
    false = {name: Score() for name in scores}
    for name, begins in found_in(shaken).items():
        false[name].add(shaken, begins)
        if name == "fer-batch":
            wrong += around_errors(shaken, begins)
    counts = ", ".join(
        f"{name} {score.false.total() - score.false['black']}" for name, score in false.items()
    )
    print(f"\nFalse cuts in {arguments.minutes:g} minutes of shaking: {counts}")
    if arguments.sheet and wrong:
        cv2.imwrite(str(arguments.sheet), cv2.cvtColor(np.vstack(wrong[:60]), cv2.COLOR_RGB2BGR))


def report(scores: dict[str, Score], title: str) -> None:
    """Print a table for each figure."""
    print(title)
    print("\n| detector | precision | recall | F1 | " + " | ".join(TRANSITIONS) + " |\n" + "|---" * 7 + "|")
    for name, score in scores.items():
        kinds = (f"{score.found[kind]} of {score.all[kind]}" for kind in TRANSITIONS)
        figures = (f"{value:.3f}" for value in (score.precision, score.recall, score.f1))
        print("|", *(f"{cell} |" for cell in (name, *figures, *kinds)))
    print("\nFalse, by what happens there:")
    for name, score in scores.items():
        print(f"  {name}:", ", ".join(f"{kind} {n}" for kind, n in score.false.most_common()) or "none")


def takes(footage: Sequence[Path]) -> list[list[Image]]:
    """Frames of each video, and each picture: uint8 [H, W, 3], RGB."""
    found: list[list[Image]] = []
    for path in footage:
        with av.open(str(path)) as container:
            found.append([small(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)])
    for name in PHOTOGRAPHS:
        image = getattr(skimage.data, name)()
        found.append([small(image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB))])
    return found


def small(image: Image) -> Image:
    """No larger than it will be seen, at about its smallest zoom."""
    scale = 1.5 * max(WIDTH / image.shape[1], HEIGHT / image.shape[0])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return image


def a_mix(material: Sequence[list[Image]], minutes: float, rng: np.random.Generator) -> Made:
    """Scenes of all kinds."""
    made, last, before, after = Made(), -1, "", ""
    while len(made.images) < minutes * 60 * FPS:
        chosen = int(rng.choice([n for n in range(len(material)) if n != last]))
        before, after = after, drawn(TRANSITIONS, rng)
        # Nobody dissolves out of a whip pan.
        calm = "dissolve" in (before, after)
        camera, light = (str(rng.choice(CALM)), "even") if calm else (drawn(CAMERAS, rng), drawn(LIGHTS, rng))
        join(made, a_scene(material[chosen], camera, light, material, rng), before, rng)
        last = chosen
    return made


def a_shake(material: Sequence[list[Image]], minutes: float, rng: np.random.Generator) -> Made:
    """One scene after another, each shaken in its own way for twenty seconds, with a second of black between.

    What begins after black is expected; nothing else is.
    """
    made, length = Made(), 20 * FPS
    for take in (material[int(n)] for n in rng.integers(len(material), size=round(minutes * 3))):
        scene = a_scene(take, "shake", "even", material, rng, frames=length)
        first = len(made.images)
        made.images += [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * FPS + scene.images
        made.happening += ["black"] * FPS + scene.happening
        made.changes.append(("black", max(0, first - 1), first + FPS + 2))
    return made


def drawn(shares: dict[str, float], rng: np.random.Generator) -> str:
    """One of the names by their shares."""
    return str(rng.choice(list(shares), p=list(shares.values())))


def a_scene(
    take: list[Image],
    camera: str,
    light: str,
    material: Sequence[list[Image]],
    rng: np.random.Generator,
    frames: int | None = None,
) -> Made:
    """A scene of its own."""
    frames = frames or int(rng.uniform(*LASTS_S) * FPS)
    path = a_path(camera, frames, rng)
    first, way = int(rng.integers(len(take))), 1
    images = []
    for index in range(frames):
        step = (first + way * index) % max(1, 2 * len(take) - 2)  # forwards, backwards, forwards
        images.append(view(take[min(step, 2 * len(take) - 2 - step) if len(take) > 1 else 0], *path[index]))
    happening = camera
    if rng.random() < NEAR_HEAD and camera not in CALM:
        images, happening = with_head(images, material, rng), f"{camera} and head"
    lit = lighted(images, light, rng)
    noise_at = rng.integers(0, WIDTH, frames)
    noise = rng.normal(0, rng.uniform(0.5, 3), (HEIGHT, 2 * WIDTH, 1)).astype(np.float32)
    noisy = [
        np.clip(image + noise[:, at : at + WIDTH], 0, 255) for image, at in zip(lit, noise_at, strict=True)
    ]
    name = happening if light == "even" else f"{light}, {happening}"
    return Made([image.astype(np.uint8) for image in noisy], [], [name] * frames)


def a_path(camera: str, frames: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Where the camera looks, in heights of the view from the middle to the right and down, and its zoom."""
    t = np.arange(frames) / FPS
    x, y, zoom = np.zeros(frames), np.zeros(frames), np.full(frames, rng.uniform(1.3, 1.8))
    if camera in ("shake", "hand"):
        hertz = rng.uniform(0.7, 3.5)
        size = min(rng.uniform(0.02, 0.25), 3.0 / (2 * math.pi * hertz)) if camera == "shake" else 0.01
        x = size * np.sin(2 * math.pi * hertz * t)
        y = size / 2 * np.sin(2.6 * math.pi * hertz * t)
    elif camera == "pan":
        speed, half = rng.uniform(0.2, 4.0), 0.4
        x = half - np.abs((t * speed + rng.uniform(0, 4)) % (4 * half) - 2 * half)
    elif camera == "zoom":
        zoom = zoom * np.exp(rng.uniform(0.1, 0.35) * np.sin(2 * math.pi * rng.uniform(0.3, 1.0) * t))
    return list(zip(x.tolist(), y.tolist(), zoom.tolist(), strict=True))


def view(image: Image, right: float, down: float, zoom: float) -> Image:
    """What a camera sees of a picture."""
    height, width = image.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height) * zoom
    x = WIDTH / 2 - scale * width / 2 - right * HEIGHT
    y = HEIGHT / 2 - scale * height / 2 - down * HEIGHT
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    moved = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    return moved.astype(np.uint8, copy=False)


def with_head(images: list[Image], material: Sequence[list[Image]], rng: np.random.Generator) -> list[Image]:
    """The same frames, a large blurred ellipse of other material crossing them in two to five seconds."""
    other = material[int(rng.integers(len(material)))][0]
    size = (round(HEIGHT * rng.uniform(0.35, 0.6)), round(HEIGHT * rng.uniform(0.6, 0.9)))
    head = cv2.GaussianBlur(cv2.resize(other, size, interpolation=cv2.INTER_AREA), (0, 0), 2)
    mask = np.zeros((size[1], size[0], 1), np.float32)
    cv2.ellipse(mask, (size[0] // 2, size[1] // 2), (size[0] // 2 - 2, size[1] // 2 - 2), 0, 0, 360, 1.0, -1)
    speed = (WIDTH + size[0]) / (rng.uniform(2, 5) * FPS) * rng.choice([-1, 1])
    at, top = rng.uniform(-size[0], WIDTH), HEIGHT - size[1]
    shown = []
    for index, image in enumerate(images):
        x = round((at + speed * index) % (WIDTH + size[0])) - size[0]
        left, right = max(0, x), min(WIDTH, x + size[0])
        image = image.copy()  # noqa: PLW2901
        if left < right:
            part = np.s_[:, left - x : right - x]
            under = image[top:, left:right]
            image[top:, left:right] = under + mask[part] * (head[part].astype(np.float32) - under)
        shown.append(image)
    return shown


def lighted(images: list[Image], light: str, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """The same frames under some light; not yet cut off at white."""
    gains, added = np.ones(len(images)), np.zeros(len(images))
    if light == "flash":
        for at in rng.integers(3, len(images) - 3, rng.integers(1, 4)):
            lasts = int(rng.integers(1, 3))
            gains[at : at + lasts] = rng.uniform(1.5, 4)
            added[at : at + lasts] = rng.uniform(30, 150)
    elif light == "strobe":
        period = int(rng.integers(2, 7))
        gains[np.arange(len(images)) % period < period / 2] = rng.uniform(0.25, 2.5)
    elif light == "exposure":
        at = int(rng.integers(3, len(images) - 3))
        gains[at:] = rng.uniform(0.4, 2.0)
    return [
        image.astype(np.float32) * gain + more
        for image, gain, more in zip(images, gains.tolist(), added.tolist(), strict=True)
    ]


def join(made: Made, scene: Made, transition: str, rng: np.random.Generator) -> None:
    """Put a scene behind the others."""
    count = int(rng.uniform(*GRADUAL_S) * FPS)
    count = min(count, len(scene.images) // 2, len(made.images) // 2)
    first = len(made.images)
    if transition == "cut":
        made.changes.append(("cut", first, first + 1))
    elif transition == "dissolve":
        for step in range(count):
            share = (step + 1) / (count + 1)
            at = first - count + step
            made.images[at] = cv2.addWeighted(made.images[at], 1 - share, scene.images[step], share, 0)
            made.happening[at] = "dissolve"
        made.changes.append(("dissolve", first - count - EXTENDED, first + EXTENDED))
        scene = Made(scene.images[count:], [], scene.happening[count:])
    elif transition == "fade":
        half = max(2, count // 2)
        for step in range(half):
            share = (step + 1) / half
            made.images[-1 - half + step + 1] = cv2.convertScaleAbs(
                made.images[-half + step], None, 1 - share
            )
            scene.images[step] = cv2.convertScaleAbs(scene.images[step], None, share)
        black = int(rng.integers(0, FPS // 2))
        made.images += [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * black
        made.happening += ["fade"] * black
        made.changes.append(("fade", first - half - EXTENDED, first + black + half + EXTENDED))
    made.images += scene.images
    made.happening += scene.happening


def found_in(made: Made) -> Found:
    """Frames at which each detector has a scene begin."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.mp4"
        encode(path, made.images)
        return {name: find(path) for name, find in detectors().items()}


def detectors() -> dict[str, Callable[[Path], list[int]]]:
    """Ours, and PySceneDetect's where it is installed."""
    ours = {
        "fer-batch": lambda path: cuts_of(path, causal=False),
        "fer-batch, causal": lambda path: cuts_of(path, causal=True),
    }
    try:
        import scenedetect
    except ImportError:
        return ours

    def of(kind: type) -> Callable[[Path], list[int]]:
        return lambda path: [int(begin.frame_num) for begin, _ in scenedetect.detect(str(path), kind())[1:]]

    return ours | {
        "PySceneDetect, content": of(scenedetect.ContentDetector),
        "PySceneDetect, adaptive": of(scenedetect.AdaptiveDetector),
    }


def cuts_of(path: Path, *, causal: bool) -> list[int]:
    """Frames at which `annotate` has a scene begin."""
    source = Source("made", path, "video")
    settings = AnnotateSettings(smoothing=SmoothingSettings(causal=causal))
    frames = read_frames(source, SamplingSettings(), DecodeReport())
    return [marked.number for marked in mark(frames, settings) if marked.cut]


def encode(path: Path, images: Sequence[Image]) -> None:
    """Write a video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "26", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def around_errors(made: Made, begins: Sequence[int]) -> Iterator[Image]:
    """A strip of frames for each change that was not found, and each that is false."""
    expected = [(kind, first, last) for kind, first, last in made.changes]
    missed = [(f"missed {k}", f + 2) for k, f, to in expected if not any(f <= b <= to for b in begins)]
    false = [
        (f"false: {made.happening[b]}", b) for b in begins if not any(f <= b <= to for _, f, to in expected)
    ]
    for title, at in missed + false:
        shown = [
            made.images[min(max(0, at + step), len(made.images) - 1)] for step in (-4, -2, -1, 0, 1, 2, 4, 12)
        ]
        strip = np.hstack([cv2.resize(image, (160, 90)) for image in shown])
        cv2.putText(strip, f"{title} {at}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 0), 1)
        yield strip


if __name__ == "__main__":
    main()
