"""Real encoded files: their times, their damage, and reading on where reading stopped."""

from __future__ import annotations

import gc
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.packet import Packet
from damage import mutate
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from videos import encode, in_pq, landscape, moving_face

from fer_batch.annotation.clock import Clock
from fer_batch.annotation.decode import SEVERAL_PAGES, DecodeReport, Position, peek, read_frames
from fer_batch.annotation.frames import Frame
from fer_batch.annotation.sources import Source
from fer_batch.errors import DecodeError, InputError, SourceOpenError
from fer_batch.settings import SamplingSettings


def read(
    path: Path, sampling: SamplingSettings | None = None, after: Position | None = None
) -> tuple[list[Frame], DecodeReport]:
    report = DecodeReport()
    kind = "images" if path.is_dir() else "image" if path.suffix in {".png", ".jpg"} else "video"
    source = Source("name", path, kind)
    return list(read_frames(source, sampling or SamplingSettings(), report, after)), report


def times_of(frames: Sequence[Frame]) -> list[float]:
    return [frame.time_s for frame in frames if frame.time_s is not None]


def all_of(frame: Frame) -> tuple[Any, ...]:
    """All there is to a frame, so that frames can be compared."""
    pixels = None if frame.image is None else (frame.image.shape, frame.image.tobytes())
    return (frame.index, frame.time_s, frame.pts, frame.corrupt, frame.file, frame.damaged, pixels)


def test_frames_leave_memory_without_being_collected(tmp_path: Path) -> None:
    video = encode(tmp_path / "a.mp4", moving_face(60), rotation=90)
    gc.collect()
    gc.disable()
    try:
        for frame in read_frames(Source("a", video, "video"), SamplingSettings(), DecodeReport()):
            assert frame.image is not None
        assert gc.collect() < 20
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", "libx264"),
        ("mkv", "libx264"),
        ("mov", "libx264"),
        ("ts", "libx264"),
        ("m2ts", "libx264"),
        ("flv", "libx264"),
        ("avi", "mpeg4"),
        ("avi", "libx264"),
        ("wmv", "wmv2"),
        ("mpg", "mpeg2video"),
        ("webm", "libvpx-vp9"),
    ],
)
def test_every_frame_with_its_time(tmp_path: Path, suffix: str, codec: str) -> None:
    frames, report = read(encode(tmp_path / f"a.{suffix}", moving_face(20), codec=codec))
    assert not report.problems
    assert not report.notes
    assert [frame.index for frame in frames] == list(range(20))
    assert all(frame.image is not None and frame.image.shape == (180, 320, 3) for frame in frames)
    # Matroska counts in milliseconds.
    np.testing.assert_allclose(times_of(frames), np.arange(20) / 25, atol=0.0011)


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    path = encode(
        tmp_path / "a.gif", moving_face(5), codec="gif", pix_fmt="rgb8", times=[0, 0.1, 0.2, 0.9, 1]
    )
    frames, report = read(path)
    np.testing.assert_allclose(times_of(frames), [0, 0.1, 0.2, 0.9, 1])
    assert not report.problems


def test_times_are_the_files_and_not_index_over_rate(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.52, 1.9]
    frames, report = read(encode(tmp_path / "vfr.mp4", moving_face(5), times=times))
    np.testing.assert_allclose([frame.time_s for frame in frames], times, atol=1e-3)
    assert not report.problems


def test_a_clock_that_starts_late_is_counted_from_its_start(tmp_path: Path) -> None:
    times = [10 + index / 25 for index in range(10)]
    frames, _ = read(encode(tmp_path / "late.ts", moving_face(10), times=times))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(10) / 25, atol=1e-3)


@pytest.mark.parametrize("start", [0, 10])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv", "avi"])
def test_times_are_rounded_once(tmp_path: Path, suffix: str, start: int) -> None:
    times = [start + index / 25 for index in range(50)]
    path = encode(tmp_path / f"a.{suffix}", moving_face(50, 64, 48), times=times, options={"bf": "2"})
    assert times_of(read(path)[0]) == [index / 25 for index in range(50)]


RAW: dict[str, tuple[str, int, dict[str, str], str]] = {
    "h264": ("libx264", 30, {"g": "8", "bf": "3"}, "30 frames a second, as it states"),
    "hevc": ("libx265", 24, {"x265-params": "keyint=8:log-level=none"}, "24 frames a second, as it states"),
    "m2v": ("mpeg2video", 50, {"g": "8", "bf": "2"}, "50 frames a second, as it states"),
    "mjpeg": ("mjpeg", 25, {}, "without times or rate: they are those of 25 frames a second"),
}


@pytest.mark.parametrize("suffix", RAW)
def test_frames_of_a_raw_stream_follow_at_its_rate_in_order(tmp_path: Path, suffix: str) -> None:
    codec, fps, options, note = RAW[suffix]
    shades = [np.full((48, 64, 3), 20 + 9 * index, np.uint8) for index in range(24)]
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = encode(tmp_path / f"a.{suffix}", shades, fps=fps, codec=codec, pix_fmt=pix_fmt, options=options)
    frames, report = read(path)
    assert times_of(frames) == [pytest.approx(index / fps, abs=1e-9) for index in range(24)]
    means = [float(frame.image.mean()) for frame in frames if frame.image is not None]
    assert means == sorted(means)
    assert means == pytest.approx([float(image.mean()) for image in shades], abs=8)
    assert not report.problems
    assert len(report.notes) == 1
    assert report.notes[0].endswith(note)
    late, late_report = read(path, SamplingSettings(start_s=10 / fps, end_s=12 / fps))
    assert times_of(late) == [pytest.approx(index / fps, abs=1e-9) for index in (10, 11, 12)]
    assert late_report.notes == report.notes
    assert len(list(peek(Source("a", path, "video"), SamplingSettings()))) == math.ceil(24 / fps)
    assert_reads_on(path)


def test_a_rate_that_no_camera_has_is_not_believed(tmp_path: Path) -> None:
    frames, report = read(encode(tmp_path / "a.h264", moving_face(5, 64, 48), fps=90_000))
    assert times_of(frames) == [0, 0.04, 0.08, 0.12, 0.16]
    assert report.notes == ["a raw stream without times or rate: they are those of 25 frames a second"]


def test_a_raw_stream_that_is_cut_is_read_to_the_cut(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.h264", moving_face(24, 64, 48), options={"g": "8", "bf": "0"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, report = read(path)
    assert 4 < len(frames) < 24
    assert report.stopped is None


def animated(path: Path, durations: Sequence[int], **how: Any) -> list[np.ndarray]:
    """An animation, each of whose frames is shown for so many milliseconds; returns what they show."""
    images = moving_face(len(durations), 64, 48)
    first, *others = map(Image.fromarray, images)
    first.save(path, save_all=True, append_images=others, duration=list(durations), **how)
    return images


@pytest.mark.parametrize(
    ("suffix", "how"), [("webp", {"lossless": True}), ("apng", {"format": "png"}), ("avif", {"quality": 100})]
)
def test_frames_of_a_picture_that_moves_have_their_times(
    tmp_path: Path, suffix: str, how: dict[str, Any]
) -> None:
    path = tmp_path / f"a.{suffix}"
    images = animated(path, [100, 250, 50, 40, 300], **how)
    frames, report = read(path)
    assert times_of(frames) == [0, 0.1, 0.35, 0.4, 0.44]
    for frame, image in zip(frames, images, strict=True):
        assert frame.image is not None
        assert np.abs(frame.image.astype(int) - image).mean() < 3
    assert not report.problems
    assert [frame.time_s for frame in read(path, SamplingSettings(start_s=0.3))[0]] == [0.35, 0.4, 0.44]
    assert len(list(peek(Source("a", path, "video"), SamplingSettings()))) == 1
    assert_reads_on(path)


def test_frames_of_an_animation_without_durations_are_shown_a_tenth_of_a_second(tmp_path: Path) -> None:
    animated(tmp_path / "a.webp", [0, 200, 0, 100])
    assert times_of(read(tmp_path / "a.webp")[0]) == [0, 0.1, 0.3, 0.4]


def test_a_damaged_animation(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    animated(path, [100] * 5, lossless=True)
    whole = path.read_bytes()
    third = [at.start() for at in re.finditer(b"ANMF", whole)][2]
    path.write_bytes(whole[: third + 50] + bytes(200) + whole[third + 250 :])
    frames, report = read(path)
    assert len(frames) == 2
    assert report.problems == ["reading stopped early: failed to read next frame"]
    path.write_bytes(whole[:-100])
    with pytest.raises(SourceOpenError, match=r"a\.webp cannot be opened as an animation"):
        read(path)


def test_frames_without_times_of_their_own_follow_each_other(tmp_path: Path) -> None:
    # AVI has times of decoding only, and H.264 with B-frames is not decoded in order of presentation.
    options = {"g": "12", "bf": "3"}
    frames, report = read(encode(tmp_path / "a.avi", moving_face(40), options=options))
    np.testing.assert_allclose(times_of(frames), np.arange(40) / 25)
    assert not report.problems


def test_pictures_of_an_avi_that_begin_late_are_whole(tmp_path: Path) -> None:
    times, options = 1 + np.arange(60) / 25, {"g": "12", "bf": "3"}
    path = encode(tmp_path / "a.avi", moving_face(60), times=list(times), options=options)
    frames, report = read(path)
    np.testing.assert_allclose(times_of(frames), times - 1)
    assert not report.problems
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "of the stated 3.3" in "; ".join(read(path)[1].problems)


@pytest.mark.parametrize("starts", [(0, 0), (0, 60), (60, 0)])
def test_joined_recordings_go_on_where_the_first_one_ends(tmp_path: Path, starts: tuple[int, int]) -> None:
    path = tmp_path / "joined.ts"
    with path.open("wb") as joined:
        for number, start in enumerate(starts):
            times = [start + index / 25 for index in range(30)]
            part = encode(
                tmp_path / f"{number}.ts", moving_face(30, 64, 48), times=times, options={"g": "12"}
            )
            joined.write(part.read_bytes())
    frames, report = read(path)
    assert times_of(frames) == [index / 25 for index in range(60)]
    assert not report.problems
    assert len(read(path, SamplingSettings(fps=5))[0]) == 12
    assert_reads_on(path, SamplingSettings(every=7))
    late = SamplingSettings(every=7, start_s=1.6)
    np.testing.assert_allclose(times_of(read(path, late)[0]), [1.6, 1.88, 2.16], atol=1e-3)
    assert_reads_on(path, late)


def test_every_nth_frame(tmp_path: Path) -> None:
    frames, _ = read(encode(tmp_path / "a.mp4", moving_face(20)), SamplingSettings(every=6))
    assert [frame.index for frame in frames] == [0, 6, 12, 18]


def test_so_many_frames_a_second(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", moving_face(50))
    frames, _ = read(path, SamplingSettings(fps=5))
    assert [frame.index for frame in frames] == list(range(0, 50, 5))
    assert len(read(path, SamplingSettings(fps=100))[0]) == 50
    uneven, _ = read(path, SamplingSettings(fps=10))
    assert len(uneven) == 20


@pytest.mark.parametrize(
    ("suffix", "codec", "sound"),
    [
        ("mp4", "libx264", False),
        ("mp4", "libx264", True),
        ("mkv", "libx264", False),
        ("mkv", "libx264", True),
        ("avi", "mpeg4", False),
        ("flv", "libx264", False),
        ("webm", "libvpx", False),
    ],
)
def test_a_truncated_video_gives_what_could_be_read(
    tmp_path: Path, suffix: str, codec: str, sound: bool
) -> None:
    whole = encode(
        tmp_path / f"whole.{suffix}",
        moving_face(100, 96, 64),
        codec=codec,
        options={"g": "5"},
        sound=sound,
        muxing={"movflags": "faststart"} if suffix == "mp4" else None,
    )
    assert not read(whole)[1].problems
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 5])
    frames, report = read(cut)
    assert 5 < len(frames) < 60
    assert "of the stated 4.0" in "; ".join(report.problems)


def test_a_transport_stream_cut_anywhere_is_a_recording(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.ts", moving_face(60), options={"g": "12"}).read_bytes()
    path = tmp_path / "part.ts"
    path.write_bytes(whole[1000:])
    frames, report = read(path)
    assert 40 < len(frames) < 60
    assert not report.problems


def with_flips(path: Path, seed: int, places: int) -> Path:
    """A copy with wrong bytes in its middle."""
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(seed)
    data[rng.integers(len(data) // 3, 2 * len(data) // 3, places)] ^= 0xFF
    copy = path.with_stem(f"damaged{seed}")
    copy.write_bytes(data.tobytes())
    return copy


def test_damaged_data_is_marked(tmp_path: Path) -> None:
    frames, report = read(with_flips(encode(tmp_path / "a.ts", moving_face(60)), 0, 300))
    assert len(frames) > 20
    assert any(frame.corrupt for frame in frames)
    assert report.damaged == frames[-1].damaged > 0
    assert report.problems[0] == f"damaged frames: {report.damaged}"


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "libx264"), ("mkv", "libx264"), ("ts", "mpeg2video"), ("avi", "mpeg4"), ("webm", "libvpx")],
)
def test_whatever_is_in_a_file_reading_it_ends(tmp_path: Path, suffix: str, codec: str) -> None:
    whole = encode(tmp_path / f"whole.{suffix}", moving_face(12, 64, 48), codec=codec, options={"g": "4"})
    path = tmp_path / f"mutated.{suffix}"
    for seed in range(8):
        path.write_bytes(mutate(whole.read_bytes(), np.random.default_rng(seed)))
        try:
            frames, report = read(path)
        except InputError:
            continue
        assert [frame.index for frame in frames] == list(range(len(frames)))
        assert all(frame.corrupt for frame in frames if frame.image is None)
        assert [frame.damaged for frame in frames] == sorted(frame.damaged for frame in frames)
        assert report.damaged >= sum(frame.corrupt for frame in frames)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "cannot be opened"), (b"not a video" * 50, "cannot be opened")]
)
def test_no_video_at_all(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceOpenError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def assert_reads_on(path: Path, sampling: SamplingSettings | None = None) -> None:
    """Behind every frame come the frames, and at the end the report, that came behind it before."""
    frames, report = read(path, sampling)
    wanted = [all_of(frame) for frame in frames]
    for number, frame in enumerate(frames, 1):
        kept = json.loads(json.dumps(asdict(Position.of(frame))))
        rest, reported = read(path, sampling, Position(**kept))
        assert [all_of(frame) for frame in rest] == wanted[number:]
        assert reported == report


STEADY = [index / 25 for index in range(24)]
UNEVEN = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.3, 24)).tolist()
SHORT = {"g": "8", "bf": "3"}
OPEN = {"x264-params": "keyint=8:bframes=3:open-gop=1"}
CLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "one group": ("mp4", {}),
    "short groups": ("mp4", {"options": SHORT}),
    "open groups": ("mp4", {"options": OPEN}),
    "refreshed by and by": ("mp4", {"options": {"x264-params": "keyint=8:bframes=0:intra-refresh=1"}}),
    "fragments": ("mp4", {"options": SHORT, "muxing": {"movflags": "frag_keyframe+empty_moov"}}),
    "uneven": ("mp4", {"options": SHORT, "times": UNEVEN}),
    "uneven mkv": ("mkv", {"options": OPEN, "times": UNEVEN}),
    "sound": ("mkv", {"options": SHORT, "sound": True}),
    "mov": ("mov", {"options": SHORT, "times": [3 + time for time in STEADY]}),
    "ts": ("ts", {"options": OPEN}),
    "late ts": ("ts", {"options": SHORT, "times": [10 + time for time in STEADY]}),
    "mpeg4": ("avi", {"codec": "mpeg4", "options": {"g": "8", "bf": "2"}}),
    "mpeg4 in order": ("avi", {"codec": "mpeg4", "options": {"g": "8"}}),
    "x264 in avi": ("avi", {"options": SHORT}),
    "mjpeg": ("avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "mpeg2": ("mpg", {"codec": "mpeg2video", "options": {"g": "8", "bf": "2"}}),
    "vp8": ("webm", {"codec": "libvpx", "options": {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "8"}}),
    "vp9": ("webm", {"codec": "libvpx-vp9", "options": {"g": "8", "lag-in-frames": "8"}}),
    "hevc": (
        "mp4",
        {"codec": "libx265", "options": {"x265-params": "keyint=8:bframes=3:open-gop=1:log-level=none"}},
    ),
    "gif": ("gif", {"codec": "gif", "pix_fmt": "rgb8", "fps": 10}),
}


@pytest.mark.parametrize("name", CLIPS)
def test_reading_on_is_as_if_reading_had_never_stopped(tmp_path: Path, name: str) -> None:
    suffix, how = CLIPS[name]
    path = encode(tmp_path / f"a.{suffix}", moving_face(24, 64, 48), **how)
    assert len(read(path)[0]) == 24
    assert_reads_on(path)


@pytest.mark.parametrize("name", ["open groups", "uneven mkv", "late ts", "x264 in avi", "mpeg2", "gif"])
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingSettings(every=3),
        SamplingSettings(fps=7),
        SamplingSettings(start_s=0.3, end_s=0.8),
        SamplingSettings(start_s=0.5, fps=11, every=2),
    ],
)
def test_reading_on_in_a_sample(tmp_path: Path, name: str, sampling: SamplingSettings) -> None:
    suffix, how = CLIPS[name]
    path = encode(tmp_path / f"a.{suffix}", moving_face(24, 64, 48), **how)
    assert read(path, sampling)[0]
    assert_reads_on(path, sampling)


@pytest.mark.parametrize("name", ["short groups", "open groups", "uneven mkv", "ts", "vp8"])
def test_reading_on_in_damaged_files(tmp_path: Path, name: str) -> None:
    suffix, how = CLIPS[name]
    whole = encode(tmp_path / f"a.{suffix}", moving_face(24, 64, 48), **how)
    for seed in range(4):
        path = with_flips(whole, seed, 6)
        frames, report = read(path)
        for number, frame in enumerate(frames, 1):
            rest, reported = read(path, after=Position.of(frame))
            # What a decoder fills lost areas with may differ from one time to the next.
            assert [all_of(frame)[:-1] for frame in rest] == [all_of(frame)[:-1] for frame in frames[number:]]
            assert reported == report


def test_reading_on_does_not_decode_what_was_read(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", moving_face(24, 64, 48), options={"g": "8", "bf": "0"})
    frames, _ = read(path)
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin : begin + 100] = bytes(100)
    path.write_bytes(data)
    assert read(path)[1].damaged
    rest, report = read(path, after=Position.of(frames[12]))
    assert [all_of(frame) for frame in rest] == [all_of(frame) for frame in frames[13:]]
    assert not report.problems


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_a_late_start_decodes_little_of_what_comes_before(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / f"a.{suffix}", moving_face(80, 64, 48), fps=4, options={"g": "4", "bf": "0"})
    whole, decoded = read(path)[0], []
    read_time = Clock.read
    monkeypatch.setattr(Clock, "read", lambda *given: decoded.append(None) or read_time(*given))
    late, _ = read(path, SamplingSettings(start_s=16))
    assert [all_of(frame)[1:] for frame in late] == [all_of(frame)[1:] for frame in whole[64:]]
    assert len(decoded) < 24


def test_reading_on_in_pages(tmp_path: Path) -> None:
    for name, count in (("a.tif", 3), ("b.png", 1), ("c.tiff", 2)):
        first, *others = map(Image.fromarray, moving_face(count, 64, 48))
        first.save(tmp_path / name, **({"save_all": True, "append_images": others} if others else {}))
    frames, report = read(tmp_path)
    assert [(frame.index, frame.file) for frame in frames] == [
        *((index, "a.tif") for index in range(3)),
        (3, "b.png"),
        *((index, "c.tiff") for index in (4, 5)),
    ]
    assert report.notes == [SEVERAL_PAGES]
    assert_reads_on(tmp_path)


def test_reading_on_in_pictures(tmp_path: Path) -> None:
    for name in ("p1.png", "p2.png", "p3.png", "p4.png"):
        encode_png(tmp_path / name)
    assert_reads_on(tmp_path)
    (tmp_path / "p2.png").write_text("no picture")
    (tmp_path / "p4.png").write_text("no picture")
    assert read(tmp_path)[1].problems == ["damaged frames: 2", "p2.png cannot be decoded"]
    assert_reads_on(tmp_path)


def encode_png(path: Path) -> None:
    path.write_bytes(cv2.imencode(".png", landscape(64, 48))[1].tobytes())


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uneven") / "a.mp4"
    return encode(path, moving_face(24, 64, 48), times=UNEVEN, options=OPEN)


def beat(time_s: float, fps: float) -> int:
    return math.floor((time_s + 0.001) * fps)  # as late as a clock of milliseconds may be


@settings(max_examples=60, deadline=None)
@given(
    every=st.integers(1, 5),
    fps=st.sampled_from([0, 0.5, 2, 7.5, 30]),
    start=st.integers(0, 300),
    length=st.integers(0, 300),
)
def test_what_is_sampled(uneven: Path, every: int, fps: float, start: int, length: int) -> None:
    start_s, end_s = start / 100, (start + length) / 100 if length else 0.0
    within = [time for time in times_of(read(uneven)[0]) if start_s <= time <= (end_s or math.inf)]
    wanted: list[tuple[int, float]] = []
    for index, time in enumerate(within):
        # One frame at most in every beat of the clock.
        free = not wanted or not fps or beat(time, fps) > beat(wanted[-1][1], fps)
        if index % every == 0 and free:
            wanted.append((index, time))
    sampling = SamplingSettings(every=every, fps=fps, start_s=start_s, end_s=end_s)
    if not wanted:
        with pytest.raises(DecodeError, match=r"a\.mp4 has no frame from"):
            read(uneven, sampling)
        return
    assert [(frame.index, frame.time_s) for frame in read(uneven, sampling)[0]] == wanted


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(("rate", "fps", "taken"), [(30, 30, 60), (30, 60, 60), (24, 24, 60), (60, 30, 30)])
def test_no_frame_is_lost_to_the_roundness_of_a_clock(
    tmp_path: Path, suffix: str, rate: int, fps: float, taken: int
) -> None:
    path = encode(tmp_path / f"a.{suffix}", moving_face(60, 64, 48), fps=rate)
    frames, _ = read(path, SamplingSettings(fps=fps))
    assert [frame.index for frame in frames] == list(range(0, 60, 60 // taken))


@pytest.mark.parametrize("suffix", ["mp4", "ts", "avi"])
def test_beginning_and_ending_on_the_way(tmp_path: Path, suffix: str) -> None:
    path = encode(tmp_path / f"a.{suffix}", moving_face(50, 64, 48), options={"g": "10"})
    whole, _ = read(path)
    for begin, end in ((0, 9), (7, 30), (10, 10), (20, 49)):
        sampling = SamplingSettings(start_s=begin / 25, end_s=end / 25)
        frames, report = read(path, sampling)
        assert [frame.index for frame in frames] == list(range(end - begin + 1))
        assert [all_of(frame)[1:] for frame in frames] == [
            all_of(frame)[1:] for frame in whole[begin : end + 1]
        ]
        assert not report.problems


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (SamplingSettings(start_s=5), r"a\.mp4 has no frame from 5 s to its end$"),
        (SamplingSettings(start_s=math.inf), "has no frame from inf s to its end$"),
        (SamplingSettings(start_s=0.21, end_s=0.22), r"has no frame from 0\.21 s to 0\.22 s$"),
    ],
)
def test_no_frame_between_beginning_and_end(tmp_path: Path, sampling: SamplingSettings, message: str) -> None:
    path = encode(tmp_path / "a.mp4", moving_face(20, 64, 48))
    with pytest.raises(DecodeError, match=message):
        read(path, sampling)


def test_damage_before_the_beginning_does_not_count(tmp_path: Path) -> None:
    path = with_flips(encode(tmp_path / "a.ts", moving_face(60), options={"g": "10"}), 0, 300)
    assert read(path)[1].damaged
    frames, report = read(path, SamplingSettings(start_s=2))
    assert len(frames) == 10
    assert not report.problems


HDR10 = (9, 16, 9)
HEVC = {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=none"}}
PQ_NOTE = "HDR (PQ) converted to SDR, white at 203 cd/m2"


def remuxed(video: Path, path: Path, colours: tuple[int, int, int] | None = None, added: bytes = b"") -> Path:
    """The same packets in another file, which states colours; something is added to each packet."""
    with av.open(str(video)) as given, av.open(str(path), "w") as container:
        template = given.streams.video[0]
        stream = container.add_stream_from_template(template, opaque=True)
        if colours is not None:
            context = stream.codec_context
            context.color_primaries, context.color_trc, context.colorspace = colours
        for packet in given.demux(template):
            if packet.size:
                copy = Packet(bytes(packet) + added)
                copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
                copy.time_base, copy.stream, copy.is_keyframe = packet.time_base, stream, packet.is_keyframe
                container.mux(copy)
    return path


def assert_looks_like(path: Path, images: Sequence[np.ndarray]) -> None:
    frames, report = read(path)
    assert not report.problems
    assert report.notes == [PQ_NOTE]
    assert len(frames) == len(images)
    for frame, image in zip(frames, images, strict=True):
        assert frame.image is not None
        assert np.abs(frame.image.astype(int) - image).mean() < 6


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [
        ("mp4", "libx265", "yuv420p10le"),
        ("mkv", "libx265", "yuv422p12le"),
        ("mp4", "libx264", "yuv420p"),
        ("webm", "libvpx-vp9", "yuv420p"),
        ("mp4", "libsvtav1", "yuv420p10le"),
        ("mov", "prores_ks", "yuv422p10le"),
    ],
)
def test_hdr_is_seen_as_sdr(tmp_path: Path, suffix: str, codec: str, pix_fmt: str) -> None:
    images = moving_face(3)
    options = HEVC["options"] if codec == "libx265" else {"preset": "10"} if codec == "libsvtav1" else {}
    path = encode(
        tmp_path / f"a.{suffix}",
        [in_pq(image) for image in images],
        codec=codec,
        pix_fmt=pix_fmt,
        options=options,
        colours=HDR10,
    )
    assert_looks_like(path, images)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("codec", ["libx265", "libx264"])
def test_what_the_container_alone_says_of_colours_counts(tmp_path: Path, suffix: str, codec: str) -> None:
    images = moving_face(3)
    how = HEVC if codec == "libx265" else {}
    plain = encode(tmp_path / "plain.mp4", [in_pq(image) for image in images], **how)
    assert not read(plain)[1].notes
    assert_looks_like(remuxed(plain, tmp_path / f"tagged.{suffix}", HDR10), images)


def test_what_the_container_says_of_sdr_changes_nothing(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.mp4", moving_face(3), **HEVC)
    tagged = remuxed(plain, tmp_path / "tagged.mp4", (1, 1, 1))
    assert [all_of(frame) for frame in read(tagged)[0]] == [all_of(frame) for frame in read(plain)[0]]


def test_turned_hdr_with_long_pixels(tmp_path: Path) -> None:
    (image,) = moving_face(1)
    shown = cv2.resize(np.rot90(image), (240, 320), interpolation=cv2.INTER_AREA)
    path = encode(
        tmp_path / "a.mp4",
        [in_pq(image)] * 2,
        rotation=90,
        pixel_aspect=Fraction(4, 3),
        colours=HDR10,
        **HEVC,
    )
    for frame in read(path)[0]:
        assert frame.image is not None
        assert np.abs(cv2.resize(frame.image, (240, 320)).astype(int) - shown).mean() < 6


def test_what_is_said_of_a_source_outlives_a_stop(tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    with path.open("wb") as joined:
        for number, colours in enumerate((HDR10, (1, 1, 1), (1, 8, 14))):
            times = [number + index / 25 for index in range(8)]
            part = encode(tmp_path / f"{number}.ts", moving_face(8, 64, 48), times=times, colours=colours)
            joined.write(part.read_bytes())
    frames, report = read(path)
    assert len(frames) == 24
    assert report.notes[0] == PQ_NOTE
    assert ["linear light" in note or "matrix coefficients 14" in note for note in report.notes[1:]] == [
        True
    ] * 2
    assert [len(frame.notes) for frame in frames] == [1] * 16 + [3] * 8
    assert_reads_on(path)
    # What comes before the beginning was not asked for.
    assert read(path, SamplingSettings(start_s=1, end_s=1.5))[1].notes == []


def test_notes_do_not_grow_without_end() -> None:
    report = DecodeReport()
    for number in range(1000):
        report.note(["the same", f"note {number}"])
    assert report.notes[:2] == ["the same", "note 0"]
    assert len(report.notes) == 20


@pytest.mark.parametrize(("colours", "start"), [(None, "Dolby Vision"), (HDR10, "HDR (PQ)")])
def test_dolby_vision_that_no_other_player_can_show_is_said(
    tmp_path: Path, colours: tuple[int, int, int] | None, start: str
) -> None:
    plain = encode(tmp_path / "plain.mp4", moving_face(3), colours=colours, **HEVC)
    # An RPU, Dolby Vision's metadata, is a unit of type 62 at the end of a picture.
    unit = b"\x7c\x01\x19" + bytes(range(1, 40))
    with_metadata = remuxed(plain, tmp_path / "dolby.mp4", added=len(unit).to_bytes(4, "big") + unit)
    by_name = tmp_path / "named.mp4"
    by_name.write_bytes(plain.read_bytes().replace(b"hev1", b"dvh1"))
    for path in (with_metadata, by_name):
        frames, report = read(path)
        assert len(frames) == 3
        assert not report.problems
        (note,) = report.notes
        assert note.startswith(start)
