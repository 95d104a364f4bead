"""Every picture of a data set is read, in order, whatever it looks like, and what is damaged is said."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import damage
import datasets_made
import fer2013_csv as made
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.dataset import load_split, prepare
from fer_batch.dataset.images import SIDE, encode, pixel_sha256, resize
from fer_batch.errors import DatasetFormatError, InputError
from fer_batch.quality.pictures import Batch, PictureSource, open_pictures

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return datasets_made.write_stripes(tmp_path_factory.mktemp("stripes"), train=21, held_out=7)


def rewrite(source: Path, table: Path, change: Callable[[dict[str, Any]], None], **options: Any) -> None:
    """Write a table once more, with its rows changed."""
    schema, rows = pq.read_schema(source), pq.read_table(source).to_pylist()
    for row in rows:
        change(row)
    table.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), table, **options)


def put(data: bytes | None, row: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        if values["id"] == row:
            values["image"]["bytes"] = data

    return change


def whole(source: PictureSource, size: int = 256) -> Batch:
    """All batches as one, checked to follow each other."""
    images, sha256, reasons = [], [], []
    for batch in source.batches(size):
        assert batch.start == len(images)
        assert 1 <= len(batch) <= size
        assert len(batch.images) == len(batch.sha256) == len(batch.reasons)
        images += batch.images
        sha256 += batch.sha256
        reasons += batch.reasons
    assert len(images) == len(source.records)
    return Batch(0, images, sha256, reasons)


def chosen(source: PictureSource, indices: list[int]) -> list[np.ndarray | None]:
    """These pictures, as large as they are."""
    found = dict(source.pictures(indices))
    assert set(found) == set(indices)
    return [found[index] for index in indices]


def same(first: list[np.ndarray | None], second: list[np.ndarray | None]) -> bool:
    return all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(first, second, strict=True)
    )


# --- dataset folders ---------------------------------------------------------------------------


def test_records_and_pictures_are_those_of_the_splits(dataset: Path) -> None:
    source = open_pictures(dataset)
    splits = [load_split(dataset, split) for split in SPLITS]
    records = source.records
    assert records.ids == [name for split in splits for name in split.ids]
    assert records.splits == ["train"] * 21 + ["val"] * 7 + ["test"] * 7
    assert records.labels.dtype == records.rows.dtype == np.int64
    assert records.labels.tolist() == np.concatenate([split.labels for split in splits]).tolist()
    assert records.rows.tolist() == [int(name) for name in records.ids]
    read = whole(source)
    assert same(read.images, [*np.concatenate([split.images for split in splits])])
    assert read.sha256 == [sha256 for split in splits for sha256 in split.sha256]
    assert read.reasons == [""] * 35


@given(size=st.integers(1, 40), indices=st.lists(st.integers(0, 34)))
def test_any_size_of_batch_and_any_choice_give_the_same_pictures(
    size: int, indices: list[int], dataset: Path
) -> None:
    source = open_pictures(dataset)
    images = whole(source).images
    assert same(whole(source, size).images, images)
    assert same(chosen(source, indices), [images[index] for index in indices])


def test_row_groups_of_any_size_are_read(dataset: Path, tmp_path: Path) -> None:
    for split in SPLITS:
        rewrite(dataset / f"{split}.parquet", tmp_path / f"{split}.parquet", lambda _: None, row_group_size=4)
    source = open_pictures(tmp_path)
    images = whole(open_pictures(dataset)).images
    assert same(whole(source, 3).images, images)
    indices = [34, 5, 20, 21, 5]
    assert same(chosen(source, indices), [images[index] for index in indices])


def test_rows_without_a_label_are_read_too(tmp_path: Path) -> None:
    rows = made.make_rows(5)
    made.write_lines(tmp_path / "in" / "train.csv", made.train_lines(rows))
    made.write_lines(tmp_path / "in" / "test.csv", made.test_lines(rows[:3]))
    source = open_pictures(prepare(tmp_path / "in", tmp_path / "out").path)
    assert source.records.labels.tolist() == [0, 1, 2, 3, 4, -1, -1, -1]
    assert source.records.splits == ["train"] * 5 + ["test"] * 3
    assert same(whole(source).images, [row.image for row in [*rows, *rows[:3]]])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no picture", "not a picture that can be decoded"),
        (b"", "the file is empty"),
        (None, "the file is empty"),
    ],
)
def test_a_corrupt_picture_in_a_table_stands_alone(
    data: bytes | None, reason: str, dataset: Path, tmp_path: Path
) -> None:
    rewrite(dataset / "train.parquet", tmp_path / "train.parquet", put(data, "00004"))
    source = open_pictures(tmp_path)
    read = whole(source)
    expected: list[np.ndarray | None] = [*load_split(dataset, "train").images]
    expected[4] = None
    assert same(read.images, expected)
    assert (read.sha256[4], read.reasons[4]) == ("", reason)
    assert "" not in read.sha256[:4] + read.sha256[5:]
    assert not any(read.reasons[:4] + read.reasons[5:])
    assert same(chosen(source, [5, 4]), [expected[5], None])


def test_a_table_without_fingerprints_gets_those_of_its_pixels(dataset: Path, tmp_path: Path) -> None:
    # Otherwise all of its pictures would be duplicates of each other.
    for missing in ("", None):
        rewrite(
            dataset / "val.parquet", tmp_path / "val.parquet", lambda row, m=missing: row.update(sha256=m)
        )
        assert whole(open_pictures(tmp_path)).sha256 == load_split(dataset, "val").sha256


def test_identity_is_of_the_tables(dataset: Path, tmp_path: Path) -> None:
    identity = open_pictures(dataset).identity()
    for split in SPLITS:
        (tmp_path / f"{split}.parquet").write_bytes((dataset / f"{split}.parquet").read_bytes())
    (tmp_path / "quality.parquet").write_bytes(b"written later")
    assert open_pictures(tmp_path).identity() == identity
    rewrite(dataset / "val.parquet", tmp_path / "val.parquet", put(b"", "00021"))
    changed = open_pictures(tmp_path).identity()
    (tmp_path / "test.parquet").unlink()
    assert len({identity, changed, open_pictures(tmp_path).identity()}) == 3


# --- what is no data set -----------------------------------------------------------------------


def test_damaged_tables_are_one_clear_error(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetFormatError, match=r"train\.parquet is damaged"):
        open_pictures(tmp_path)
    pq.write_table(pa.table({"id": ["a"], "label": [1]}), path)
    with pytest.raises(DatasetFormatError, match="lacks the columns row, image, sha256"):
        open_pictures(tmp_path)
    rewrite(dataset / "train.parquet", path, lambda row: row.update(label=row["row"]))
    with pytest.raises(DatasetFormatError, match="the label of row 00007 is 7, expected 0–6"):
        open_pictures(tmp_path)


def test_damage_inside_a_table_is_found_when_it_is_read(dataset: Path, tmp_path: Path) -> None:
    content = (dataset / "train.parquet").read_bytes()
    column = pq.read_metadata(dataset / "train.parquet").row_group(0).column(4)
    assert column.path_in_schema == "image.bytes"
    begin = column.data_page_offset + 20
    (tmp_path / "train.parquet").write_bytes(content[:begin] + bytes(2000) + content[begin + 2000 :])
    source = open_pictures(tmp_path)
    with pytest.raises(DatasetFormatError, match=r"train\.parquet is damaged"):
        whole(source)
    with pytest.raises(DatasetFormatError, match=r"train\.parquet is damaged"):
        chosen(source, [3])


@pytest.mark.parametrize("seed", range(100))
def test_any_damage_is_an_error_or_harmless(seed: int, dataset: Path, tmp_path: Path) -> None:
    content = (dataset / "test.parquet").read_bytes()
    (tmp_path / "test.parquet").write_bytes(damage.mutate(content, np.random.default_rng(seed)))
    try:
        whole(open_pictures(tmp_path))
    except DatasetFormatError as error:
        assert "test.parquet" in str(error)  # noqa: PT017 - it may also not be raised


def test_what_is_no_data_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not a folder"):
        open_pictures(tmp_path / "nowhere")
    with pytest.raises(
        DatasetFormatError, match=r"is no data set: expected the folder that `fer-batch prepare`"
    ):
        open_pictures(tmp_path)
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "a.gif").write_bytes(b"GIF89a")
    with pytest.raises(DatasetFormatError, match=r"has no pictures: files .* must end in \.bmp, \.jfif"):
        open_pictures(tmp_path)


# --- folders of class folders ------------------------------------------------------------------


def write(path: Path, data: np.ndarray | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        assert cv2.imwrite(str(path), data)
    return path


def png(width: int, height: int, colour: int, depth: int, rows: bytes) -> bytes:
    """A PNG of kinds that OpenCV does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


GRAY = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8), (0, 0), 2)


def gray_with_alpha(picture: np.ndarray, scale: int) -> bytes:
    """An 8-bit (`scale` 1) or 16-bit (257) PNG of gray and transparency, all of it transparent."""
    both = np.stack([picture.astype(int) * scale, np.zeros_like(picture, int)], axis=-1)
    rows = (b"\0" + row.astype(np.uint8 if scale == 1 else ">u2").tobytes() for row in both)
    height, width = picture.shape
    return png(width, height, 4, 8 if scale == 1 else 16, b"".join(rows))


def stacked(channels: int, scale: int) -> np.ndarray:
    kind = np.uint8 if scale == 1 else np.uint16
    return np.dstack([GRAY] * channels).squeeze().astype(kind) * kind(scale)


KINDS: dict[str, np.ndarray | bytes] = {
    "gray": stacked(1, 1),
    "gray, 16 bit": stacked(1, 257),
    "gray and alpha": gray_with_alpha(GRAY, 1),
    "gray and alpha, 16 bit": gray_with_alpha(GRAY, 257),
    "colour": stacked(3, 1),
    "colour, 16 bit": stacked(3, 257),
    "colour and alpha": stacked(4, 1),
    "colour and alpha, 16 bit": stacked(4, 257),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_any_kind_is_read_as_gray(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "happy" / "a.png", KINDS[kind])
    source = open_pictures(tmp_path)
    [image] = chosen(source, [0])
    assert image is not None
    assert (image.shape, image.dtype) == ((40, 60), np.uint8)
    # Gray is not always the sum of three equal shares of itself: luma is rounded.
    assert np.abs(image.astype(int) - GRAY).max() <= 1
    assert whole(source).sha256 == [pixel_sha256(image)]


def test_pictures_are_shown_as_large_as_they_are_and_measured_at_48_pixels(tmp_path: Path) -> None:
    shapes = [(32, 32), (48, 48), (2000, 2000), (33, 501)]
    rng = np.random.default_rng(0)
    for index, shape in enumerate(shapes):
        write(tmp_path / "sad" / f"{index}.png", rng.integers(0, 256, shape, np.uint8))
    source = open_pictures(tmp_path)
    images = [image for image in chosen(source, [0, 1, 2, 3]) if image is not None]
    assert [image.shape for image in images] == shapes
    read = whole(source)  # a batch has 2.3 KB a picture, whatever its size
    assert same(read.images, [resize(image, SIDE) for image in images])
    assert read.sha256 == [pixel_sha256(image) for image in images]


def test_an_unreadable_file_stands_alone(tmp_path: Path) -> None:
    write(tmp_path / "fear" / "a.png", GRAY)
    write(tmp_path / "fear" / "b empty.png", b"")
    write(tmp_path / "fear" / "c text.png", b"this is no picture")
    write(tmp_path / "fear" / "d cut.jpg", cv2.imencode(".jpg", GRAY)[1].tobytes()[:-100])
    write(tmp_path / "fear" / "e gigantic.png", png(100_000, 100_000, 0, 8, b""))
    (tmp_path / "fear" / "f folder.png").mkdir()
    (tmp_path / "fear" / "g lost.png").symlink_to("nowhere.png")
    write(tmp_path / "fear" / "h.PNG", encode(GRAY, "png"))
    source = open_pictures(tmp_path)
    read, small = whole(source), resize(GRAY, SIDE)
    assert same(read.images, [small, *[None] * 6, small])
    assert read.sha256 == [pixel_sha256(GRAY), *[""] * 6, pixel_sha256(GRAY)]
    undecodable = "not a picture that can be decoded"
    assert read.reasons[:4] == ["", "the file is empty", undecodable, undecodable]
    assert read.reasons[4].startswith(undecodable)
    assert read.reasons[5:] == [os.strerror(21), os.strerror(2), ""]
    assert same(chosen(source, [7, 4]), [GRAY, None])
    assert source.identity() == open_pictures(tmp_path).identity()


def test_class_folders_are_in_the_order_of_splits_then_of_paths(tmp_path: Path) -> None:
    for name in ("train/happy/b", "train/happy/a", "train/contempt/c", "validation/Sadness/d", "test/fear/e"):
        write(tmp_path / f"{name}.png", GRAY)
    write(tmp_path / "train" / "happy" / ".hidden.png", GRAY)
    write(tmp_path / "train" / "happy" / "notes.txt", b"no picture")
    records = open_pictures(tmp_path).records
    assert records.ids == [
        "train/contempt/c.png",
        "train/happy/a.png",
        "train/happy/b.png",
        "validation/Sadness/d.png",
        "test/fear/e.png",
    ]
    assert records.splits == ["train", "train", "train", "val", "test"]
    assert records.labels.tolist() == [-1, 3, 3, 4, 2]
    assert records.rows.tolist() == [1, 2, 3, 4, 0]


def test_identity_of_files_follows_every_change(tmp_path: Path) -> None:
    first = write(tmp_path / "happy" / "a.png", GRAY)
    second = write(tmp_path / "happy" / "b.png", GRAY)
    seen = {open_pictures(tmp_path).identity()}
    os.utime(first, ns=(0, 0))
    seen.add(open_pictures(tmp_path).identity())
    second.rename(second.with_name("c.png"))
    seen.add(open_pictures(tmp_path).identity())
    first.unlink()
    seen.add(open_pictures(tmp_path).identity())
    write(tmp_path / "audit.html", b"written later")
    assert open_pictures(tmp_path).identity() in seen
    assert len(seen) == 4
