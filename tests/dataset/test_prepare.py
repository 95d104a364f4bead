"""`prepare` on made-up data: every dialect, every kind of bad row, every refusal."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import shutil
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import fer2013_csv as made
import numpy as np
import pyarrow.parquet as pq
import pytest

from fer_batch.dataset import PrepareResult, load_split, prepare
from fer_batch.emotions import LABELS
from fer_batch.errors import DatasetFormatError, InputError, OutputError, UsageError
from fer_batch.settings import PrepareSettings
from fer_batch.storage import DATASET_COLUMNS, FILE_COLUMN, VOTE_COLUMNS

OF_SYSTEMS = (".DS_Store", "images/._train", "images/train/Thumbs.db", "images/train/happy/desktop.ini")
ROWS = made.make_rows(42)  # two of each label in each split
FER2013 = made.fer2013_lines(ROWS)


@pytest.fixture
def fer2013(tmp_path: Path) -> Path:
    return made.write_lines(tmp_path / "fer2013.csv", FER2013)


@pytest.fixture
def make_locked() -> Iterator[Callable[[Path], Path]]:
    """Makes a folder that must not be entered."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("root may enter every folder")
    made: list[Path] = []

    def make(folder: Path) -> Path:
        folder.mkdir(0)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        folder.chmod(0o700)


def total(result: PrepareResult) -> int:
    return sum(sum(counts.values()) for counts in result.counts.values())


def rejected(folder: Path) -> list[dict[str, str]]:
    with (folder / "rejected.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def assert_holds_all_rows(folder: Path) -> None:
    for usage, split in zip(made.USAGES, ("train", "val", "test"), strict=True):
        loaded = load_split(folder, split)
        expected = [(i, row) for i, row in enumerate(ROWS) if row.usage == usage]
        assert loaded.ids == [f"{i:05d}" for i, _ in expected]
        assert loaded.labels.tolist() == [int(row.emotion) for _, row in expected]
        assert np.array_equal(loaded.images, np.stack([row.image for _, row in expected]))


# --- the dataset folder ------------------------------------------------------------------------


def test_pictures_and_tables_hold_the_pixels_of_the_source(fer2013: Path, tmp_path: Path) -> None:
    result = prepare(fer2013, tmp_path / "out")
    assert total(result) == 42
    assert result.counts["val"] == dict.fromkeys(LABELS, 2)
    assert_holds_all_rows(result.path)
    for split in ("train", "val", "test"):
        for row in pq.read_table(result.path / f"{split}.parquet").to_pylist():
            source = ROWS[row["row"]]
            file = result.path / row["image"]["path"]
            assert file.read_bytes() == row["image"]["bytes"]
            assert file.parent.name == LABELS[row["label"]] == source.emotion.label
            assert file.parent.parent.name == row["split"] == split
            assert np.array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), source.image)


def test_table_has_the_columns_of_the_contract(fer2013: Path, tmp_path: Path) -> None:
    prepare(fer2013, tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / "train.parquet")
    assert schema.names == [column.name for column in DATASET_COLUMNS]
    assert [schema.field(column.name).type for column in DATASET_COLUMNS] == [c.type for c in DATASET_COLUMNS]


def test_manifest_tells_source_settings_counts_and_versions(fer2013: Path, tmp_path: Path) -> None:
    import hashlib

    prepare(fer2013, tmp_path / "out", PrepareSettings(splits="two"))
    manifest = json.loads((tmp_path / "out" / "dataset.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "ok"
    assert manifest["source"] == {
        "name": "fer2013.csv",
        "dialect": "fer2013",
        "sha256": hashlib.sha256(fer2013.read_bytes()).hexdigest(),
    }
    assert manifest["settings"] == {"splits": "two", "image_format": "png"}
    assert manifest["counts"]["test"]["happy"] == 4
    assert manifest["rejected"] == 0
    assert set(manifest["versions"]) >= {"fer-batch", "python", "numpy", "opencv-python-headless", "pyarrow"}


def test_two_splits_put_both_tests_together(fer2013: Path, tmp_path: Path) -> None:
    result = prepare(fer2013, tmp_path / "out", PrepareSettings(splits="two"))
    assert list(result.counts) == ["train", "test"]
    assert sum(result.counts["test"].values()) == 28
    assert result.published["test"]["happy"] == 895 + 879
    assert {path.name for path in (result.path / "images").iterdir()} == {"train", "test"}


def test_no_folder_for_an_empty_class(tmp_path: Path) -> None:
    source = made.write_lines(tmp_path / "fer2013.csv", made.fer2013_lines(ROWS[:4]))
    result = prepare(source, tmp_path / "out")
    assert {path.name for path in (result.path / "images").glob("*/*")} == {
        "angry",
        "disgust",
        "fear",
        "happy",
    }


def test_jpeg_is_an_option(fer2013: Path, tmp_path: Path) -> None:
    result = prepare(fer2013, tmp_path / "out", PrepareSettings(image_format="jpg"))
    pictures = [path for path in (result.path / "images").rglob("*") if path.is_file()]
    assert len(pictures) == 42
    assert all(path.suffix == ".jpg" and path.read_bytes().startswith(b"\xff\xd8") for path in pictures)


def test_progress_ends_at_the_whole(fer2013: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    prepare(fer2013, tmp_path / "out", progress=lambda _what, done, whole: told.append((done, whole)))
    assert len(told) == 42
    assert told == sorted(told)


# --- dialects and what they are packed in ------------------------------------------------------


def as_zip(path: Path) -> Path:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, f"archive/{path.name}")
        archive.writestr(f"__MACOSX/archive/._{path.name}", b"\x00\x05\x16\x07")
        archive.writestr("archive/README", "about")
    return path.with_suffix(".zip")


def as_tar_gz(path: Path) -> Path:
    with tarfile.open(path.with_suffix(".tar.gz"), "w:gz") as archive:
        archive.add(path, f"fer2013/{path.name}")
    return path.with_suffix(".tar.gz")


def as_gz(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


def as_folder(path: Path) -> Path:
    folder = path.parent / "folder"
    folder.mkdir()
    return path.rename(folder / path.name).parent


def as_it_is(path: Path) -> Path:
    return path


@pytest.mark.parametrize("pack", [as_it_is, as_zip, as_tar_gz, as_gz, as_folder])
@pytest.mark.parametrize(
    ("name", "lines"),
    [("fer2013.csv", made.fer2013_lines(ROWS)), ("icml_face_data.csv", made.icml_lines(ROWS))],
)
def test_complete_dialects(name: str, lines: list[str], pack: Callable[[Path], Path], tmp_path: Path) -> None:
    source = pack(made.write_lines(tmp_path / "in" / name, lines))
    result = prepare(source, tmp_path / "out")
    assert result.rejected == 0
    assert_holds_all_rows(result.path)


@pytest.mark.parametrize("pack", ["folder", "zip"])
def test_train_and_test_csv(pack: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    made.write_lines(folder / "train.csv", made.train_lines(ROWS[:14]))
    made.write_lines(folder / "test.csv", made.test_lines(ROWS[14:20]))
    made.write_lines(folder / "example_submission.csv", ["pid,emotion", "0,0"])
    source = folder
    if pack == "zip":
        source = tmp_path / "challenge.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
    result = prepare(source, tmp_path / "out")
    assert result.counts == {
        "train": dict.fromkeys(LABELS, 2),
        "test": dict.fromkeys(LABELS, 0) | {"unlabelled": 6},
    }
    assert load_split(result.path, "train").ids == [f"train_{i:05d}" for i in range(14)]
    rows = pq.read_table(result.path / "test.parquet").to_pylist()
    assert [row["id"] for row in rows] == [f"test_{i:05d}" for i in range(6)]
    assert all(row["label"] is None and row["image"]["path"] is None for row in rows)
    assert not (result.path / "images" / "test").exists()
    with pytest.raises(DatasetFormatError, match="no row with a label"):
        load_split(result.path, "test")


def test_files_of_one_name_do_not_give_one_id_twice(tmp_path: Path) -> None:
    source = tmp_path / "split.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("train/data.csv", "\n".join(made.train_lines(ROWS[:2])))
        archive.writestr("test/data.csv", "\n".join(made.test_lines(ROWS[2:4])))
    prepare(source, tmp_path / "out")
    ids = [
        pq.read_table(tmp_path / "out" / f"{split}.parquet")["id"].to_pylist() for split in ("train", "test")
    ]
    assert ids == [["train_00000", "train_00001"], ["test_00000", "test_00001"]]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_with_the_separators_of_windows(kind: str, tmp_path: Path) -> None:
    source = tmp_path / f"windows.{kind}"
    members = {r"fer\train.csv": made.train_lines(ROWS[:14]), r"fer\test.csv": made.test_lines(ROWS[14:])}
    if kind == "zip":
        with zipfile.ZipFile(source, "w") as archive:
            for name, lines in members.items():
                archive.writestr(name, "\n".join(lines))
    else:
        with tarfile.open(source, "w") as archive:
            for name, lines in members.items():
                archive.add(made.write_lines(tmp_path / "member.csv", lines), name)
    prepare(source, tmp_path / "out")
    assert load_split(tmp_path / "out", "train").ids == [f"train_{i:05d}" for i in range(14)]
    assert (tmp_path / "out" / "images" / "train" / "happy" / "train_00003.png").is_file()


def test_a_zip_member_whose_name_is_no_text(tmp_path: Path) -> None:
    source = tmp_path / "control.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("a\nb.csv", "\n".join(made.train_lines(ROWS[:1])))
        archive.writestr("test.csv", "\n".join(made.test_lines(ROWS[:1])))
    prepare(source, tmp_path / "out")
    assert load_split(tmp_path / "out", "train").ids == ["a%0Ab_00000"]


def test_train_csv_alone(tmp_path: Path) -> None:
    source = made.write_lines(tmp_path / "train.csv", made.train_lines(ROWS[:14]))
    result = prepare(source, tmp_path / "out")
    assert result.counts == {"train": dict.fromkeys(LABELS, 2)}
    assert load_split(result.path, "train").ids[0] == "00000"


def test_challenge_archive_with_everything_is_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    made.write_lines(folder / "icml_face_data.csv", made.icml_lines(ROWS))
    made.write_lines(folder / "train.csv", made.train_lines(ROWS))
    made.write_lines(folder / "test.csv", made.test_lines(ROWS))
    result = prepare(folder, tmp_path / "out")
    assert_holds_all_rows(result.path)


@pytest.mark.parametrize("names", [["FER2013.CSV"], ["A.CSV", "Icml_Face_Data.csv"]])
def test_names_are_compared_without_case(names: list[str], tmp_path: Path) -> None:
    for name in names:
        made.write_lines(tmp_path / "in" / name, made.icml_lines(ROWS))
    prepare(tmp_path / "in", tmp_path / "out")
    assert_holds_all_rows(tmp_path / "out")


def test_two_files_of_one_kind_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("first.csv", "second.csv"):
        made.write_lines(tmp_path / "in" / name, FER2013)
    with pytest.raises(DatasetFormatError, match=r"first\.csv, second\.csv"):
        prepare(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(lambda text: "\ufeff" + text, id="byte-order mark"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="Windows line breaks"),
        pytest.param(lambda text: text.rstrip("\n"), id="no line break at the end"),
        pytest.param(lambda text: text.replace("\n", "\n\n").replace("\n\n", "\n  \n", 1), id="blank lines"),
        pytest.param(lambda text: "EMOTION , Pixels," + text.split(",", 2)[2], id="header in other case"),
        pytest.param(
            lambda text: "\n".join(
                ",".join(f'"{f}"' for f in line.split(",")) for line in text.split("\n")[:-1]
            ),
            id="quoted",
        ),
        pytest.param(
            lambda text: "\n".join(f"{i},{line}" for i, line in enumerate(text.split("\n")[:-1])),
            id="an index column",
        ),
        pytest.param(lambda text: text.replace(" ", "  "), id="double blanks"),
    ],
)
def test_harmless_differences_are_accepted(
    rewrite: Callable[[str], str], fer2013: Path, tmp_path: Path
) -> None:
    fer2013.write_text(rewrite(fer2013.read_text(encoding="utf-8")), encoding="utf-8", newline="")
    result = prepare(fer2013, tmp_path / "out")
    assert result.rejected == 0
    assert_holds_all_rows(result.path)


# --- class folders -----------------------------------------------------------------------------


def write_picture(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def test_class_folders_with_splits(tmp_path: Path) -> None:
    for i, row in enumerate(ROWS):
        folder = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}[row.usage]
        write_picture(tmp_path / "in" / folder / row.emotion.label / f"{row.usage}_{i}.png", row.image)
    result = prepare(tmp_path / "in", tmp_path / "out")
    assert result.counts == {split: dict.fromkeys(LABELS, 2) for split in ("train", "val", "test")}
    assert result.resized == 0
    rows = pq.read_table(result.path / "val.parquet").to_pylist()
    for row, image in zip(rows, load_split(result.path, "val").images, strict=True):
        assert np.array_equal(image, ROWS[int(row["file"].rpartition("_")[2].removesuffix(".png"))].image)


def test_class_folders_of_any_size_colour_and_name(tmp_path: Path) -> None:
    source = tmp_path / "in"
    write_picture(source / "Happiness" / "big.jpg", np.full((100, 90, 3), 200, np.uint8))
    (source / "Happiness" / "big.jpg").rename(source / "Happiness" / "big.jfif")  # as browsers save some
    write_picture(source / "anger" / "small.png", np.full((20, 20), 50, np.uint8))
    write_picture(source / "contempt" / "other.png", np.full((48, 48), 50, np.uint8))
    (source / "anger" / "broken.png").write_bytes(b"\x89PNG no more")
    (source / "anger" / "empty.png").touch()
    (source / "anger" / "notes.txt").write_text("no picture", encoding="utf-8")
    result = prepare(source, tmp_path / "out")
    assert result.counts == {"train": dict.fromkeys(LABELS, 0) | {"happy": 1, "angry": 1}}
    assert (result.resized, result.rejected) == (2, 3)
    assert {(row["file"], row["reason"]) for row in rejected(result.path)} == {
        ("anger/broken.png", "not a picture that can be decoded"),
        ("anger/empty.png", "the file is empty"),
        ("contempt/other.png", f"the folder name 'contempt' is none of {', '.join(LABELS)}"),
    }
    assert sorted(load_split(result.path, "train").images.mean(axis=(1, 2)).round().tolist()) == [50, 200]


def test_hidden_folders_inside_classes_are_passed_over(tmp_path: Path) -> None:
    for folder in ("happy", "happy/2013", "happy/.ipynb_checkpoints"):
        (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "in" / folder / "a.png"), np.full((48, 48), 90, np.uint8))
    assert prepare(tmp_path / "in", tmp_path / "out").counts["train"]["happy"] == 2


def test_class_folders_beside_split_folders_are_refused(tmp_path: Path) -> None:
    for i, folder in enumerate(("train/sad", "Happy", "val/other")):
        write_picture(tmp_path / "in" / folder / "a.png", ROWS[i].image)
    with pytest.raises(DatasetFormatError, match=r"class folders \(Happy\) beside splits .* \(train\)"):
        prepare(tmp_path / "in", tmp_path / "out")


def test_a_folder_without_class_folders_is_no_split(tmp_path: Path) -> None:
    for i, folder in enumerate(("happy", "sad", "test")):
        write_picture(tmp_path / "in" / folder / "a.png", ROWS[i].image)
    (tmp_path / "in" / "train").mkdir()
    result = prepare(tmp_path / "in", tmp_path / "out")
    assert result.counts == {"train": dict.fromkeys(LABELS, 0) | {"happy": 1, "sad": 1}}
    assert [row["file"] for row in rejected(result.path)] == ["test/a.png"]


def test_pictures_in_no_class_folder_of_a_split_are_listed(tmp_path: Path) -> None:
    for i, place in enumerate(("train/happy/a", "train/b", "test/c", "train/.d")):
        write_picture(tmp_path / "in" / f"{place}.png", ROWS[i].image)
    result = prepare(tmp_path / "in", tmp_path / "out")
    assert total(result) == 1
    reasons = {row["file"]: row["reason"] for row in rejected(result.path)}
    assert reasons.keys() == {"train/b.png", "test/c.png"}
    assert reasons["test/c.png"].startswith("the folder name 'test' is none of angry")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
def test_what_cannot_be_opened_is_rejected_alone(tmp_path: Path) -> None:
    source = tmp_path / "in"
    write_picture(source / "happy" / "a.png", ROWS[0].image)
    (source / "happy" / "folder.png").mkdir()
    (source / "happy" / "link.png").symlink_to("nowhere.png")
    result = prepare(source, tmp_path / "out")
    assert total(result) == 1
    assert [(row["file"], row["reason"]) for row in rejected(result.path)] == [
        ("happy/folder.png", "Is a directory"),
        ("happy/link.png", "No such file or directory"),
    ]
    assert prepare(source, tmp_path / "out").already_done
    write_picture(source / "happy" / "nowhere.png", ROWS[1].image)  # the link leads somewhere now
    with pytest.raises(UsageError, match="another data set"):
        prepare(source, tmp_path / "out")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are no text")
def test_names_that_are_no_text_become_text(tmp_path: Path) -> None:
    write_picture(tmp_path / "plain" / "happy" / "a.png", ROWS[0].image)
    source = (tmp_path / "plain").rename(tmp_path / os.fsdecode(b"ord\xf6ner"))
    for place in (b"happy/caf\xe9.png", b"happy/na\xefve.png", b"gl\xfccklich/b.png"):
        (source / os.fsdecode(place)).parent.mkdir(exist_ok=True)
        shutil.copy(source / "happy" / "a.png", source / os.fsdecode(place))
    (source / os.fsdecode(b"happy/na\xefve.png")).write_bytes(b"broken")
    result = prepare(source, tmp_path / "out")
    table = pq.read_table(result.path / "train.parquet")
    assert table["file"].to_pylist() == ["happy/a.png", "happy/caf%E9.png"]
    assert table.schema.field("file").type == FILE_COLUMN.type
    assert {(row["file"], row["reason"].partition(" is none of")[0]) for row in rejected(result.path)} == {
        ("gl%FCcklich/b.png", "the folder name 'gl%FCcklich'"),
        ("happy/na%EFve.png", "not a picture that can be decoded"),
    }
    assert json.loads((result.path / "dataset.json").read_bytes())["source"]["name"] == "ord%F6ner"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are no text")
def test_a_csv_file_whose_name_is_no_text(tmp_path: Path) -> None:
    source = made.write_lines(tmp_path / os.fsdecode(b"caf\xe9.csv"), [*FER2013, "bad"])
    result = prepare(source, tmp_path / "out")
    assert [row["file"] for row in rejected(result.path)] == ["caf%E9.csv"]


def test_class_folders_are_not_written_into(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "happy" / "a.png", ROWS[0].image)
    with pytest.raises(UsageError, match="inside the source"):
        prepare(tmp_path / "in", tmp_path / "in" / "out")


# --- bad rows ----------------------------------------------------------------------------------

GOOD = made.fer2013_lines(ROWS[:6])
PIXELS = ROWS[6].pixels.encode()

BAD_ROWS = {
    "too few pixels": (b"3," + PIXELS.rpartition(b" ")[0] + b",Training", "2303 pixels, expected 2304"),
    "too many pixels": (b"3," + PIXELS + b" 7,Training", "2305 pixels, expected 2304"),
    "no pixels": (b"3,,Training", "0 pixels, expected 2304"),
    "above 255": (b"3,256 " + PIXELS + b",Training", "pixel 0 is 256, outside 0–255"),
    "below 0": (b"3,-1 " + PIXELS + b",Training", "pixel 0 is -1, outside 0–255"),
    "not a number": (b"3,1.5 " + PIXELS + b",Training", "pixel 0 is '1.5', not a number"),
    "unknown label": (b"7," + PIXELS + b",Training", "unknown label '7', expected 0–6"),
    "label missing": (b"," + PIXELS + b",Training", "unknown label '', expected 0–6"),
    "unknown Usage": (
        b"3," + PIXELS + b",Validation",
        "unknown Usage 'Validation', expected Training, PublicTest, PrivateTest",
    ),
    "field missing": (b"3," + PIXELS, "2 fields, expected 3"),
    "field too many": (b"3," + PIXELS + b",Training,x", "4 fields, expected 3"),
    "NUL": (b"3," + PIXELS[:50] + b"\x00" + PIXELS[50:] + b",Training", "NUL byte at position 52"),
    "cp1252": (b"3," + PIXELS + b",Training\xe9", None),
    "UTF-16 mark": (b"\xff\xfe3," + PIXELS + b",Training", "byte 0xFF at position 0 is not ASCII"),
    "header again": (
        b"emotion,pixels,Usage",
        "unknown Usage 'Usage', expected Training, PublicTest, PrivateTest",
    ),
    "gigantic": (
        b"3," + b"1 " * 100_000 + b",Training",
        "the line has 200012 bytes, far more than 2304 pixels need",
    ),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_row_is_rejected_alone(kind: str, tmp_path: Path) -> None:
    bad, reason = BAD_ROWS[kind]
    lines = [line.encode() for line in GOOD]
    source = tmp_path / "fer2013.csv"
    source.write_bytes(b"\n".join([*lines[:4], bad, *lines[4:]]) + b"\n")
    result = prepare(source, tmp_path / "out")
    assert (total(result), result.rejected) == (6, 1)
    (row,) = rejected(result.path)
    assert (row["file"], row["line"]) == ("fer2013.csv", "5")
    if reason is None:
        assert "byte 0xE9" in row["reason"]
    else:
        assert row["reason"] == reason
    assert row["row"].isprintable()
    assert len(row["row"]) < 20_000
    # The row keeps its number, so that other tables still join by it.
    ids = [name for split in ("train", "val", "test") for name in load_split(result.path, split).ids]
    assert sorted(ids) == ["00000", "00001", "00002", "00004", "00005", "00006"]


@pytest.mark.parametrize("cut", [1, 5, 12, 100, 5000])
def test_truncated_last_line_is_rejected(cut: int, tmp_path: Path) -> None:
    source = tmp_path / "fer2013.csv"
    source.write_bytes("\n".join(GOOD).encode()[:-cut])
    result = prepare(source, tmp_path / "out")
    assert (total(result), result.rejected) == (5, 1)
    assert rejected(result.path)[0]["reason"].endswith("the file ends inside this row")


def test_rejected_rows_are_kept_whole(tmp_path: Path) -> None:
    bad = "9," + ROWS[0].pixels + ",Training"
    result = prepare(made.write_lines(tmp_path / "fer2013.csv", [*GOOD, bad]), tmp_path / "out")
    assert rejected(result.path)[0]["row"] == bad


# --- not this data set at all ------------------------------------------------------------------


def tar_of(path: Path, member: bytes) -> None:
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("readme.txt")
        info.size = len(member)
        archive.addfile(info, io.BytesIO(member))


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("iris.csv", b"length,width\n1,2\n", "iris.csv begins with 'length,width'"),
        ("headless.csv", FER2013[1].encode(), "headless.csv begins with '0,"),
        ("empty.csv", b"", "empty.csv is empty"),
        ("semicolons.csv", b"emotion;pixels;Usage\n", "begins with 'emotion;pixels;Usage'"),
        ("program.csv", b"\x7fELF\x02\x01\x01\x00" * 20_000, "begins with binary data"),
        ("utf16.csv", "\n".join(FER2013[:2]).encode("utf-16"), "UTF-16"),
    ],
)
def test_another_file_is_one_clear_error(name: str, content: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetFormatError) as caught:
        prepare(tmp_path / name, tmp_path / "out")
    assert found in str(caught.value)
    assert "expected a header naming emotion, pixels and Usage" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "columns",
    ["label,pixels,Usage", "pixels,Usage", "emotion,pixels,split", "pixels,emotions", "pixels,file"],
)
def test_labels_and_splits_under_other_names_are_not_passed_over(columns: str, tmp_path: Path) -> None:
    fields = {"pixels": ROWS[0].pixels, "Usage": "Training", "split": "test"}
    row = ",".join(fields.get(name, "3") for name in columns.split(","))
    source = made.write_lines(tmp_path / "faces.csv", [columns, row])
    with pytest.raises(DatasetFormatError) as caught:
        prepare(source, tmp_path / "out")
    assert f"faces.csv has the columns {', '.join(columns.lower().split(','))}; expected" in str(caught.value)
    assert "emotion, pixels and Usage" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_unclear_file_beside_a_complete_one_is_passed_over(fer2013: Path, tmp_path: Path) -> None:
    folder = as_folder(fer2013)
    made.write_lines(folder / "more.csv", ["label,pixels", f"3,{ROWS[0].pixels}"])
    prepare(folder, tmp_path / "out")
    assert_holds_all_rows(tmp_path / "out")


@pytest.mark.parametrize("name", ["", "0", "Unnamed: 0", "index", "id"])
@pytest.mark.parametrize("lines", [made.train_lines(ROWS), made.test_lines(ROWS)])
def test_a_column_that_numbers_the_rows_is_passed_over(lines: list[str], name: str, tmp_path: Path) -> None:
    numbered = [f"{name},{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]
    result = prepare(made.write_lines(tmp_path / "numbered.csv", numbered), tmp_path / "out")
    assert (total(result), result.rejected) == (len(ROWS), 0)


def test_a_data_set_folder_is_none_to_prepare(fer2013: Path, tmp_path: Path) -> None:
    prepare(fer2013, tmp_path / "data")
    with pytest.raises(DatasetFormatError, match="is a data set folder already"):
        prepare(tmp_path / "data", tmp_path / "again")


def test_header_alone_is_an_error(tmp_path: Path) -> None:
    source = made.write_lines(tmp_path / "fer2013.csv", FER2013[:1])
    with pytest.raises(DatasetFormatError, match="it is empty"):
        prepare(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [source]


def test_nothing_but_bad_rows_is_an_error(tmp_path: Path) -> None:
    source = made.write_lines(tmp_path / "fer2013.csv", [FER2013[0], "0,1 2 3,Training", "1,1 2 3,Training"])
    with pytest.raises(DatasetFormatError, match=r"2 bad rows: fer2013.csv line 2: 3 pixels, expected 2304"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist"):
        prepare(tmp_path / "nowhere.csv", tmp_path / "out")


LONG = "x" * 300


def test_a_source_whose_name_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"cannot read .*{LONG}: File name too long"):
        prepare(tmp_path / LONG, tmp_path / "out")


def test_a_source_behind_a_locked_folder_is_an_error(
    fer2013: Path, tmp_path: Path, make_locked: Callable[[Path], Path]
) -> None:
    locked = make_locked(tmp_path / "locked")
    with pytest.raises(InputError, match=r"cannot read .*fer2013\.csv: Permission denied"):
        prepare(locked / "fer2013.csv", tmp_path / "out")
    with pytest.raises(OutputError, match=r"cannot write .*out: Permission denied"):
        prepare(fer2013, locked / "out")


def test_a_split_that_cannot_be_listed_is_an_error(
    tmp_path: Path, make_locked: Callable[[Path], Path]
) -> None:
    write_picture(tmp_path / "in" / "train" / "happy" / "a.png", ROWS[0].image)
    make_locked(tmp_path / "in" / "test")
    with pytest.raises(InputError, match=r"cannot read .*test: Permission denied"):
        prepare(tmp_path / "in", tmp_path / "out")


def test_a_class_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, make_locked: Callable[[Path], Path]
) -> None:
    write_picture(tmp_path / "in" / "happy" / "a.png", ROWS[0].image)
    make_locked(tmp_path / "in" / "sad")
    with pytest.raises(InputError, match=r"cannot read .*sad: Permission denied"):
        prepare(tmp_path / "in", tmp_path / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows makes no path that is too long to be listed")
def test_a_folder_inside_a_class_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "in" / "happy" / "a.png", ROWS[0].image)
    monkeypatch.chdir(tmp_path / "in" / "happy")
    for _ in range(20):  # 5,000 characters
        Path("x" * 250).mkdir()
        os.chdir("x" * 250)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"cannot read .*x: File name too long"):
        prepare(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shutil.rmtree(tmp_path / "in")


def test_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(DatasetFormatError, match="holds no class folders or CSV files"):
        prepare(tmp_path / "in", tmp_path / "out")


def test_archive_without_csv_is_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    tar_of(tmp_path / "a.tar.gz", b"nothing")
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(DatasetFormatError, match="holds no CSV files"):
            prepare(tmp_path / name, tmp_path / "out")


def test_archive_of_class_folders_is_to_be_unpacked(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "happy" / "a.PNG", ROWS[0].image)
    for kind in ("zip", "gztar"):
        packed = shutil.make_archive(str(tmp_path / "folders"), kind, tmp_path / "in")
        with pytest.raises(DatasetFormatError, match="holds pictures and no CSV files: unpack it"):
            prepare(packed, tmp_path / "out")


@pytest.mark.parametrize("pack", [as_gz, as_tar_gz])
def test_wrong_checksum_is_an_error(pack: Callable[[Path], Path], fer2013: Path, tmp_path: Path) -> None:
    packed = pack(fer2013)
    content = bytearray(packed.read_bytes())
    content[-8] ^= 1  # of the checksum, the last but one thing in the file
    packed.write_bytes(content)
    with pytest.raises(DatasetFormatError, match=rf"{packed.name} is damaged or incomplete \(CRC"):
        prepare(packed, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == sorted([fer2013, packed])


def test_damaged_tar_xz_is_an_error(fer2013: Path, tmp_path: Path) -> None:
    packed = tmp_path / "fer2013.tar.xz"
    with tarfile.open(packed, "w:xz") as archive:
        archive.add(fer2013, fer2013.name)
    content = bytearray(packed.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 100] = bytes(100)
    packed.write_bytes(content)
    with pytest.raises(DatasetFormatError, match=r"fer2013\.tar\.xz is damaged or incomplete"):
        prepare(packed, tmp_path / "out")


def test_zip_of_another_compression_is_an_error(fer2013: Path, tmp_path: Path) -> None:
    packed = as_zip(fer2013)
    content = bytearray(packed.read_bytes())
    deflate64 = struct.pack("<H", 9)
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = content.index(mark) + offset
        content[place : place + 2] = deflate64
    packed.write_bytes(content)
    with pytest.raises(DatasetFormatError, match=r"fer2013\.zip is packed in a way .* unpack it yourself"):
        prepare(packed, tmp_path / "out")


@pytest.mark.parametrize("pack", [as_gz, as_tar_gz])
def test_truncated_archive_is_an_error(pack: Callable[[Path], Path], fer2013: Path, tmp_path: Path) -> None:
    packed = pack(fer2013)
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    with pytest.raises(DatasetFormatError, match="damaged or incomplete"):
        prepare(packed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_zip_is_an_error(fer2013: Path, tmp_path: Path) -> None:
    packed = as_zip(fer2013)
    content = bytearray(packed.read_bytes())
    content[len(content) // 4 : len(content) // 4 + 100] = bytes(100)
    packed.write_bytes(content)
    with pytest.raises(DatasetFormatError, match="damaged or incomplete"):
        prepare(packed, tmp_path / "out")


# --- what stands in OUT ------------------------------------------------------------------------


def test_second_run_does_nothing(fer2013: Path, tmp_path: Path) -> None:
    first = prepare(fer2013, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    second = prepare(fer2013, tmp_path / "out")
    assert not first.already_done
    assert second.already_done
    assert second.counts == first.counts
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_incomplete_data_set_is_not_taken_for_done(fer2013: Path, tmp_path: Path) -> None:
    prepare(fer2013, tmp_path / "out")
    (tmp_path / "out" / "val.parquet").unlink()
    with pytest.raises(UsageError, match="--overwrite"):
        prepare(fer2013, tmp_path / "out")
    assert not prepare(fer2013, tmp_path / "out", overwrite=True).already_done
    assert_holds_all_rows(tmp_path / "out")


@pytest.mark.parametrize("lost", ["images", "images/train/happy/00003.png", "rejected.csv"])
def test_lost_files_are_noticed_and_named(lost: str, fer2013: Path, tmp_path: Path) -> None:
    out = prepare(fer2013, tmp_path / "out").path
    path = out / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    named = {"images": "42 of 42 pictures", "rejected.csv": "rejected.csv"}.get(lost, "1 of 42 pictures")
    with pytest.raises(UsageError, match=rf"lacks files of this data set \({named}\).* --overwrite"):
        prepare(fer2013, out)
    assert not prepare(fer2013, out, overwrite=True).already_done
    assert path.exists()
    assert prepare(fer2013, out).already_done


def test_rows_without_labels_are_not_lost_pictures(tmp_path: Path) -> None:
    source = made.write_lines(tmp_path / "test.csv", made.test_lines(ROWS))
    prepare(source, tmp_path / "out")
    assert prepare(source, tmp_path / "out").already_done


@pytest.mark.parametrize("inside", ["fer2013.csv", "images", "deep/fer2013.csv.gz"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_out_never_takes_its_own_source_away(
    inside: str, overwrite: bool, fer2013: Path, tmp_path: Path
) -> None:
    out = prepare(fer2013, tmp_path / "out").path
    source = out / inside
    if inside != "images":
        source.parent.mkdir(exist_ok=True)
        shutil.copy(as_gz(fer2013) if source.suffix == ".gz" else fer2013, source)
    before = made.tree(out)
    named = tmp_path / "elsewhere"
    named.symlink_to(source)
    for path in (source, named):
        with pytest.raises(UsageError, match=r"the source .* lies inside OUT"):
            prepare(path, out, PrepareSettings(splits="two"), overwrite=overwrite)
    assert made.tree(out) == before


def test_out_never_takes_its_votes_away(fer2013: Path, tmp_path: Path) -> None:
    out = prepare(fer2013, tmp_path / "out").path
    votes = made.write_lines(out / "fer2013new.csv", made.ferplus_lines(ROWS))
    with pytest.raises(UsageError, match=r"--ferplus .*fer2013new\.csv lies inside OUT"):
        prepare(fer2013, out, ferplus=votes, overwrite=True)
    assert votes.is_file()


@pytest.mark.parametrize(
    "mine",
    [
        "runs/model.onnx",
        ".git/config",
        ".env",
        "notes.txt",
        "images/mine/thesis.txt",
        "images/train/happy/notes.txt",
        "images/train/happy/holiday.png",  # where the pictures are, and none of them
        "images/train/joy/00003.png",
        "images/holiday.png",
    ],
)
def test_what_is_not_of_the_data_set_keeps_it_from_being_replaced(
    mine: str, fer2013: Path, tmp_path: Path
) -> None:
    out = prepare(fer2013, tmp_path / "out").path
    for name in (mine, "quality.parquet", "audit.html", *OF_SYSTEMS):
        made.write_lines(out / name, ["content"])
    assert prepare(fer2013, out).already_done
    before = made.tree(out)
    with pytest.raises(UsageError, match=rf"also holds {re.escape(mine)}, which --overwrite would delete"):
        prepare(fer2013, out, PrepareSettings(splits="two"), overwrite=True)
    assert made.tree(out) == before
    shutil.move(out / mine, tmp_path / "moved")
    prepare(fer2013, out, PrepareSettings(splits="two"), overwrite=True)
    assert not (out / "quality.parquet").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
def test_a_link_among_the_pictures_keeps_it_from_being_replaced(fer2013: Path, tmp_path: Path) -> None:
    out = prepare(fer2013, tmp_path / "out").path
    (tmp_path / "elsewhere").mkdir()
    (out / "images" / "album").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"also holds images/album, which"):
        prepare(fer2013, out, PrepareSettings(splits="two"), overwrite=True)


def test_of_many_files_in_the_way_the_first_are_named(fer2013: Path, tmp_path: Path) -> None:
    out = prepare(fer2013, tmp_path / "out").path
    for number in range(1234):
        (out / f"{number:04d}.txt").touch()
    with pytest.raises(UsageError, match=r"holds 0000.txt, 0001.txt, 0002.txt and 1,231 more files, which"):
        prepare(fer2013, out, PrepareSettings(splits="two"), overwrite=True)


@pytest.mark.parametrize("damage", [b"no table", None])
def test_pictures_whose_table_is_lost_or_damaged_are_no_strangers(
    damage: bytes | None, fer2013: Path, tmp_path: Path
) -> None:
    out = prepare(fer2013, tmp_path / "out").path
    (out / "val.parquet").unlink()
    if damage is not None:
        (out / "val.parquet").write_bytes(damage)
    mine = made.write_lines(out / "images" / "val" / "happy" / "notes.txt", ["content"])
    with pytest.raises(UsageError, match=r"holds images/val/happy/notes\.txt, which"):
        prepare(fer2013, out, PrepareSettings(splits="two"), overwrite=True)
    mine.unlink()
    assert not prepare(fer2013, out, PrepareSettings(splits="two"), overwrite=True).already_done


@pytest.mark.parametrize("lost", ["counts", "published", "rejected", "settings", "source", "ferplus"])
def test_a_damaged_manifest_is_not_trusted(lost: str, fer2013: Path, tmp_path: Path) -> None:
    manifest = prepare(fer2013, tmp_path / "out").path / "dataset.json"
    whole = json.loads(manifest.read_bytes())
    for damaged in ({key: value for key, value in whole.items() if key != lost}, whole | {lost: "text"}):
        manifest.write_text(json.dumps(damaged), encoding="utf-8")
        with pytest.raises(UsageError, match=r"dataset\.json is missing or damaged|another data set"):
            prepare(fer2013, tmp_path / "out")


def test_another_data_set_is_replaced_only_on_request(fer2013: Path, tmp_path: Path) -> None:
    prepare(fer2013, tmp_path / "out", PrepareSettings(splits="two"))
    before = made.tree(tmp_path / "out")
    with pytest.raises(UsageError, match="--overwrite"):
        prepare(fer2013, tmp_path / "out")
    assert made.tree(tmp_path / "out") == before
    prepare(fer2013, tmp_path / "out", overwrite=True)
    assert_holds_all_rows(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


@pytest.mark.parametrize(
    "content", [None, "{}", '{"kind": "other"}', '{"kind": "fer-batch dataset"}', "not JSON", "[1]"]
)
def test_a_folder_that_is_not_ours_is_never_replaced(
    content: str | None, fer2013: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work", encoding="utf-8")
    if content is not None:
        (out / "dataset.json").write_text(content, encoding="utf-8")
    before = made.tree(out)
    with pytest.raises(UsageError, match="left alone"):
        prepare(fer2013, out, overwrite=True)
    assert made.tree(out) == before


def test_a_file_in_the_place_of_out_is_refused(fer2013: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match="left alone"):
        prepare(fer2013, tmp_path / "out", overwrite=True)


def test_an_out_whose_name_is_too_long_is_an_error(fer2013: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"cannot write .*{LONG}: File name too long"):
        prepare(fer2013, tmp_path / LONG)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
def test_links_in_a_circle_are_no_place_for_out(fer2013: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=r"OUT .*loop is no dataset folder .* left alone"):
        prepare(fer2013, tmp_path / "loop", overwrite=True)


def test_an_empty_folder_is_used(fer2013: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    prepare(fer2013, tmp_path / "out")
    assert_holds_all_rows(tmp_path / "out")


# --- FER+ --------------------------------------------------------------------------------------


@pytest.fixture
def ferplus(tmp_path: Path) -> Path:
    return made.write_lines(tmp_path / "fer2013new.csv", made.ferplus_lines(ROWS))


def test_votes_join_by_row(fer2013: Path, ferplus: Path, tmp_path: Path) -> None:
    result = prepare(fer2013, tmp_path / "out", ferplus=ferplus)
    table = pq.read_table(result.path / "val.parquet")
    assert table.column_names == [column.name for column in (*DATASET_COLUMNS, *VOTE_COLUMNS)]
    assert table["votes_neutral"].to_pylist() == [row % 10 for row in table["row"].to_pylist()]
    votes = load_split(result.path, "val").votes
    assert votes is not None
    assert votes.sum(axis=1).tolist() == [10] * 14


def test_votes_stay_with_their_rows_around_a_bad_one(ferplus: Path, tmp_path: Path) -> None:
    lines = list(FER2013)
    lines[5] = "broken"
    result = prepare(made.write_lines(tmp_path / "fer2013.csv", lines), tmp_path / "out", ferplus=ferplus)
    assert result.rejected == 1
    table = pq.read_table(result.path / "train.parquet")
    assert table["votes_neutral"].to_pylist() == [row % 10 for row in table["row"].to_pylist()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "too short: it has 41 rows, and fer2013.csv line 43 is one more"),
        (lambda lines: [*lines, lines[1]], "too long: from its line 44 on"),
        (
            lambda lines: [lines[0], lines[1].replace("Training", "PublicTest"), *lines[2:]],
            "line 2 is of val, and fer2013.csv line 2 of train",
        ),
        (
            lambda lines: [lines[0], *lines[2:], lines[1]],
            "line 43: the Image name 'fer0000000.png' comes after",
        ),
        (
            lambda lines: [*lines[:4], lines[7], *lines[5:7], lines[4], *lines[8:]],  # both of Training
            "line 6: the Image name 'fer0000004.png' comes after 'fer0000006.png'",
        ),
        (lambda lines: ["a,b", *lines[1:]], "is not a FER+ file: it has no column usage"),
        (lambda lines: [*lines[:-1], lines[-1].replace(",0,0", ",x,0", 1)], "line 43: votes"),
        (lambda lines: [*lines[:-1], "Training,1"], "line 43: 2 fields, expected 12"),
        (lambda lines: [*lines[:-1], "Nobody" + lines[-1]], "line 43: unknown Usage"),
    ],
)
def test_votes_of_other_rows_are_refused(
    change: Callable[[list[str]], list[str]], message: str, fer2013: Path, tmp_path: Path
) -> None:
    ferplus = made.write_lines(tmp_path / "fer2013new.csv", change(made.ferplus_lines(ROWS)))
    with pytest.raises(DatasetFormatError) as caught:
        prepare(fer2013, tmp_path / "out", ferplus=ferplus)
    assert message in str(caught.value)
    assert sorted(tmp_path.iterdir()) == sorted([fer2013, ferplus])


@pytest.mark.parametrize(
    "rename",
    [
        pytest.param(lambda lines: [line.replace("fer0000005.png", "") for line in lines], id="no name"),
        pytest.param(lambda lines: [line.replace("0000005", "0000020") for line in lines], id="named twice"),
        pytest.param(lambda lines: [re.sub(",[^,]*", "", line, count=1) for line in lines], id="no column"),
    ],
)
def test_names_of_votes_that_tell_nothing_are_passed_over(
    rename: Callable[[list[str]], list[str]], fer2013: Path, tmp_path: Path
) -> None:
    ferplus = made.write_lines(tmp_path / "fer2013new.csv", rename(made.ferplus_lines(ROWS)))
    prepare(fer2013, tmp_path / "out", ferplus=ferplus)
    votes = load_split(tmp_path / "out", "val").votes
    assert votes is not None
    assert votes[:, 0].tolist() == [row % 10 for row in range(1, 42, 3)]


def test_a_failed_run_leaves_nothing_behind(tmp_path: Path) -> None:
    source = made.write_lines(tmp_path / "fer2013.csv", [FER2013[0], *FER2013[1:] * 30])
    ferplus = made.write_lines(tmp_path / "fer2013new.csv", made.ferplus_lines(ROWS))
    with pytest.raises(DatasetFormatError, match="too short"):  # while more rows are being written
        prepare(source, tmp_path / "out", ferplus=ferplus)
    assert sorted(tmp_path.iterdir()) == sorted([source, ferplus])


def test_votes_need_a_source_with_usage(ferplus: Path, tmp_path: Path) -> None:
    source = made.write_lines(tmp_path / "train.csv", made.train_lines(ROWS))
    with pytest.raises(UsageError, match="--ferplus cannot be joined"):
        prepare(source, tmp_path / "out", ferplus=ferplus)


def test_votes_are_part_of_what_a_data_set_is(fer2013: Path, ferplus: Path, tmp_path: Path) -> None:
    prepare(fer2013, tmp_path / "out", ferplus=ferplus)
    assert prepare(fer2013, tmp_path / "out", ferplus=ferplus).already_done
    with pytest.raises(UsageError, match="--overwrite"):
        prepare(fer2013, tmp_path / "out")
