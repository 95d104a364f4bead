"""What averaging over a track's time does to its labels: the changes it leaves, and those it moves.

    python benchmarks/smoothing.py DATASET VIDEO... [--minutes M] [--plot smoothing.png]

First the videos: how often the label of a track changes, raw and smoothed. Then made-up sequences whose
changes are known: expressions that last 1.5 to 4 seconds, at 25 frames a second, every frame the
classifier's answer to some picture of `val` with that expression. So many of all pictures are read wrong
that no label would hold; here four of five are among those that it reads right with a probability of
0.4 and more, and one among those that it reads wrong. Pictures are drawn anew for every frame, or stay
for a few, as a video's errors do.

An expression begins with the first frame, up to 0.75 s from the true one, from which on its label has
the majority of half a second; the shift is how much later that is. Changes of the label beyond the true
ones are false. `logs`: means of logarithms of the probabilities.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fer_batch.annotation.smooth import smoothed
from fer_batch.annotation.track import Tracker
from fer_batch.dataset import load_split
from fer_batch.emotions import LABELS, Emotion
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.crop import crop_faces
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.picture import ArrayPicture
from fer_batch.model.onnx_file import resolve
from fer_batch.settings import DetectionSettings, QualitySettings, SmoothingSettings, TrackingSettings
from fer_batch.storage import SMOOTHED

SECONDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
FPS = 25
SEEDS = range(3)
LASTS_S = (1.5, 4.0)
HELD = (1, 5, 11)
"""A picture stays for 1 to so many frames."""
SURE = 0.4
WRONG = 0.2
SEARCHED = int(0.75 * FPS)
MAJORITY = round(0.5 * FPS)
SHIFT_WANTED_S = 0.2
ROWS = 60_000
BLOCK = 4096
Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each kind of made-up sequence")
    parser.add_argument("--plot", type=Path, help="raw and smoothed probabilities of the first video")
    arguments = parser.parse_args()
    classifier = Classifier(resolve("default"))
    rows = [video_rows(video, classifier) for video in arguments.videos]
    if arguments.plot:
        draw(rows[0], arguments.plot)
    settings = [SmoothingSettings(s, causal) for causal in (False, True) for s in SECONDS]
    for video, table in zip(arguments.videos, rows, strict=True):
        found = {setting: label_changes(smooth(table, setting)) for setting in settings}
        raw = label_changes(smooth(table, SmoothingSettings(0.0)))
        print(f"{video.name}: {table.num_rows} faces, label changes: raw {raw}; smoothed, by seconds:")
        for causal in (False, True):
            counts = (f"{s:g}: {found[SmoothingSettings(s, causal)]}" for s in SECONDS)
            print("  causal " if causal else "  two-way", ", ".join(counts))
    split = load_split(arguments.dataset, "val")
    known_changes(classifier.probabilities(split.images), split.labels, arguments.minutes)
    cost()


def video_rows(path: Path, classifier: Classifier) -> pa.Table:
    """The faces of a video as rows to smooth."""
    detector = YuNet(resolve_detector("yunet"), DetectionSettings(size=640))
    tracker, times, tracks, found = Tracker(TrackingSettings()), [], [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            faces, card = detector.detect(image), classifier.card
            crops = crop_faces(ArrayPicture(image), faces.boxes, faces.landmarks, card.crop, card.input_size)
            tracks.append(tracker.update(frame.time, faces.boxes, image.shape[:2]))
            times += [frame.time] * len(faces)
            found.append(classifier.probabilities(crops))
    return face_rows(np.array(times), np.concatenate(tracks), np.concatenate(found))


def face_rows(times: NDArray[np.float64], tracks: Numbers, probabilities: Floats) -> pa.Table:
    """Rows as `smoothed` wants them, all of the best quality."""
    columns = {"time_s": times, "track": tracks, "quality": np.ones(len(times), np.float32)}
    return pa.table(columns | dict(zip(LABELS, probabilities.T, strict=True)))


def smooth(table: pa.Table, settings: SmoothingSettings) -> pa.Table:
    """The same rows, smoothed."""
    return pa.concat_tables(smoothed([table], settings, QualitySettings(min_quality=0.0)))


def labels_of(table: pa.Table) -> Numbers:
    """The most probable expression of smoothed rows."""
    return np.column_stack([table[name].to_numpy() for name in SMOOTHED]).argmax(1)


def label_changes(table: pa.Table) -> int:
    """How often the label of a track differs from that of its last row."""
    labels, tracks = labels_of(table), table["track"].to_numpy()
    return sum(int(np.count_nonzero(np.diff(labels[tracks == track]))) for track in np.unique(tracks))


def known_changes(answers: Floats, labels: Numbers, minutes: float) -> None:
    """Print how smoothing fares where every change is known."""
    print(f"\n{minutes:g} minutes, seeds {list(SEEDS)}\n")
    print("| held, frames | way | seconds | shift, median | 95% | largest | above 0.2 s | missed", end=" ")
    print("| false a minute | right |\n|" + "---|" * 10)
    for held in HELD:
        made = [sequence(answers, labels, minutes / len(SEEDS), held, seed) for seed in SEEDS]
        logs = [(np.log(np.maximum(found, 1e-6)), truth) for found, truth in made]
        report(held, "raw", SmoothingSettings(0.0), made, minutes)
        for seconds in SECONDS:
            report(held, "two-way", SmoothingSettings(seconds), made, minutes)
        for seconds in SECONDS:
            report(held, "two-way, logs", SmoothingSettings(seconds), logs, minutes)
        for seconds in SECONDS:
            report(held, "causal", SmoothingSettings(seconds, causal=True), made, minutes)


def sequence(
    answers: Floats, labels: Numbers, minutes: float, held: int, seed: int
) -> tuple[Floats, Numbers]:
    """Answers of the classifier, frame by frame, and the true expressions."""
    rng = np.random.default_rng(seed)
    correct = answers.argmax(1) == labels
    sure = correct & (answers.max(1) >= SURE)
    right = [np.flatnonzero(sure & (labels == emotion)) for emotion in Emotion]
    wrong = [np.flatnonzero(~correct & (labels == emotion)) for emotion in Emotion]
    shown: list[int] = []
    truth: list[int] = []
    emotion = Emotion.NEUTRAL
    while len(shown) < minutes * 60 * FPS:
        emotion = int(rng.choice([other for other in Emotion if other != emotion]))
        lasts = round(rng.uniform(*LASTS_S) * FPS)
        truth += [emotion] * lasts
        while len(shown) < len(truth):
            drawn = rng.choice((wrong if rng.random() < WRONG else right)[emotion])
            shown += [drawn] * min(int(rng.integers(1, held, endpoint=True)), len(truth) - len(shown))
    return answers[shown], np.array(truth)


def report(
    held: int, way: str, settings: SmoothingSettings, made: list[tuple[Floats, Numbers]], minutes: float
) -> None:
    """Smooth every sequence and print a row."""
    shifts: list[float] = []
    missed = false = right = 0
    for found, truth in made:
        times = np.arange(len(found)) / FPS
        labels = labels_of(smooth(face_rows(times, np.zeros(len(found), np.int64), found), settings))
        onsets = np.flatnonzero(np.diff(truth)) + 1
        every = [shift(labels, int(onset), int(truth[onset])) for onset in onsets]
        shifts += [value / FPS for value in every if value is not None]
        missed += every.count(None)
        false += np.count_nonzero(np.diff(labels)) - len(onsets)
        right += np.count_nonzero(labels == truth)
    size = np.abs(shifts)
    cells = (
        *(held, way, f"{settings.seconds:g}", f"{np.median(shifts):+.2f}", f"{np.quantile(size, 0.95):.2f}"),
        *(f"{size.max():.2f}", f"{np.count_nonzero(size > SHIFT_WANTED_S + 1e-6)} of {len(size)}", missed),
        *(f"{false / minutes:.1f}", f"{right / sum(len(truth) for _, truth in made):.1%}"),
    )
    print("|", *(f"{cell} |" for cell in cells), flush=True)


def shift(labels: Numbers, onset: int, emotion: int) -> int | None:
    """How many frames after its true beginning an expression is found to begin; None where it is not."""
    for start in range(max(onset - SEARCHED, 0), min(onset + SEARCHED + 1, len(labels))):
        if labels[start] == emotion and np.mean(labels[start : start + MAJORITY] == emotion) > 0.5:
            return start - onset
    return None


def cost() -> None:
    """Print the time that a row costs, with few faces in a frame and many."""
    probabilities = np.random.default_rng(0).dirichlet(np.ones(len(LABELS)), ROWS).astype(np.float32)
    for faces in (1, 30):
        rows = np.arange(ROWS)
        table = face_rows(rows // faces / FPS, rows % faces, probabilities)
        blocks = [table.slice(start, BLOCK) for start in range(0, ROWS, BLOCK)]
        begin = time.perf_counter()
        for _ in smoothed(blocks, SmoothingSettings(), QualitySettings(min_quality=0.0)):
            pass
        microseconds = (time.perf_counter() - begin) / ROWS * 1e6
        print(f"\n{faces} faces a frame, {FPS} fps, blocks of {BLOCK}: {microseconds:.1f} µs a row", end="")
    print()


def draw(table: pa.Table, path: Path) -> None:
    """The first track's probabilities: raw, smoothed by the default, and the same looking back only."""
    table = table.filter(np.equal(table["track"].to_numpy(), table["track"][0].as_py()))
    times = table["time_s"].to_numpy()
    ways = {
        "raw": SmoothingSettings(0.0),
        "smoothed": SmoothingSettings(),
        "causal": SmoothingSettings(causal=True),
    }
    figure = Figure(figsize=(16, 9), layout="constrained")
    panels = figure.subplots(len(ways), 1, sharex=True)
    for axes, (name, settings) in zip(panels, ways.items(), strict=True):
        found = smooth(table, settings)
        labels = labels_of(found)
        for emotion, column in zip(Emotion, SMOOTHED, strict=True):
            colour = tuple(value / 255 for value in emotion.colour)
            axes.plot(times, found[column].to_numpy(), color=colour, label=emotion.label)
            axes.plot(times[labels == emotion], np.full((labels == emotion).sum(), -0.05), "|", color=colour)
        axes.set(title=f"{name}, {settings.seconds:g} s", ylim=(-0.1, 1))
        axes.grid(alpha=0.3)
    panels[0].legend(ncols=len(LABELS), loc="upper right")
    FigureCanvasAgg(figure).print_png(str(path))


if __name__ == "__main__":
    main()
