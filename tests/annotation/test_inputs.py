"""Whatever people have: pictures and videos of every kind, with odd names, and what only looks like them."""

from __future__ import annotations

import csv
import io
import os
import re
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from av.stream import Disposition
from numpy.typing import NDArray
from PIL import Image, ImageOps
from videos import encode, landscape, moving_face, portrait

from fer_batch.annotation import annotate
from fer_batch.annotation.decode import SEVERAL_PAGES, DecodeReport, read_frames
from fer_batch.annotation.frames import Frame
from fer_batch.annotation.sources import Source, find_sources
from fer_batch.errors import DecodeError, SourceOpenError
from fer_batch.settings import AnnotateSettings, DetectionSettings, SamplingSettings
from fer_batch.storage import atomic_folder, read_json, write_json


def read(path: Path) -> tuple[list[Frame], DecodeReport]:
    """What is read of a file or folder that is the only thing named."""
    (source,) = find_sources([path], out=path.parent / "out")
    report = DecodeReport()
    return list(read_frames(source, SamplingSettings(), report)), report


def picture(path: Path) -> NDArray[np.uint8]:
    """The one picture that a file shows."""
    (frame,), report = read(path)
    assert not report.problems
    assert frame.image is not None
    assert frame.image.dtype == np.uint8
    return frame.image


def difference(found: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> float:
    assert found.shape == wanted.shape
    return float(np.abs(found.astype(int) - wanted).mean())


def gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)


# Videos


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_videos_are_upright(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    upright = portrait()
    stored = np.rot90(upright[:, ::-1] if mirrored else upright, -rotation // 90)
    path = encode(tmp_path / "a.mp4", [np.ascontiguousarray(stored)], rotation=rotation, mirrored=mirrored)
    assert difference(picture(path), upright) < 6


@pytest.mark.parametrize(
    ("suffix", "rotation"), [("mp4", 0), ("mp4", 90), ("mov", 0), ("mov", 270), ("mkv", 0), ("ts", 0)]
)
def test_pixels_that_are_not_square_are_made_so(tmp_path: Path, suffix: str, rotation: int) -> None:
    upright = portrait()
    stored = np.rot90(upright, -rotation // 90)
    height, width = stored.shape[:2]
    squeezed = cv2.resize(stored, (width // 2, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    path = encode(tmp_path / f"a.{suffix}", [squeezed], rotation=rotation, pixel_aspect=2)
    assert picture(path).shape == upright.shape
    assert difference(picture(path), upright) < 8


@pytest.mark.parametrize("aspect", [Fraction(101, 100), Fraction(1, 200), Fraction(200)])
def test_pixels_of_an_aspect_that_cannot_be_meant_are_square(tmp_path: Path, aspect: Fraction) -> None:
    path = encode(tmp_path / "a.mp4", [portrait()], pixel_aspect=aspect)
    assert picture(path).shape == portrait().shape


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "options"),
    [
        ("mp4", "libx264", "yuvj420p", {}),
        ("mp4", "libx264", "yuv444p", {}),
        ("mp4", "libx264", "yuv420p10le", {}),
        ("mp4", "libx264", "gray", {"x264-params": "fullrange=on"}),
        ("mp4", "libx264", "yuv420p", {"x264-params": "colormatrix=YCgCo"}),
        ("mp4", "libx264", "yuv444p", {"x264-params": "colormatrix=bt2020c"}),
        ("mkv", "ffv1", "gray16le", {}),
        ("mkv", "ffv1", "yuva420p", {}),
        ("mkv", "ffv1", "bgr0", {}),
        ("avi", "mjpeg", "yuvj422p", {}),
        ("mov", "prores_ks", "yuva444p10le", {}),
        ("webm", "libvpx-vp9", "yuva420p", {}),
    ],
)
def test_videos_of_every_depth_and_range(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    image = portrait()
    path = encode(tmp_path / f"a.{suffix}", [image], codec=codec, pix_fmt=pix_fmt, options=options)
    assert difference(picture(path), gray(image) if "gray" in pix_fmt else image) < 6


def test_gray_video_of_limited_range_is_black_and_white_too(tmp_path: Path) -> None:
    image = np.full((96, 128, 3), 16, np.uint8)
    image[:, 64:] = 235
    limited = {"x265-params": "range=limited:log-level=none"}
    found = picture(encode(tmp_path / "a.mkv", [image], codec="libx265", pix_fmt="gray", options=limited))
    assert found[:, :60].max() <= 3
    assert found[:, 68:].min() >= 252


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "width", "height"),
    [
        ("libvpx-vp9", "yuv420p", 321, 181),
        ("ffv1", "yuv420p", 321, 181),
        ("libx264", "yuv444p", 321, 181),
        ("libvpx-vp9", "yuv420p", 17, 97),
        ("libx264", "yuv420p", 3840, 2160),
    ],
)
def test_videos_of_every_size(tmp_path: Path, codec: str, pix_fmt: str, width: int, height: int) -> None:
    images = [portrait(width, height), landscape(width, height)]
    frames, report = read(encode(tmp_path / "a.mkv", images, codec=codec, pix_fmt=pix_fmt))
    assert not report.problems
    for frame, image in zip(frames, images, strict=True):
        assert frame.image is not None
        assert difference(frame.image, image) < 8


def test_drawing_into_a_frame_is_not_seen_in_the_next(tmp_path: Path) -> None:
    # QuickTime Animation is RGB, and repeats what has not changed; at this width lines have no padding.
    path = encode(tmp_path / "a.mov", [portrait(128, 72)] * 3, codec="qtrle", pix_fmt="rgb24")
    (source,) = find_sources([path], out=tmp_path / "out")
    for frame in read_frames(source, SamplingSettings(), DecodeReport()):
        assert frame.image is not None
        assert np.array_equal(frame.image, portrait(128, 72))
        frame.image[:] = 0


def test_a_video_that_opencv_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 180))
    for image in moving_face(5):
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    frames, report = read(path)
    assert [frame.time_s for frame in frames] == [0, 0.1, 0.2, 0.3, 0.4]
    assert not report.problems


def boxes(data: bytes) -> list[bytes]:
    """The boxes of an MP4, or those inside one of its boxes."""
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        found.append(data[:size])
        data = data[size:]
    return found


def with_cover(path: Path, sound: bool) -> Path:
    """An MP4 with a cover before its video, or before its sound."""
    cover = cv2.imencode(".jpg", landscape(64, 48))[1].tobytes()
    with av.open(str(path), "w") as container:
        if sound:
            main = container.add_stream("aac", rate=8000, layout="mono")
        else:
            main = container.add_stream("libx264", rate=25)
            main.width, main.height, main.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream("mjpeg")
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.disposition = Disposition.attached_pic
        container.start_encoding()
        packet = av.Packet(cover)
        packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 25)
        packet.is_keyframe = True
        container.mux(packet)
        for index, image in enumerate(moving_face(4, 64, 48)):
            if sound:
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 8000, 1024 * index, Fraction(1, 8000)
            else:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(main.encode(frame))
        container.mux(main.encode(None))
    # The cover's box comes last; where it comes first, the cover is the file's first stream.
    outer = boxes(path.read_bytes())
    (movie,) = (index for index, box in enumerate(outer) if box[4:8] == b"moov")
    inner = boxes(outer[movie][8:])
    inner.sort(key=lambda box: (box[4:8] != b"mvhd", box[4:8] != b"udta"))
    outer[movie] = outer[movie][:8] + b"".join(inner)
    path.write_bytes(b"".join(outer))
    return path


def test_a_cover_is_not_the_video(tmp_path: Path) -> None:
    path = with_cover(tmp_path / "a.mp4", sound=False)
    with av.open(str(path)) as container:
        assert [stream.name for stream in container.streams.video] == ["mjpeg", "h264"]
    frames, report = read(path)
    assert len(frames) == 4
    assert not report.problems


def test_sound_with_a_cover_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match=r"a\.mp4 has no video stream"):
        read(with_cover(tmp_path / "a.mp4", sound=True))


def test_a_format_that_nobody_knows(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", moving_face(3, 64, 48))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(SourceOpenError, match=r"a\.mp4 has video in a format that FFmpeg cannot decode"):
        read(path)


def test_a_picture_named_as_a_video_is_one_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    Image.fromarray(portrait()).save(path, "jpeg", quality=95)
    assert difference(picture(path), portrait()) < 4


# Files that are none


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_pipes_and_devices_are_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises((SourceOpenError, DecodeError), match="is not a file"):
        read(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises((SourceOpenError, DecodeError), match="is not a file"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_links_that_lead_nowhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir()
    path.symlink_to("gone")
    with pytest.raises((SourceOpenError, DecodeError), match="No such file"):
        read(path.parent)
    path.unlink()
    path.symlink_to(name)
    with pytest.raises((SourceOpenError, DecodeError), match="Too many levels of symbolic links"):
        read(path.parent)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_files_that_must_not_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"secret")
    (tmp_path / name).chmod(0)
    with pytest.raises((SourceOpenError, DecodeError), match="Permission denied"):
        read(tmp_path / name)


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match="gone cannot be listed: No such file"):
        list(read_frames(Source("gone", tmp_path / "gone", "images"), SamplingSettings(), DecodeReport()))


# Pictures


TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a picture is stored that EXIF's orientation turns upright again."""


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_pictures_are_turned_once(tmp_path: Path, suffix: str) -> None:
    upright = Image.fromarray(portrait())
    for orientation, turn in TURNED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.{suffix}"
        upright.transpose(turn).save(path, exif=exif, quality=95)
        assert difference(np.asarray(ImageOps.exif_transpose(Image.open(path))), portrait()) < 6
        assert difference(picture(path), portrait()) < 6


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp"])
@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_transparency_does_not_darken(tmp_path: Path, suffix: str, alpha: int) -> None:
    image = Image.fromarray(portrait()).convert("RGBA")
    image.putalpha(alpha)
    image.save(tmp_path / f"a.{suffix}", lossless=True, exact=True)
    assert np.array_equal(picture(tmp_path / f"a.{suffix}"), portrait())


def test_gray_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(portrait()).convert("LA")
    image.putalpha(0)
    image.save(tmp_path / "a.png")
    assert difference(picture(tmp_path / "a.png"), gray(portrait())) < 1


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_printers_colours(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(portrait()).convert("CMYK").save(tmp_path / f"a.{suffix}", quality=95)
    assert difference(picture(tmp_path / f"a.{suffix}"), portrait()) < 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("code", [cv2.COLOR_RGB2BGR, cv2.COLOR_RGB2BGRA, cv2.COLOR_RGB2GRAY])
def test_sixteen_bits(tmp_path: Path, suffix: str, code: int) -> None:
    deep = cv2.cvtColor(portrait(), code).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), deep)
    wanted = gray(portrait()) if code == cv2.COLOR_RGB2GRAY else portrait()
    assert difference(picture(tmp_path / f"a.{suffix}"), wanted) < 1


def test_colours_from_a_table(tmp_path: Path) -> None:
    Image.fromarray(portrait()).quantize(256).save(tmp_path / "a.png")
    assert difference(picture(tmp_path / "a.png"), portrait()) < 6


# Pages


def pages(path: Path, count: int, **how: Any) -> list[NDArray[np.uint8]]:
    """A TIFF of several pages; returns what they show."""
    images = moving_face(count, 64, 48)
    first, *others = map(Image.fromarray, images)
    first.save(path, "tiff", save_all=True, append_images=others, **how)
    return images


@pytest.mark.parametrize("how", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}])
@pytest.mark.parametrize("name", ["scan.tif", "caf\udce9.tif", "scan.bin"])
def test_every_page_is_a_picture(tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    images = pages(tmp_path / "a.tif", 3, **how)
    path = (tmp_path / "a.tif").rename(tmp_path / name)
    frames, report = read(path)
    assert [(frame.index, frame.time_s) for frame in frames] == [(0, None), (1, None), (2, None)]
    assert {frame.file for frame in frames} == {name.replace("\udce9", "%E9")}
    for frame, image in zip(frames, images, strict=True):
        assert frame.image is not None
        assert difference(frame.image, image) == 0
    assert report.notes == [SEVERAL_PAGES]


def test_every_page_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    images = pages(tmp_path / "a.tif", 2, exif=exif)
    for frame, image in zip(read(tmp_path / "a.tif")[0], images, strict=True):
        assert frame.image is not None
        assert difference(frame.image, np.rot90(image, -1)) == 0


def test_a_smaller_copy_or_a_mask_is_no_page(tmp_path: Path) -> None:
    """A TIFF of gray pages by hand: no library writes what a page is said to be."""
    data = bytearray(b"II*\0\0\0\0\0")
    pointer = 4
    for shade, kind in ((10, 0), (20, 1), (30, 2), (40, 4)):
        pixels = len(data)
        data += bytes([shade]) * 64
        struct.pack_into("<I", data, pointer, len(data))
        values = {254: kind, 256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: pixels, 277: 1, 278: 8, 279: 64}
        data += struct.pack("<H", len(values))
        data += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
        pointer = len(data)
        data += bytes(4)
    (tmp_path / "a.tif").write_bytes(data)
    frames, report = read(tmp_path / "a.tif")
    assert [frame.image.mean() for frame in frames if frame.image is not None] == [10, 30]
    assert not report.problems


def test_a_damaged_page_stops_no_other(tmp_path: Path) -> None:
    pages(tmp_path / "a.tif", 3, compression="tiff_lzw")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    strips = [found.start() for found in re.finditer(re.escape(struct.pack("<HHI", 273, 4, 1)), data)]
    data[strips[1] + 8 : strips[1] + 12] = struct.pack("<I", 1 << 30)
    (tmp_path / "a.tif").write_bytes(data)
    frames, report = read(tmp_path / "a.tif")
    assert [frame.corrupt for frame in frames] == [False, True, False]
    assert report.problems == ["damaged frames: 1", "a.tif (page 2) cannot be decoded"]


def test_a_list_of_pages_that_leads_in_a_circle_ends(tmp_path: Path) -> None:
    pages(tmp_path / "a.tif", 2)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, first)
    (second,) = struct.unpack_from("<I", data, first + 2 + 12 * tags)
    (tags,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * tags, first)
    (tmp_path / "a.tif").write_bytes(data)
    assert len(read(tmp_path / "a.tif")[0]) == 2


@pytest.mark.parametrize(("name", "kind"), [("a.avif", "avif"), ("a.jp2", "jpeg2000"), ("a.ppm", "ppm")])
def test_rarer_pictures(tmp_path: Path, name: str, kind: str) -> None:
    how = {"quality": 95} if kind == "avif" else {}
    Image.fromarray(portrait()).save(tmp_path / name, kind, **how)
    assert difference(picture(tmp_path / name), portrait()) < 4


def bomb() -> bytes:
    """A PNG of a few bytes that claims to be a hundred thousand pixels wide and high."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0"))


def encoded(image: Image.Image, kind: str) -> bytes:
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


def test_a_folder_of_everything(tmp_path: Path) -> None:
    """What is broken has its row, with its reason counted, and stops nothing."""
    folder, image = tmp_path / "in", Image.fromarray(portrait())
    folder.mkdir()
    whole = encoded(image, "jpeg")
    broken = {
        "02 cut.jpg": whole[: len(whole) // 2],
        "03 text.jpg": b"This is no picture.",
        "04 empty.png": b"",
        "05 bomb.png": bomb(),
        "06 floats.tif": encoded(Image.fromarray(np.zeros((9, 9), np.float32)), "tiff"),
        "07 cut.png": encoded(image, "png")[:-400],
        "08 sound.jpg": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    }
    good = {
        "01.jpg": whole,
        "09 small.png": encoded(image.resize((31, 17)), "png"),
        "10 gif.jpg": encoded(image, "gif"),
    }
    for name, data in (
        broken | good | {"._01.jpg": b"of another system", "notes.txt": b"passed over"}
    ).items():
        (folder / name).write_bytes(data)
    (folder / "11 gone.png").symlink_to("nowhere")
    (folder / "12 folder.png").mkdir()
    frames, report = read(folder)
    assert [frame.file for frame in frames] == sorted([*broken, *good, "11 gone.png"])
    assert {frame.file for frame in frames if frame.corrupt} == {*broken, "11 gone.png"}
    assert all((frame.image is None) == frame.corrupt for frame in frames)
    assert report.problems == [f"damaged frames: {len(broken) + 1}", "02 cut.jpg cannot be decoded"]
    assert frames[8].image is not None
    assert frames[8].image.shape == (17, 31, 3)


def test_a_folder_of_nothing_but_trash(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_text("no picture")
    with pytest.raises(
        DecodeError, match=r"in holds no picture that can be decoded: a\.png cannot be decoded"
    ):
        read(tmp_path / "in")


# Names

ODD_NAMES = [
    "a b",
    "-leading dash",
    "--out",
    "new\nline",
    "tab\tand bell\a",
    "quote ' and \"",
    "percent %03d %s %",
    "back\\slash",
    "12:30:05",
    "http:",
    "a|b&c;d$e`f",
    "[x] *?{1,2}",
    "trailing dots...",
    "trailing space ",
    "影片 ünïcødé 🙂",
    "e\u0301",
    "caf\udce9",
    "\udcff\udcfe",
    "summary.csv",
    "x.partial",
    "x.begun",
    "x" * 251,
    "影" * 83,
    "#&=, comma",
]


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.skipif(os.name == "nt", reason="such names cannot be")
def test_odd_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    video = encode(tmp_path / "a.mp4", moving_face(2, 64, 48))
    (folder / f"{name}.mp4").write_bytes(video.read_bytes())
    monkeypatch.chdir(folder)
    # By its folder, and alone, as in the folder that one is in.
    for named in (folder, Path(f"{name}.mp4")):
        (source,) = find_sources([named], out=tmp_path / "out")
        report = DecodeReport()
        assert len(list(read_frames(source, SamplingSettings(), report))) == 2
        assert not report.problems
    # Done once, and once again: the folder's name gets more suffixes on the way.
    for content in ("one", "two"):
        with atomic_folder(tmp_path / "out" / source.name) as results:
            write_json(
                results / "manifest.json", {"name": source.name, "source": source.identity(), "x": content}
            )
    assert read_json(tmp_path / "out" / source.name / "manifest.json")["name"] == source.name
    assert [path.name for path in (tmp_path / "out").iterdir()] == [source.name]
    table = pa.table({"source": [source.name]})
    pyarrow.csv.write_csv(table, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["source"], [source.name]]
    assert source.name.isprintable()


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be")
def test_pictures_with_odd_names(tmp_path: Path) -> None:
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    for name in ODD_NAMES:
        Image.fromarray(landscape(16, 16)).save(os.fsencode(folder / f"{name}.png"))
    (folder / "br\udcf6ken.png").write_text("no picture")
    frames, report = read(folder)
    assert len(frames) == len(ODD_NAMES) + 1
    assert report.problems == ["damaged frames: 1", "br%F6ken.png cannot be decoded"]
    names = [frame.file for frame in frames]
    assert pa.array(names).to_pylist() == names
    assert {"caf%E9.png", "new%0Aline.png", "影片 ünïcødé 🙂.png"} <= set(names)


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be")
def test_errors_name_a_file_in_valid_text(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.mp4"
    path.write_text("no video")
    with pytest.raises(SourceOpenError, match=r"caf%E9\.mp4 cannot be opened as a video"):
        read(path)


def test_a_video_may_change_its_size_between_searches(tmp_path: Path) -> None:
    stream = io.BytesIO()
    for width in (320, 640):
        encode(tmp_path / "part.h264", [portrait(width, width * 9 // 16)] * 6, options={"bf": "0"})
        stream.write((tmp_path / "part.h264").read_bytes())
    stream.seek(0)
    path = tmp_path / "resized.ts"
    with av.open(stream, format="h264") as raw, av.open(str(path), "w") as container:
        copy = container.add_stream_from_template(raw.streams.video[0])
        for number, packet in enumerate(packet for packet in raw.demux(video=0) if packet.size):
            packet.pts = packet.dts = number * 3600
            packet.time_base, packet.stream = Fraction(1, 90_000), copy
            container.mux(packet)
    annotate([path], tmp_path / "out", AnnotateSettings(detection=DetectionSettings(every=10)))
    faces = pq.read_table(tmp_path / "out" / "resized" / "faces.parquet").to_pydict()
    assert len(faces["width"]) == 12
    before, after = faces["width"][:6], faces["width"][6:]
    assert min(after) > 1.8 * max(before)
    assert not set(faces["track"][:6]) & set(faces["track"][6:])
