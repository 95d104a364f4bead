"""Real encoded files: their times, their orientation, their damage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from videos import encode, moving_face, portrait

from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.frames import Frame
from fer_batch.annotation.sources import Source
from fer_batch.errors import DecodeError, SourceOpenError
from fer_batch.settings import SamplingSettings


def read(path: Path, sampling: SamplingSettings | None = None) -> tuple[list[Frame], DecodeReport]:
    report = DecodeReport()
    kind = "images" if path.is_dir() else "image" if path.suffix in {".png", ".jpg"} else "video"
    return list(read_frames(Source("name", path, kind), sampling or SamplingSettings(), report)), report


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", "libx264"),
        ("mkv", "libx264"),
        ("mov", "libx264"),
        ("ts", "libx264"),
        ("avi", "mpeg4"),
        ("webm", "libvpx-vp9"),
    ],
)
def test_every_frame_with_its_time(tmp_path: Path, suffix: str, codec: str) -> None:
    frames, report = read(encode(tmp_path / f"a.{suffix}", moving_face(20), codec=codec))
    assert not report.problems
    assert [frame.index for frame in frames] == list(range(20))
    assert all(frame.image is not None and frame.image.shape == (180, 320, 3) for frame in frames)
    # Matroska counts in milliseconds.
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(20) / 25, atol=0.0011)


def test_times_are_the_files_and_not_index_over_rate(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.52, 1.9]
    frames, report = read(encode(tmp_path / "vfr.mp4", moving_face(5), times=times))
    np.testing.assert_allclose([frame.time_s for frame in frames], times, atol=1e-3)
    assert not report.problems


def test_a_clock_that_starts_late_is_counted_from_its_start(tmp_path: Path) -> None:
    times = [10 + index / 25 for index in range(10)]
    frames, _ = read(encode(tmp_path / "late.ts", moving_face(10), times=times))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(10) / 25, atol=1e-3)


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_pictures_are_upright(tmp_path: Path, rotation: int) -> None:
    upright = portrait()
    stored = np.ascontiguousarray(np.rot90(upright, -rotation // 90))
    (frame,), _ = read(encode(tmp_path / "turned.mp4", [stored], rotation=rotation))
    assert frame.image is not None
    assert frame.image.shape == upright.shape
    assert np.abs(frame.image.astype(int) - upright).mean() < 6


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


def test_a_truncated_video_gives_what_could_be_read(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.ts", moving_face(100))
    faststart = tmp_path / "fast.mp4"
    with (
        av.open(str(whole)) as source,
        av.open(str(faststart), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(faststart.read_bytes()[: faststart.stat().st_size * 4 // 5])
    frames, report = read(cut)
    assert 10 < len(frames) < 90
    assert "of the stated 4.00 s" in "; ".join(report.problems)


def test_damaged_data_is_marked(tmp_path: Path) -> None:
    data = bytearray(encode(tmp_path / "a.ts", moving_face(60)).read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(len(data) // 3, 2 * len(data) // 3, 300):
        data[place] ^= 0xFF
    path = tmp_path / "damaged.ts"
    path.write_bytes(data)
    frames, report = read(path)
    assert len(frames) > 20
    assert report.corrupt > 0
    assert report.problems


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "cannot be opened"), (b"not a video" * 50, "cannot be opened")]
)
def test_no_video_at_all(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceOpenError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_sound_alone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = 8000, 0, Fraction(1, 8000)
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    with pytest.raises(SourceOpenError, match=r"sound\.mp4 has no video stream"):
        read(path)


def test_pictures_of_every_kind_in_natural_order(tmp_path: Path) -> None:
    bgr = cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR)
    alpha = cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA)
    for name, image in {
        "p10.png": bgr,
        "p9.jpg": bgr[:90],
        "p1.png": cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),
        "p2.png": bgr.astype(np.uint16) * 257,
        "p3.png": alpha,
    }.items():
        assert cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "p4.png").write_text("no picture")
    (tmp_path / "notes.txt").write_text("passed over")
    frames, report = read(tmp_path)
    assert [frame.file for frame in frames] == ["p1.png", "p2.png", "p3.png", "p4.png", "p9.jpg", "p10.png"]
    assert [frame.corrupt for frame in frames] == [False, False, False, True, False, False]
    assert report.problems == ["p4.png cannot be decoded"]
    for frame in frames:
        assert frame.time_s is None
        if frame.image is not None and frame.file != "p9.jpg":
            wanted = (
                portrait()
                if frame.file != "p1.png"
                else cv2.cvtColor(cv2.cvtColor(portrait(), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            )
            assert np.abs(frame.image.astype(int) - wanted).max() <= 1


def test_no_picture_can_be_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("no picture")
    with pytest.raises(DecodeError, match=r"a\.png cannot be decoded"):
        read(path)
