"""Dataset folders and class folders as arrays."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import fer2013_csv as made
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fer_batch.dataset import Split, fingerprint, load_class_folders, load_split, prepare
from fer_batch.dataset.images import encode
from fer_batch.errors import DatasetFormatError, InputError

ROWS = made.make_rows(21)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arrays")
    source = made.write_lines(folder / "fer2013.csv", made.fer2013_lines(ROWS))
    votes = made.write_lines(folder / "fer2013new.csv", made.ferplus_lines(ROWS))
    return prepare(source, folder / "dataset", ferplus=votes).path


def test_split_has_the_stated_types(dataset: Path) -> None:
    split = load_split(dataset, "train")
    assert (split.name, len(split)) == ("train", 7)
    assert (split.images.dtype, split.images.shape) == (np.uint8, (7, 48, 48))
    assert (split.labels.dtype, split.labels.shape) == (np.int64, (7,))
    assert split.votes is not None
    assert (split.votes.dtype, split.votes.shape) == (np.int64, (7, 10))
    assert len(set(split.sha256)) == 7


def test_missing_split_names_those_there(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no split 'private': it has train, val, test"):
        load_split(dataset, "private")
    with pytest.raises(InputError, match="no dataset folder"):
        load_split(tmp_path, "train")
    with pytest.raises(InputError, match="does not exist"):
        load_split(tmp_path / "nowhere", "train")


def test_a_folder_whose_name_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*x: File name too long"):
        load_split(tmp_path / ("x" * 300), "train")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are no text")
def test_a_table_whose_path_is_no_text_is_an_error(dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / os.fsdecode(b"ord\xf6ner"))
    with pytest.raises(InputError, match=r"cannot read .*ord%F6ner/train\.parquet: its path is no text"):
        load_split(copy, "train")


def test_damaged_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetFormatError, match=r"train\.parquet is damaged"):
        load_split(tmp_path, "train")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "train.parquet")
    with pytest.raises(DatasetFormatError, match="lacks the columns id, label, image, sha256"):
        load_split(tmp_path, "train")


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (
            [encode(np.zeros((48, 48), np.uint8), "png"), encode(np.zeros((24, 48), np.uint8), "png")],
            "48x24, 48x48",
        ),
        ([b"no picture"], "the picture of row 00000: not a picture"),
    ],
)
def test_unusable_pictures_are_an_error(
    pictures: list[bytes], message: str, dataset: Path, tmp_path: Path
) -> None:
    schema = pq.read_schema(dataset / "train.parquet")
    rows = [
        {"id": f"{i:05d}", "row": i, "split": "train", "label": 0, "image": {"bytes": data}, "sha256": ""}
        | {f"votes_{name}": 1 for name in ("neutral", "nf")}
        for i, data in enumerate(pictures)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "train.parquet")
    with pytest.raises(DatasetFormatError, match=message):
        load_split(tmp_path, "train")


def reordered(split: Split) -> Split:
    order = np.arange(len(split))[::-1]
    return Split(
        split.name,
        [split.ids[i] for i in order],
        split.images[order],
        split.labels[order],
        None if split.votes is None else split.votes[order],
        [split.sha256[i] for i in order],
    )


@pytest.mark.parametrize("label", [-1, 7])
def test_a_label_that_is_none_is_an_error(dataset: Path, tmp_path: Path, label: int) -> None:
    table = pq.read_table(dataset / "train.parquet")
    labels = pa.array([*table["label"].to_pylist()[:-1], label], pa.int64())
    pq.write_table(
        table.set_column(table.schema.get_field_index("label"), "label", labels), tmp_path / "train.parquet"
    )
    wanted = rf"train\.parquet: the label of row {table['id'][-1]} is {label}, expected 0–6"
    with pytest.raises(DatasetFormatError, match=wanted):
        load_split(tmp_path, "train")


def test_fingerprint_is_of_the_content(dataset: Path) -> None:
    train, val = load_split(dataset, "train"), load_split(dataset, "val")
    both = fingerprint([train, val])
    assert both == fingerprint([val, reordered(train)])
    assert both != fingerprint([train])
    assert both != fingerprint([replace(train, labels=(train.labels + 1) % 7), val])
    assert both != fingerprint([replace(train, votes=None), val])
    assert both != fingerprint([replace(train, name="test"), val])


def test_fingerprint_ignores_the_encoding_of_tables(dataset: Path, tmp_path: Path) -> None:
    table = pq.read_table(dataset / "train.parquet")
    pq.write_table(table, tmp_path / "train.parquet", compression="zstd", row_group_size=3)
    assert fingerprint([load_split(tmp_path, "train")]) == fingerprint([load_split(dataset, "train")])


def test_class_folders_are_the_split_they_were_made_of(dataset: Path) -> None:
    folders, unreadable = load_class_folders(dataset / "images" / "val", 48)
    split = load_split(dataset, "val")
    assert unreadable == ()
    assert folders.name == "val"
    order = sorted(
        range(len(split)), key=lambda i: f"{ROWS[int(split.ids[i])].emotion.label}/{split.ids[i]}.png"
    )
    assert [Path(name).stem for name in folders.ids] == [split.ids[i] for i in order]
    assert folders.labels.tolist() == split.labels[order].tolist()
    assert np.array_equal(folders.images, split.images[order])
    # Exact duplicates are found across the two forms.
    assert folders.sha256 == [split.sha256[i] for i in order]


def test_class_folders_of_any_size_and_what_cannot_be_read(tmp_path: Path) -> None:
    for name, shape in (("happy/a.png", (100, 80, 3)), ("Sadness/b.jpg", (20, 20))):
        path = tmp_path / name
        path.parent.mkdir()
        cv2.imwrite(str(path), np.full(shape, 100, np.uint8))
    (tmp_path / "happy" / "broken.png").write_bytes(b"broken")
    split, unreadable = load_class_folders(tmp_path, 32)
    assert split.images.shape == (2, 32, 32)
    assert split.ids == ["Sadness/b.jpg", "happy/a.png"]
    assert [(item.path, item.reason) for item in unreadable] == [
        ("happy/broken.png", "not a picture that can be decoded")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are no text")
def test_ids_are_text_whatever_the_names(tmp_path: Path) -> None:
    for name in (b"caf\xe9.png", b"na\xefve.png"):
        path = tmp_path / "happy" / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(np.zeros((48, 48), np.uint8), "png") if name.startswith(b"c") else b"broken")
    split, unreadable = load_class_folders(tmp_path, 48)
    assert split.ids == ["happy/caf%E9.png"]
    assert [item.path for item in unreadable] == ["happy/na%EFve.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_class_folders_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"ord\xf6ner")
    (folder / "sad").mkdir(parents=True)
    (folder / "sad" / "a.png").write_bytes(cv2.imencode(".png", np.eye(48, dtype=np.uint8))[1].tobytes())
    split, _ = load_class_folders(folder, 48)
    assert split.name.encode("utf-8")


def test_class_folders_without_a_picture_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetFormatError, match="no class folders"):
        load_class_folders(tmp_path, 48)
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "a.png").write_bytes(b"broken")
    with pytest.raises(DatasetFormatError, match=r"happy/a\.png: not a picture"):
        load_class_folders(tmp_path, 48)
