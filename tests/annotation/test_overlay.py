"""Overlays of real videos and pictures, drawn from tables made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from videos import encode, landscape, moving_face, portrait

from fer_batch.annotation import overlay
from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.overlay import draw_overlay
from fer_batch.annotation.sound import add_sound
from fer_batch.annotation.sources import Source
from fer_batch.emotions import LABELS, Emotion
from fer_batch.errors import InputError, OutputError, SourceOpenError
from fer_batch.inference.detector import YuNet, yunet_file
from fer_batch.settings import AnnotateSettings, DetectionSettings, PrivacySettings, SamplingSettings
from fer_batch.storage import (
    FACE_COLUMNS,
    FRAME_COLUMNS,
    LANDMARK_COLUMNS,
    QUALITY_PARTS,
    SMOOTHED,
    VIDEO_ONLY,
    schema,
)

UNCERTAIN = (110, 110, 110)
"""The colour of faces whose expression is left empty."""
BEEP = (1.0, 1.5)
"""When the sound of `film` can be heard, in seconds since its pictures' start."""


def face(box: Sequence[float], emotion: Emotion | None = Emotion.HAPPY, **others: Any) -> dict[str, Any]:
    """A row of `faces` without its frame; `box` is x0, y0, x1, y1."""
    x0, y0, x1, y1 = (float(value) for value in box)
    probabilities = np.full(7, 0.05)
    probabilities[Emotion.HAPPY if emotion is None else emotion] = 0.7
    named = {
        name: value for names in (LABELS, SMOOTHED) for name, value in zip(names, probabilities, strict=True)
    }
    shown = None if emotion is None else emotion.label
    place = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
    return {
        "track": 0,
        "detection_score": 0.9,
        "emotion": shown,
        "smoothed_emotion": shown,
        **place,
        **named,
        **others,
    }


class Annotated:
    """A source with tables made by hand, and the overlay drawn from them."""

    def __init__(
        self, path: Path, folder: Path, faces: dict[int, list[dict[str, Any]]] | None = None
    ) -> None:
        suffix, self.folder = path.suffix, folder
        kind = "images" if path.is_dir() else "image" if suffix == ".png" else "video"
        self.source = Source("source", path, kind)
        self.faces = faces or {}
        self.told: list[int] = []

    @property
    def drawn(self) -> list[str]:
        """Names of all that there is of overlays."""
        return sorted(path.name for path in self.folder.glob("overlay*"))

    def draw(self, settings: AnnotateSettings | None = None, *, known: slice = slice(None)) -> None:
        """Write the tables of what is read with these settings, `known` of it, and draw."""
        settings = settings or AnnotateSettings()
        self.folder.mkdir(exist_ok=True)
        left_out = {"file"} if self.source.kind == "video" else VIDEO_ONLY
        read = list(read_frames(self.source, settings.sampling, DecodeReport()))
        rows, faces = [], []
        for frame in read[known]:
            place = {"source": "source", "file": frame.file, "frame": frame.index, "time_s": frame.time_s}
            found = self.faces.get(frame.index, [])
            height, width = (None, None) if frame.picture is None else frame.picture.size
            status = {"faces": len(found), "status": "corrupt" if frame.corrupt else "ok"}
            rows.append(place | status | {"width": width, "height": height})
            faces += [place | one | {"face": number} for number, one in enumerate(found)]
        for name, columns, content in (
            ("frames", FRAME_COLUMNS, rows),
            ("faces", (*FACE_COLUMNS, *QUALITY_PARTS, *LANDMARK_COLUMNS), faces),
        ):
            there = schema([column for column in columns if column.name not in left_out])
            # Small groups, so that reading goes from one to the next.
            pq.write_table(
                pa.Table.from_pylist(content, there), self.folder / f"{name}.parquet", row_group_size=7
            )
        draw_overlay(self.source, self.source.identity(), self.folder, settings, self.told.append)

    @property
    def video(self) -> Path:
        return self.folder / "overlay.mp4"

    def shown(self) -> tuple[list[float], list[NDArray[np.uint8]]]:
        """The overlay's times in seconds and its pictures, RGB."""
        with av.open(str(self.video)) as container:
            frames = list(container.decode(video=0))
        return [frame.time for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames]


def film(
    path: Path,
    codec: str = "aac",
    *,
    pictures_at: float = 0.0,
    sound_at: float = 0.0,
    seconds: float = 3.0,
    rate: int = 48_000,
) -> Path:
    """A gray video at 25 frames a second, and silence with a tone in its midst; each has its own start."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"g": "10"})
        audio = container.add_stream(codec, rate=rate, layout="stereo", options={"strict": "experimental"})
        # AVI knows only steady rates.
        clock = Fraction(1, 25) if path.suffix == ".avi" else Fraction(1, 90_000)
        video.width, video.height, video.codec_context.time_base = 320, 180, clock
        packets = []
        for index in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(landscape(), format="rgb24")
            frame.pts, frame.time_base = round((pictures_at + index / 25) / clock), clock
            packets += video.encode(frame)
        times = np.arange(round(seconds * rate)) / rate + sound_at - pictures_at
        tone = np.where((times >= BEEP[0]) & (times < BEEP[1]), np.sin(2 * np.pi * 600 * times) / 2, 0)
        samples = av.AudioFrame.from_ndarray(np.stack([tone, tone]).astype(np.float32), "fltp", "stereo")
        samples.sample_rate, samples.pts, samples.time_base = rate, round(sound_at * rate), Fraction(1, rate)
        packets += [*video.encode(None), *audio.encode(samples), *audio.encode(None)]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def heard(path: Path) -> tuple[str, float, float, float, float]:
    """Codec of a file's sound, its first and last time, and when the tone begins and ends, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        times, loudness = [], []
        for frame in container.decode(stream):
            samples = np.abs(frame.to_ndarray()).max(0)
            times.append(frame.time + np.arange(len(samples)) / frame.sample_rate)
            loudness.append(samples)
        time, loud = np.concatenate(times), np.concatenate(loudness) > 0.1
        name = stream.codec_context.codec.canonical_name
    return name, time[0], time[-1], time[loud][0], time[loud][-1]


def differs(image: NDArray[np.uint8], original: NDArray[np.uint8], box: Sequence[int]) -> bool:
    """Whether anything was drawn in a box, beyond what encoding does."""
    x0, y0, x1, y1 = box
    return bool(np.abs(image[y0:y1, x0:x1].astype(int) - original[y0:y1, x0:x1]).max() > 50)


def alike(image: NDArray[np.uint8], original: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
    """Correlation of a face's detail, all that is finer than a sixth of it, in two pictures."""
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    # The box itself is drawn along its sides.
    inside = slice(y0 + 8, y1 - 8), slice(x0 + 8, x1 - 8)
    pictures = [picture.astype(np.float32) for picture in (image, original)]
    details = [picture - cv2.GaussianBlur(picture, (0, 0), (x1 - x0) / 12) for picture in pictures]
    return float(np.corrcoef(*(detail[inside].ravel() for detail in details))[0, 1])


def has_colour(image: NDArray[np.uint8], colour: Sequence[int]) -> bool:
    """Whether the colour fills as much as a label."""
    return int((np.abs(image.astype(int) - colour).max(2) < 25).sum()) > 300


def test_every_frame_is_drawn_at_its_time(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.52, 1.0, 2.5]
    path = encode(tmp_path / "a.mp4", [landscape()] * 7, times=times)
    done = Annotated(path, tmp_path / "out", {1: [face((100, 60, 180, 150))], 5: [face((20, 60, 90, 150))]})
    done.draw()
    shown, images = done.shown()
    np.testing.assert_allclose(shown, times, atol=1e-4)
    drawn = [differs(image, landscape(), (0, 0, 320, 180)) for image in images]
    assert drawn == [False, True, False, False, False, True, False]
    assert has_colour(images[1], Emotion.HAPPY.colour)
    assert done.told == [1, 2, 3, 4, 5, 6, 7]
    with av.open(str(done.video)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264"]
        # The last frame is shown as long as the one before it.
        assert container.duration / av.time_base == pytest.approx(4.0, abs=0.01)
    assert sorted(path.name for path in done.folder.iterdir()) == [
        "faces.parquet",
        "frames.parquet",
        "overlay.mp4",
    ]


@pytest.mark.parametrize(
    ("name", "codec", "expected", "starts"),
    [
        ("a.mp4", "aac", "aac", {}),
        ("a.mkv", "libopus", "opus", {}),
        ("a.mkv", "vorbis", "aac", {}),
        ("a.mov", "pcm_s16le", "aac", {}),
        ("a.mp4", "libmp3lame", "mp3", {}),
        ("late.ts", "aac", "aac", {"pictures_at": 10.0, "sound_at": 10.0}),
        ("sound_first.ts", "aac", "aac", {"pictures_at": 10.5, "sound_at": 10.0}),
        ("sound_last.ts", "mp2", "aac", {"pictures_at": 10.0, "sound_at": 10.5}),
        ("sound_first.mp4", "aac", "aac", {"pictures_at": 0.5}),
        ("sound_last.mkv", "libopus", "opus", {"sound_at": 0.5}),
    ],
)
def test_sound_is_heard_when_it_was(
    tmp_path: Path, name: str, codec: str, expected: str, starts: dict[str, float]
) -> None:
    done = Annotated(film(tmp_path / name, codec, **starts), tmp_path / "out")
    done.draw()
    found, first, last, tone, silence = heard(done.video)
    lead = starts.get("sound_at", 0.0) - starts.get("pictures_at", 0.0)
    assert found == expected
    assert first == pytest.approx(max(lead, 0), abs=0.06)
    assert last == pytest.approx(3 + lead, abs=0.06)
    assert (tone, silence) == pytest.approx(BEEP, abs=0.02)
    times, _ = done.shown()
    np.testing.assert_allclose(times, np.arange(75) / 25, atol=1e-3)


@pytest.mark.parametrize("pictures_at", [0.0, 1.0])
def test_sound_of_an_avi_is_heard_when_it_was(tmp_path: Path, pictures_at: float) -> None:
    done = Annotated(film(tmp_path / "a.avi", "ac3", pictures_at=pictures_at), tmp_path / "out")
    done.draw()
    # It does not say how many frames the encoder held back, which here is up to two.
    assert heard(done.video)[3:] == pytest.approx(BEEP, abs=0.09)
    np.testing.assert_allclose(done.shown()[0], np.arange(75) / 25, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "codec", "start_s"),
    [("a.mp4", "aac", 0.0), ("a.mkv", "libopus", 0.0), ("a.mkv", "vorbis", 0.0), ("late.ts", "aac", 10.0)],
)
def test_the_overlay_of_a_part_begins_and_ends_with_it(
    tmp_path: Path, name: str, codec: str, start_s: float
) -> None:
    path = film(tmp_path / name, codec, pictures_at=start_s, sound_at=start_s)
    done = Annotated(path, tmp_path / "out")
    done.draw(AnnotateSettings(sampling=SamplingSettings(start_s=0.8, end_s=2.0)))
    times, _ = done.shown()
    np.testing.assert_allclose(times, np.arange(31) / 25, atol=1e-3)
    _, first, last, tone, silence = heard(done.video)
    assert first == pytest.approx(0, abs=0.03)
    assert last == pytest.approx(1.2, abs=0.05)
    assert (tone, silence) == pytest.approx((0.2, 0.7), abs=0.02)


def test_dropped_frames_leave_times_and_sound_as_they_were(tmp_path: Path) -> None:
    done = Annotated(film(tmp_path / "a.mp4"), tmp_path / "out", {15: [face((100, 60, 180, 150))]})
    done.draw(AnnotateSettings(sampling=SamplingSettings(every=5)))
    times, images = done.shown()
    np.testing.assert_allclose(times, np.arange(15) / 5, atol=1e-3)
    assert [has_colour(image, Emotion.HAPPY.colour) for image in images].index(True) == 3
    assert heard(done.video)[3] == pytest.approx(BEEP[0], abs=0.02)


def test_joined_recordings_are_heard_one_after_the_other(tmp_path: Path) -> None:
    path = film(tmp_path / "a.ts", pictures_at=10.0, sound_at=10.0)
    path.write_bytes(path.read_bytes() * 2)
    done = Annotated(path, tmp_path / "out")
    done.draw()
    assert done.shown()[0][-1] == pytest.approx(149 / 25, abs=0.1)
    _, _, last, tone, silence = heard(done.video)
    assert last == pytest.approx(6, abs=0.1)
    assert (tone, silence) == pytest.approx((BEEP[0], 3 + BEEP[1]), abs=0.06)


@pytest.mark.parametrize("clocks", [(10, 60, 2), (10, 10, 10), (60, 30, 2), (2, 30, 60)])
def test_whatever_their_clocks_joined_recordings_are_heard(tmp_path: Path, clocks: tuple[int, ...]) -> None:
    parts = [film(tmp_path / f"{clock}.ts", pictures_at=clock, sound_at=clock) for clock in clocks]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    done = Annotated(path, tmp_path / "out")
    done.draw()
    assert done.shown()[0][-1] == pytest.approx(224 / 25, abs=0.15)
    _, first, last, tone, silence = heard(done.video)
    assert (first, last) == pytest.approx((0, 9), abs=0.15)
    assert (tone, silence) == pytest.approx((BEEP[0], 6 + BEEP[1]), abs=0.15)


def test_names_may_look_like_protocols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "12:30.mp4")
    monkeypatch.chdir(tmp_path)
    done = Annotated(Path("12:30.mp4"), Path("at 12:30"))
    done.draw()
    assert heard(done.video.absolute())[3] == pytest.approx(BEEP[0], abs=0.02)


def test_a_stopped_run_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    moving = Annotated(film(tmp_path / "a.mp4"), tmp_path / "out")
    moving.folder.mkdir()
    (moving.folder / "overlay.silent.mp4").write_bytes(b"half a video")
    moving.draw()
    assert heard(moving.video)[3] == pytest.approx(BEEP[0], abs=0.02)
    cv2.imwrite(str(tmp_path / "a.png"), portrait())
    still = Annotated(tmp_path / "a.png", tmp_path / "still")
    (still.folder / "overlay").mkdir(parents=True)
    still.draw()
    assert (still.folder / "overlay" / "00000-a.png").is_file()


def test_an_interrupted_overlay_leaves_no_face_behind(tmp_path: Path) -> None:
    class Interrupting(list[int]):
        def append(self, frames: int) -> None:
            if frames == 20:
                raise KeyboardInterrupt

    done = Annotated(film(tmp_path / "a.mp4"), tmp_path / "out")
    done.told = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        done.draw()
    assert done.drawn == []


@pytest.mark.parametrize("sampling", [SamplingSettings(every=1000), SamplingSettings(start_s=0.5)])
def test_an_overlay_of_one_frame_can_be_seen(tmp_path: Path, sampling: SamplingSettings) -> None:
    done = Annotated(
        encode(tmp_path / "a.mp4", [landscape()] * 4, times=[0, 0.1, 0.2, 0.5]), tmp_path / "out"
    )
    done.draw(AnnotateSettings(sampling=sampling))
    assert done.shown()[0] == [0]
    with av.open(str(done.video)) as container:
        assert container.duration / av.time_base == pytest.approx(0.04, abs=0.001)


def test_damaged_sound_does_not_lose_the_overlay(tmp_path: Path) -> None:
    path = film(tmp_path / "a.ts", pictures_at=10.0, sound_at=10.0)
    packets = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 188).copy()
    identifiers = (packets[:, 1].astype(int) & 0x1F) << 8 | packets[:, 2]
    sound = np.flatnonzero(identifiers == 0x101)
    packets[sound[len(sound) // 2 :: 3], 20:] = 0xA5
    path.write_bytes(packets.tobytes())
    done = Annotated(path, tmp_path / "out")
    done.draw()
    times, _ = done.shown()
    np.testing.assert_allclose(times, np.arange(75) / 25, atol=1e-3)
    assert heard(done.video)[3] == pytest.approx(BEEP[0], abs=0.02)


@pytest.mark.parametrize("codec", ["mp2", "aac"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 1.0])
def test_one_damaged_time_of_the_sound_moves_no_other(tmp_path: Path, codec: str, place: float) -> None:
    path = film(tmp_path / "a.ts", codec, pictures_at=10.0, sound_at=10.0)
    packets = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 188).copy()
    identifiers = (packets[:, 1].astype(int) & 0x1F) << 8 | packets[:, 2]
    begun = np.flatnonzero((identifiers == 0x101) & (packets[:, 1] & 0x40 > 0))
    header = packets[begun[int(place * (len(begun) - 1))]]
    stamp = 4 + (1 + header[4] if header[3] & 0x20 else 0) + 9  # behind the header, stuffing and PES header
    header[stamp] ^= 0x02  # the second highest bit of 33: some thirteen hours
    path.write_bytes(packets.tobytes())
    done = Annotated(path, tmp_path / "out")
    done.draw()
    _, first, last, *_ = heard(done.video)
    assert (first, last) == pytest.approx((0, 3), abs=0.6)
    with av.open(str(done.video)) as container:
        assert container.duration / av.time_base == pytest.approx(3, abs=0.1)


def test_sound_that_mp4_takes_only_by_name_is_encoded(tmp_path: Path) -> None:
    done = Annotated(film(tmp_path / "a.mkv", "libmp3lame", rate=8000), tmp_path / "out")
    done.draw()
    codec, *_, tone, silence = heard(done.video)
    assert codec == "aac"
    assert (tone, silence) == pytest.approx(BEEP, abs=0.02)


@pytest.mark.parametrize(("width", "height"), [(321, 181), (320, 181), (161, 240)])
def test_odd_sides_become_even(tmp_path: Path, width: int, height: int) -> None:
    path = encode(tmp_path / "a.mkv", [landscape(width, height)] * 3, codec="ffv1")
    done = Annotated(path, tmp_path / "out", {1: [face((40, 60, 120, 150))]})
    done.draw()
    _, images = done.shown()
    assert {image.shape for image in images} == {(height + height % 2, width + width % 2, 3)}


@pytest.mark.parametrize(
    ("side", "factor"), [(16, 30), (48, 10), (100, 5), (160, 3), (224, 3), (276, 2), (400, 2), (480, 1)]
)
def test_a_small_picture_is_enlarged_for_its_label_and_bars(tmp_path: Path, side: int, factor: int) -> None:
    picture = np.full((side, side, 3), (90, 60, 30), np.uint8)  # a colour that no expression has
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    done = Annotated(tmp_path / "a.png", tmp_path / "out", {0: [face((0, 0, side, side), None)]})
    done.draw()
    image = cv2.cvtColor(cv2.imread(str(done.folder / "overlay" / "00000-a.png")), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    # The margin is on the right: boxes are where they are in the picture, times the factor.
    assert height == side * factor
    assert width > side * factor + 100
    inside, margin = image[:, : side * factor], image[:, side * factor :]
    assert (inside == (30, 60, 90)).all(2).mean() > 0.9
    assert (inside[2:-2, -1] == UNCERTAIN).all()
    assert (margin[2:-2, 0] != UNCERTAIN).any(1).all()
    tops = []
    for emotion in Emotion:
        rows = np.flatnonzero((margin == emotion.colour).all(2).sum(1) >= 3)
        assert len(rows) >= 7, emotion
        tops.append(rows[0])
    assert len(set(np.diff(tops))) == 1


def test_a_picture_of_many_small_faces_is_enlarged(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), landscape(800, 600))
    faces = [face((30 * x, 40 * y, 30 * x + 25, 40 * y + 30)) for x in range(20) for y in range(10)]
    done = Annotated(tmp_path / "a.png", tmp_path / "out", {0: faces})
    done.draw()
    assert cv2.imread(str(done.folder / "overlay" / "00000-a.png")).shape == (1200, 1600, 3)


@pytest.mark.parametrize(
    ("width", "height", "factor"), [(48, 48, 4), (120, 90, 2), (160, 160, 1), (224, 224, 1), (320, 180, 1)]
)
def test_a_video_has_one_size_whoever_is_in_it(tmp_path: Path, width: int, height: int, factor: int) -> None:
    path = encode(tmp_path / "a.mp4", [landscape(width, height)] * 4)
    small, whole = face((10, 10, 20, 24)), face((0, 0, width, height))
    done = Annotated(path, tmp_path / "out", {1: [whole], 2: [small], 3: [small, whole]})
    done.draw()
    assert [image.shape for image in done.shown()[1]] == [(height * factor, width * factor, 3)] * 4


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", [portrait()] * 3, rotation=90)
    done = Annotated(path, tmp_path / "out")
    done.draw()
    _, images = done.shown()
    upright = np.rot90(portrait())
    assert images[0].shape == upright.shape
    assert not differs(cv2.blur(images[0], (9, 9)), cv2.blur(upright, (9, 9)), (0, 0, 180, 320))


def test_pictures_keep_their_names_and_order(tmp_path: Path) -> None:
    folder = tmp_path / "stills"
    folder.mkdir()
    for name in ("2.png", "10.png", "99" + "é" * 100 + ".png"):
        (folder / name).write_bytes(cv2.imencode(".png", portrait())[1].tobytes())
    (folder / "3.png").write_bytes(b"no picture")
    done = Annotated(folder, tmp_path / "out", {2: [face((130, 45, 200, 120), Emotion.SAD)]})
    done.draw()
    drawn = sorted((done.folder / "overlay").iterdir())
    assert [path.name for path in drawn] == ["00000-2.png", "00002-10.png", f"00003-99{'é' * 58}.png"]
    images = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in drawn]
    assert [has_colour(image, Emotion.SAD.colour) for image in images] == [False, True, False]


def test_what_is_smoothed_is_shown_and_what_is_unknown_is_uncertain(tmp_path: Path) -> None:
    box, nothing = (100, 60, 180, 150), dict.fromkeys(SMOOTHED)
    done = Annotated(
        encode(tmp_path / "a.mp4", [landscape()] * 4),
        tmp_path / "out",
        {
            0: [face(box, Emotion.SAD)],
            1: [face(box, Emotion.SAD, smoothed_emotion=None)],
            2: [face(box, Emotion.SAD, smoothed_emotion="fear")],
            3: [face(box, None, **nothing)],
        },
    )
    done.draw()
    _, images = done.shown()
    colours = (Emotion.SAD.colour, UNCERTAIN, Emotion.FEAR.colour, UNCERTAIN)
    assert [has_colour(image, colour) for image, colour in zip(images, colours, strict=True)] == [True] * 4


def test_bars_cover_no_other_face(tmp_path: Path) -> None:
    boxes = [(40, 120, 200, 340), (220, 120, 380, 340), (460, 120, 600, 340)]
    cv2.imwrite(str(tmp_path / "a.png"), landscape(1280, 720))
    done = Annotated(tmp_path / "a.png", tmp_path / "out", {0: [face(box) for box in boxes]})
    done.draw()
    image = cv2.cvtColor(cv2.imread(str(done.folder / "overlay" / "00000-a.png")), cv2.COLOR_BGR2RGB)
    for x0, y0, x1, y1 in boxes:
        assert not differs(image, landscape(1280, 720), (x0 + 3, y0 + 3, x1 - 3, y1 - 3))
    assert differs(image, landscape(1280, 720), (610, 120, 760, 300))


def test_masks_are_black_in_the_overlay(tmp_path: Path) -> None:
    done = Annotated(encode(tmp_path / "a.mp4", [landscape()] * 3), tmp_path / "out")
    done.draw(AnnotateSettings(privacy=PrivacySettings(masks=((200, 20, 60, 40), (300, 170, 50, 50)))))
    for image in done.shown()[1]:
        assert image[24:56, 204:256].max() < 12
        assert image[174:, 304:].max() < 12
        assert image[100, 100].min() > 60


def test_no_face_can_be_made_out_where_faces_are_blurred(tmp_path: Path) -> None:
    """Neither where it was detected nor where it was missed: at both ends, and for a second in between."""
    originals = moving_face(50, 640, 360)
    detector = YuNet(yunet_file(), DetectionSettings())
    boxes = [detector.detect(image).boxes[0] for image in originals]
    detected = {*range(8, 15), *range(36, 43)}
    path = encode(tmp_path / "a.mp4", originals)
    done = Annotated(path, tmp_path / "out", {number: [face(boxes[number])] for number in detected})
    done.draw(AnnotateSettings(privacy=PrivacySettings(blur=True)))
    open_ = Annotated(path, tmp_path / "open", done.faces)
    open_.draw()
    blurred, clear = done.shown()[1], open_.shown()[1]
    assert all(len(detector.detect(image)) for image in clear)
    for number, original in enumerate(originals):
        assert not len(detector.detect(blurred[number])), number
        assert alike(blurred[number], original, boxes[number]) < 0.4, number
        assert alike(clear[number], original, boxes[number]) > 0.8, number
        # What is labelled is what the table has.
        assert has_colour(blurred[number], Emotion.HAPPY.colour) == (number in detected)


def test_blurred_faces_are_where_they_went_and_not_only_where_they_were_expected(tmp_path: Path) -> None:
    speed = 6  # pixels a frame: what is expected stands still, as after the first search of a track
    wide = portrait(640 + 41 * speed, 360)
    originals = [np.ascontiguousarray(wide[:, n * speed : n * speed + 640]) for n in range(41)]
    detector = YuNet(yunet_file(), DetectionSettings())
    boxes = [detector.detect(image).boxes[0] for image in originals]
    faces = {n: [face(boxes[n])] for n in (0, 20, 40)}
    faces |= {n: [face(boxes[n // 20 * 20], detection_score=None)] for n in range(41) if n % 20}
    done = Annotated(encode(tmp_path / "a.mp4", originals), tmp_path / "out", faces)
    hidden = AnnotateSettings(detection=DetectionSettings(every=20), privacy=PrivacySettings(blur=True))
    done.draw(hidden)
    for number, (image, original) in enumerate(zip(done.shown()[1], originals, strict=True)):
        assert alike(image, original, boxes[number]) < 0.4, number
        assert not len(detector.detect(image)), number


def test_a_face_that_is_missed_where_frames_become_larger_is_hidden_there(tmp_path: Path) -> None:
    small = [portrait(640, 360)] * 10
    large = [portrait(1280, 720)] * 10
    parts = [
        encode(tmp_path / f"{start}.ts", images, times=[start + n / 25 for n in range(10)]).read_bytes()
        for start, images in ((0.0, small), (0.4, large))
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    detector = YuNet(yunet_file(), DetectionSettings())
    box = detector.detect(small[0]).boxes[0]
    done = Annotated(tmp_path / "a.ts", tmp_path / "out", {n: [face(box)] for n in range(10)})
    done.draw(AnnotateSettings(privacy=PrivacySettings(blur=True)))
    rows = pq.read_table(done.folder / "frames.parquet").to_pydict()
    assert rows["width"] == [640] * 10 + [1280] * 10
    shown = done.shown()[1]
    assert len(shown) == 20
    for image in shown:
        assert not len(detector.detect(image))


def test_a_search_of_a_damaged_frame_is_none(tmp_path: Path) -> None:
    """A face that is first found behind it is hidden as far back as the search before it."""
    originals = moving_face(41, 640, 360)
    detector = YuNet(yunet_file(), DetectionSettings())
    path = encode(tmp_path / "a.avi", originals, codec="mpeg4", options={"g": "1"})
    with av.open(str(path)) as container:
        (packet,) = (one for one in container.demux(video=0) if one.pts == 20)
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    data[packet.pos + packet.size // 2 :][:50] ^= 0xFF
    path.write_bytes(data.tobytes())
    done = Annotated(path, tmp_path / "out", {40: [face(detector.detect(originals[40]).boxes[0])]})
    hidden = AnnotateSettings(detection=DetectionSettings(every=20), privacy=PrivacySettings(blur=True))
    done.draw(hidden)
    rows = pq.read_table(done.folder / "frames.parquet").to_pydict()
    assert [number for number, status in enumerate(rows["status"]) if status != "ok"] == [20]
    for number, image in enumerate(done.shown()[1]):
        assert not len(detector.detect(image)), number


def test_faces_of_pictures_are_blurred(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), cv2.cvtColor(portrait(640, 360), cv2.COLOR_RGB2BGR))
    detector = YuNet(yunet_file(), DetectionSettings())
    (box,) = detector.detect(portrait(640, 360)).boxes
    done = Annotated(tmp_path / "a.png", tmp_path / "out", {0: [face(box)]})
    done.draw(AnnotateSettings(privacy=PrivacySettings(blur=True)))
    image = cv2.imread(str(done.folder / "overlay" / "00000-a.png"))
    assert not len(detector.detect(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))


def test_frames_that_the_tables_do_not_know_are_not_shown(tmp_path: Path) -> None:
    done = Annotated(encode(tmp_path / "a.mp4", [landscape()] * 10), tmp_path / "out")
    done.draw(known=slice(2, 7))
    np.testing.assert_allclose(done.shown()[0], np.arange(2, 7) / 25, atol=1e-3)


def pictures(folder: Path, *names: str) -> Path:
    """A folder with these pictures, each the portrait."""
    folder.mkdir(exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), portrait())
    return folder


@pytest.mark.parametrize("while_drawing", [False, True])
@pytest.mark.parametrize("change", ["added", "removed", "replaced", "video"])
def test_of_a_source_that_has_changed_nothing_is_shown(
    tmp_path: Path, change: str, while_drawing: bool
) -> None:
    source = pictures(tmp_path / "stills", "1.png", "2.png", "3.png")
    if change == "video":
        source = encode(tmp_path / "a.mp4", [landscape()] * 10)
    done = Annotated(source, tmp_path / "out")
    done.draw()
    assert done.drawn
    identity = done.source.identity()

    def happen(_: int = 0) -> None:
        if change == "added":
            pictures(source, "0.png")
        elif change == "removed":
            (source / "2.png").unlink(missing_ok=True)
        elif change == "replaced":
            cv2.imwrite(str(source / "2.png"), landscape())
        else:
            encode(source, [portrait()] * 10)

    if not while_drawing:
        happen()
    told = happen if while_drawing else done.told.append
    with pytest.raises(InputError, match=rf"{source.name} changed while it was read"):
        draw_overlay(done.source, identity, done.folder, AnnotateSettings(), told)
    assert not done.drawn


def test_another_picture_in_the_place_of_one_that_is_known_is_not_shown(tmp_path: Path) -> None:
    source = pictures(tmp_path / "stills", "1.png", "3.png")
    (source / "2.png").write_bytes(b"not yet a picture")
    done = Annotated(source, tmp_path / "out")
    done.draw()
    pictures(source, "2.png", "2b.png")
    draw_overlay(done.source, done.source.identity(), done.folder, AnnotateSettings(), done.told.append)
    assert [path.name for path in (done.folder / "overlay").iterdir()] == ["00000-1.png"]


def test_another_frame_in_the_place_of_one_that_is_known_is_not_shown(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", [landscape()] * 4, times=[0, 0.1, 0.2, 0.3])
    done = Annotated(path, tmp_path / "out")
    done.draw()
    encode(path, [landscape()] * 4, times=[0, 0.1, 0.25, 0.3])
    draw_overlay(done.source, done.source.identity(), done.folder, AnnotateSettings(), done.told.append)
    np.testing.assert_allclose(done.shown()[0], [0, 0.1, 0.3], atol=1e-4)


def test_what_a_stopped_run_left_goes_where_the_source_is_gone(tmp_path: Path) -> None:
    done = Annotated(film(tmp_path / "a.mp4"), tmp_path / "out")
    done.draw()
    (done.folder / "overlay.silent.mp4").write_bytes(b"half a video")
    done.source.path.unlink()
    with pytest.raises(SourceOpenError):
        draw_overlay(done.source, done.source.identity(), done.folder, AnnotateSettings(), done.told.append)
    assert not done.drawn


def test_a_source_of_which_nothing_is_known_has_no_overlay(tmp_path: Path) -> None:
    done = Annotated(film(tmp_path / "a.mp4"), tmp_path / "out")
    done.draw(known=slice(0))
    assert not done.drawn


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "_ENCODER", "no_such_encoder")
    done = Annotated(encode(tmp_path / "a.mp4", [landscape()] * 3), tmp_path / "out")
    with pytest.raises(OutputError, match="no_such_encoder"):
        done.draw()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("full", ["overlay.silent.mp4", "overlay.mp4"])
def test_a_full_disk_is_told_with_the_file(
    tmp_path: Path, full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Annotated(film(tmp_path / "a.mp4"), tmp_path / "out")

    def fill(folder: Path) -> None:
        if not (folder / full).is_symlink():
            (folder / full).symlink_to("/dev/full")

    # What lies there earlier goes before anything is drawn.
    monkeypatch.setattr(overlay, "clear_overlay", fill)
    with pytest.raises(OutputError, match=r"overlay\.mp4.*No space"):
        done.draw()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), portrait())
    done = Annotated(tmp_path / "a.png", tmp_path / "out")
    done.folder.mkdir()
    (done.folder / "overlay").write_text("in the way")
    with pytest.raises(OutputError, match="overlay"):
        done.draw()


def test_pictures_stay_when_the_source_of_the_sound_is_gone(tmp_path: Path) -> None:
    silent = encode(tmp_path / "silent.mp4", moving_face(3))
    before = silent.read_bytes()
    add_sound(silent, tmp_path / "gone.mp4", SamplingSettings(), tmp_path / "overlay.mp4")
    assert (tmp_path / "overlay.mp4").read_bytes() == before
    assert not silent.exists()
