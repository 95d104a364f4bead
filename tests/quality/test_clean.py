"""A clean set is the data set without what was dropped: nothing else is lost, changed or added."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import datasets_made
import fer2013_csv as made
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from fer_batch.dataset import Split, fingerprint, load_class_folders, load_split, prepare
from fer_batch.emotions import LABELS, Emotion
from fer_batch.errors import DatasetFormatError, InputError, OutputError, UsageError
from fer_batch.quality import clean
from fer_batch.quality.clean import CleanResult, Dropped, dropped_before, is_written, write_clean
from fer_batch.quality.pictures import PictureSource, open_pictures

SPLITS = ("train", "val", "test")
MADE_FROM: dict[str, Any] = {"settings": {"threshold": 0.5, "drop": ("dark", "blank")}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return datasets_made.write_stripes(tmp_path_factory.mktemp("stripes"), train=21, held_out=7)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A folder of class folders with pictures of many kinds, and files that are none."""
    gray = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    pictures: dict[str, np.ndarray | bytes] = {
        "test/fear/16 bit.png": np.full((40, 50), 30_000, np.uint16),
        "test/Happiness/alpha.png": np.full((512, 512, 4), 99, np.uint8),
        "train/contempt/unlabelled.jpg": gray,
        "train/happy/colour.PNG": np.dstack([gray] * 3),
        "train/happy/deep/er/gray.png": gray,
        "train/sad/empty.png": b"",
        "train/sad/small.bmp": np.full((32, 32), 200, np.uint8),
        "train/sad/text.png": b"this is no picture",
    }
    for name, picture in pictures.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        else:
            path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    (tmp_path / "in" / "train" / "sad" / "notes.txt").write_text("no picture", encoding="utf-8")
    return tmp_path / "in"


def mask(source: PictureSource, *dropped: int) -> np.ndarray:
    keep = np.ones(len(source.records), bool)
    keep[list(dropped)] = False
    return keep


def losses(source: PictureSource, keep: np.ndarray) -> list[Dropped]:
    """What is not kept; every third has failed two checks."""
    records = source.records
    return [
        Dropped(
            index=int(index),
            id=records.ids[index],
            split=records.splits[index],
            label="" if records.labels[index] < 0 else LABELS[records.labels[index]],
            checks=("dark", "blank") if index % 3 == 0 else ("dark",),
            reason=f'darkness {index / 100}, "too dark"',
        )
        for index in np.flatnonzero(~keep)
    ]


def write(source: Path, out: Path, *dropped: int, overwrite: bool = False, **made_from: Any) -> CleanResult:
    opened = open_pictures(source)
    keep = mask(opened, *dropped)
    return write_clean(opened, out, keep, losses(opened, keep), MADE_FROM | made_from, overwrite=overwrite)


def kept_rows(split: Split, keep: np.ndarray) -> Split:
    return split.take(np.flatnonzero(keep), split.name)


def manifest(folder: Path, name: str = "dataset.json") -> dict[str, Any]:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def list_dropped(folder: Path) -> list[dict[str, str]]:
    with (folder / "dropped.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def row_groups(path: Path) -> list[int]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


# --- dataset folders ---------------------------------------------------------------------------


def test_tables_and_files_are_those_of_the_kept_rows(dataset: Path, tmp_path: Path) -> None:
    dropped = (0, 3, 20, 22, 34)
    result = write(dataset, tmp_path / "out", *dropped)
    keep = mask(open_pictures(dataset), *dropped)
    files = {"dataset.json", "dropped.csv", "rejected.csv", *(f"{split}.parquet" for split in SPLITS)}
    for split, here in zip(SPLITS, (keep[:21], keep[21:28], keep[28:]), strict=True):
        before, after = (pq.read_table(folder / f"{split}.parquet") for folder in (dataset, result.path))
        assert after.schema.equals(before.schema, check_metadata=True)
        assert after.to_pylist() == [
            row for row, stays in zip(before.to_pylist(), here, strict=True) if stays
        ]
        for row in after.to_pylist():
            files.add(row["image"]["path"])
            assert (result.path / row["image"]["path"]).read_bytes() == row["image"]["bytes"]
        expected, loaded = kept_rows(load_split(dataset, split), here), load_split(result.path, split)
        assert fingerprint([loaded]) == fingerprint([expected])
        assert np.array_equal(loaded.images, expected.images)
        assert loaded.votes is not None
        assert expected.votes is not None
        assert np.array_equal(loaded.votes, expected.votes)
    assert set(made.tree(result.path)) == files


def test_keeping_all_gives_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    write(dataset, tmp_path / "out")
    before, after = made.tree(dataset), made.tree(tmp_path / "out")
    assert after.pop("dropped.csv") == b"id,split,label,checks,reason\n"
    assert after.pop("dataset.json") != before.pop("dataset.json")
    assert after == before


def test_manifest_is_the_sources_with_new_counts_and_the_step(dataset: Path, tmp_path: Path) -> None:
    source = open_pictures(dataset)
    result = write(dataset, tmp_path / "out", 0, 3, 4, 22)
    before, after = manifest(dataset), manifest(result.path)
    for name in ("kind", "status", "source", "ferplus", "settings", "published", "rejected", "resized"):
        assert after[name] == before[name]
    assert after["counts"] == result.counts
    assert result.counts["train"] == dict.fromkeys(LABELS, 3) | {"angry": 2, "happy": 2, "sad": 2}
    assert result.counts["val"] == dict.fromkeys(LABELS, 1) | {"disgust": 0}
    assert list(result.counts) == ["train", "val", "test"]
    assert after["filter"] == [
        {
            "source": {"name": "data", "identity": source.identity()},
            "settings": {"threshold": 0.5, "drop": ["dark", "blank"]},
            "kept": 31,
            "dropped": {"pictures": 4, "by_check": {"blank": 2, "dark": 4}},
        }
    ]
    assert (result.kept, result.dropped, result.by_check) == (31, 4, {"blank": 2, "dark": 4})


def test_what_was_dropped_is_listed(dataset: Path, tmp_path: Path) -> None:
    write(dataset, tmp_path / "out", 3, 22)
    assert list_dropped(tmp_path / "out") == [
        {
            "id": "00003",
            "split": "train",
            "label": "happy",
            "checks": "dark; blank",
            "reason": 'darkness 0.03, "too dark"',
        },
        {
            "id": "00022",
            "split": "val",
            "label": "disgust",
            "checks": "dark",
            "reason": 'darkness 0.22, "too dark"',
        },
    ]


def test_row_groups_are_as_large_as_those_of_prepare(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean, "ROW_GROUP", 4)
    write(dataset, tmp_path / "out", 0, 1, 2, 3, 4, 9, 10, 34)
    assert row_groups(tmp_path / "out" / "train.parquet") == [4, 4, 4, 2]
    assert row_groups(tmp_path / "out" / "val.parquet") == [4, 3]
    assert row_groups(tmp_path / "out" / "test.parquet") == [4, 2]
    assert load_split(tmp_path / "out", "train").ids == [f"{i:05d}" for i in (5, 6, 7, 8, *range(11, 21))]


def test_a_split_that_loses_all_rows_has_no_table(dataset: Path, tmp_path: Path) -> None:
    result = write(dataset, tmp_path / "out", *range(21, 28))
    assert list(result.counts) == ["train", "test"]
    assert not (tmp_path / "out" / "images" / "val").exists()
    with pytest.raises(InputError, match="it has train, test"):
        load_split(tmp_path / "out", "val")
    assert write(dataset, tmp_path / "out", *range(21, 28)).already_done


def test_image_folder_reads_the_files(dataset: Path, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    write(dataset, tmp_path / "out", 3, 10, 17)  # all that is happy
    folder = ImageFolder(str(tmp_path / "out" / "images" / "train"))
    assert folder.classes == sorted(set(LABELS) - {"happy"})
    loaded = load_split(tmp_path / "out", "train")
    assert len(folder) == len(loaded) == 18
    for path, target in folder.samples:
        index = loaded.ids.index(Path(path).stem)
        assert Emotion.from_label(folder.classes[target]) == loaded.labels[index]
        assert np.array_equal(np.asarray(folder.loader(path))[:, :, 0], loaded.images[index])


def test_hugging_face_datasets_reads_the_tables(dataset: Path, tmp_path: Path) -> None:
    from datasets import Image, load_dataset

    write(dataset, tmp_path / "out", 0, 3)
    file = str(tmp_path / "out" / "train.parquet")
    rows = load_dataset(
        "parquet", data_files={"train": file}, split="train", cache_dir=str(tmp_path / "cache")
    )
    loaded = load_split(tmp_path / "out", "train")
    assert rows.features["label"].names == list(LABELS)
    assert isinstance(rows.features["image"], Image)
    assert rows["label"] == loaded.labels.tolist()
    assert all(np.array_equal(np.asarray(row["image"]), loaded.images[i]) for i, row in enumerate(rows))


def test_rows_without_a_label_have_no_file_and_are_counted(tmp_path: Path) -> None:
    rows = made.make_rows(7)
    made.write_lines(tmp_path / "in" / "train.csv", made.train_lines(rows))
    made.write_lines(tmp_path / "in" / "test.csv", made.test_lines(rows[:4]))
    prepare(tmp_path / "in", tmp_path / "data")
    result = write(tmp_path / "data", tmp_path / "out", 2, 8)
    assert result.counts["test"] == dict.fromkeys(LABELS, 0) | {"unlabelled": 3}
    assert not (tmp_path / "out" / "images" / "test").exists()
    table = pq.read_table(tmp_path / "out" / "test.parquet")
    before = pq.read_table(tmp_path / "data" / "test.parquet")
    assert table.to_pylist() == [before.to_pylist()[row] for row in (0, 2, 3)]
    assert list_dropped(tmp_path / "out")[1]["label"] == ""


def change_rows(dataset: Path, folder: Path, changes: dict[str, dict[str, Any]]) -> Path:
    """A data set with one table, `train`, the pictures of some of its rows changed."""
    table = pq.read_table(dataset / "train.parquet")
    rows = table.to_pylist()
    for row in rows:
        row["image"] |= changes.get(row["id"], {})
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / "train.parquet")
    (folder / "dataset.json").write_bytes((dataset / "dataset.json").read_bytes())
    return folder


def test_a_corrupt_picture_is_dropped_or_kept_as_it_is(dataset: Path, tmp_path: Path) -> None:
    damaged = change_rows(dataset, tmp_path / "in", {"00004": {"bytes": b"broken"}, "00006": {"bytes": None}})
    write(damaged, tmp_path / "out")
    assert (tmp_path / "out" / "images/train/sad/00004.png").read_bytes() == b"broken"
    assert (tmp_path / "out" / "images/train/neutral/00006.png").read_bytes() == b""
    assert pq.read_table(tmp_path / "out" / "train.parquet").equals(pq.read_table(damaged / "train.parquet"))
    write(damaged, tmp_path / "clean", 4, 6)
    assert len(load_split(tmp_path / "clean", "train")) == 19


@pytest.mark.parametrize(
    "path",
    ["../../../escaped.png", "/escaped.png", "images/train/sad/..\\..\\x.png", "images/val/sad/1.png"],
)
def test_no_table_leads_out_of_the_folder(path: str, dataset: Path, tmp_path: Path) -> None:
    source = change_rows(dataset, tmp_path / "in", {"00004": {"path": path}})
    with pytest.raises(
        DatasetFormatError, match=r"row 00004 has the path .*, expected one in images/train/sad"
    ):
        write(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("escaped.png"))


def test_a_clean_set_can_be_filtered_again(dataset: Path, tmp_path: Path) -> None:
    write(dataset, tmp_path / "first", 3, 22)
    result = write(tmp_path / "first", tmp_path / "second", 0, settings="stricter")
    assert [row["id"] for row in list_dropped(result.path)] == ["00003", "00022", "00000"]
    steps = manifest(result.path)["filter"]
    assert [step["source"]["name"] for step in steps] == ["data", "first"]
    assert [step["kept"] for step in steps] == [33, 32]
    assert steps[0] == manifest(tmp_path / "first")["filter"][0]
    assert (result.kept, result.dropped) == (32, 1)
    assert len(load_split(result.path, "train")) == 19


@given(keep=arrays(bool, 35).filter(lambda keep: bool(keep.any())))
@settings(max_examples=20)
def test_kept_and_dropped_are_all(
    keep: np.ndarray, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source, out = open_pictures(dataset), tmp_path_factory.mktemp("clean") / "out"
    result = write_clean(source, out, keep, losses(source, keep), MADE_FROM)
    kept = open_pictures(out).records.ids
    dropped = [row["id"] for row in list_dropped(out)]
    assert sorted(kept + dropped) == sorted(source.records.ids)
    assert (result.kept, result.dropped) == (len(kept), len(dropped))
    assert sum(sum(counts.values()) for counts in result.counts.values()) == len(kept)
    expected = [
        kept_rows(load_split(dataset, split), keep[begin:end])
        for split, begin, end in (("train", 0, 21), ("val", 21, 28), ("test", 28, 35))
    ]
    loaded = [load_split(out, split) for split in result.counts]
    assert fingerprint(loaded) == fingerprint(expected)


# --- folders of class folders ------------------------------------------------------------------


def test_kept_files_are_copied_byte_for_byte(folders: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    source = open_pictures(folders)
    keep = mask(source, source.records.ids.index("train/sad/empty.png"))
    result = write_clean(
        source,
        tmp_path / "out",
        keep,
        losses(source, keep),
        MADE_FROM,
        progress=lambda _, done, total: told.append((done, total)),
    )
    before, after = made.tree(folders), made.tree(tmp_path / "out")
    listed, written = after.pop("dropped.csv"), json.loads(after.pop("filter.json"))
    assert after == {
        name: data
        for name, data in before.items()
        if name not in {"train/sad/empty.png", "train/sad/notes.txt"}
    }
    assert b"train/sad/empty.png,train,sad,dark" in listed
    assert (
        written["counts"]
        == result.counts
        == {
            "train": dict.fromkeys(LABELS, 0) | {"happy": 2, "sad": 2, "unlabelled": 1},
            "test": dict.fromkeys(LABELS, 0) | {"happy": 1, "fear": 1},
        }
    )
    assert (result.kept, result.dropped) == (7, 1)
    assert written["filter"][0]["source"] == {"name": "in", "identity": source.identity()}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (8, 8)
    split, unreadable = load_class_folders(tmp_path / "out", 48)
    assert len(split) == 5
    assert [item.path for item in unreadable] == ["train/contempt/unlabelled.jpg", "train/sad/text.png"]


def test_clean_class_folders_can_be_filtered_again(folders: Path, tmp_path: Path) -> None:
    write(folders, tmp_path / "first", 0)
    result = write(tmp_path / "first", tmp_path / "second", 0, 1)
    ids = open_pictures(folders).records.ids
    assert [row["id"] for row in list_dropped(result.path)] == ids[:3]
    assert open_pictures(result.path).records.ids == ids[3:]
    assert [step["kept"] for step in manifest(result.path, "filter.json")["filter"]] == [7, 5]


def test_what_steps_dropped_is_known_of_a_clean_set_alone(folders: Path, tmp_path: Path) -> None:
    ids = open_pictures(folders).records.ids
    (folders / "dropped.csv").write_text(f"id\n{ids[0]}\n", encoding="utf-8")  # a person's own
    assert dropped_before(folders) == frozenset()
    write(folders, tmp_path / "first", 0)
    write(tmp_path / "first", tmp_path / "second", 0, 1)
    assert dropped_before(tmp_path / "first") == {ids[0]}
    assert dropped_before(tmp_path / "second") == set(ids[:3])
    (tmp_path / "first" / "dropped.csv").write_text("split\ntrain\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"dropped\.csv cannot be read"):
        dropped_before(tmp_path / "first")


def test_a_file_that_is_not_there_to_be_copied_is_listed(folders: Path, tmp_path: Path) -> None:
    (folders / "train" / "happy" / "lost.png").symlink_to("nowhere.png")
    result = write(folders, tmp_path / "out", 0)
    assert (result.kept, result.dropped, result.by_check) == (7, 2, {"blank": 1, "dark": 1, "unreadable": 1})
    lost = list_dropped(tmp_path / "out")[1]
    assert (lost["id"], lost["label"], lost["checks"]) == ("train/happy/lost.png", "happy", "unreadable")
    assert lost["reason"]
    assert write(folders, tmp_path / "out", 0).already_done


# --- what stands in OUT ------------------------------------------------------------------------


@pytest.fixture(params=["dataset", "folders"])
def any_source(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_second_run_does_nothing(any_source: Path, tmp_path: Path) -> None:
    first = write(any_source, tmp_path / "out", 1)
    before = times(tmp_path / "out")
    second = write(any_source, tmp_path / "out", 1)
    assert (first.already_done, second.already_done) == (False, True)
    assert (second.counts, second.kept, second.dropped) == (first.counts, first.kept, first.dropped)
    assert second.by_check == first.by_check
    assert times(tmp_path / "out") == before


def test_overwriting_deletes_nothing_but_the_clean_set(any_source: Path, tmp_path: Path) -> None:
    write(any_source, tmp_path / "out", 1)
    (tmp_path / "out" / "runs").mkdir()
    (tmp_path / "out" / "runs" / "history.csv").write_text("epoch\n1\n")
    assert cv2.imwrite(str(tmp_path / "out" / "runs" / "curves.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(
        UsageError, match=r"holds runs/curves\.png, runs/history\.csv, which --overwrite would"
    ):
        write(any_source, tmp_path / "out", 1, 2, settings="stricter", overwrite=True)
    assert (tmp_path / "out" / "runs" / "history.csv").is_file()


@pytest.mark.parametrize("mine", [".env", "notes.txt", "holiday.png"])
def test_overwriting_deletes_nothing_among_its_pictures(mine: str, any_source: Path, tmp_path: Path) -> None:
    write(any_source, tmp_path / "out", 1)
    pictures = [path for path in (tmp_path / "out").rglob("*") if path.suffix in {".png", ".jpg"}]
    shutil.copy(pictures[0], pictures[0].with_name(mine))
    before = made.tree(tmp_path / "out")
    with pytest.raises(UsageError, match=rf"holds .*{mine}, which"):
        write(any_source, tmp_path / "out", 1, 2, settings="stricter", overwrite=True)
    assert made.tree(tmp_path / "out") == before


def test_a_picture_that_was_put_in_the_place_of_another_is_not_deleted(folders: Path, tmp_path: Path) -> None:
    write(folders, tmp_path / "out", 1)
    mine, *_ = (path for path in (tmp_path / "out").rglob("*") if path.suffix in {".png", ".jpg"})
    mine = mine.rename(mine.with_name("my_own.png"))
    with pytest.raises(UsageError, match="lacks 1 of"):
        write(folders, tmp_path / "out", 1)
    with pytest.raises(UsageError, match=r"also holds .*my_own\.png, which --overwrite would"):
        write(folders, tmp_path / "out", 1, 2, settings="stricter", overwrite=True)
    assert mine.is_file()


def test_what_filter_itself_left_there_is_no_stranger(any_source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(any_source, out, 1)
    (out / "quality.parquet.begun").mkdir()
    for name in ("quality.parquet", "audit.html", "quality.parquet.begun/measured"):
        (out / name).write_bytes(b"of the former pictures")
    write(any_source, out, 1, 2, settings="stricter", overwrite=True)
    assert not (out / "audit.html").exists()


def test_another_clean_set_is_replaced_only_on_request(any_source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(any_source, out, 1)
    before = made.tree(out)
    with pytest.raises(UsageError, match=r"OUT .* holds another clean set, .* --overwrite"):
        write(any_source, out, 1, 2, settings="stricter")
    assert made.tree(out) == before
    assert not write(any_source, out, 1, 2, settings="stricter", overwrite=True).already_done
    assert len(list_dropped(out)) == 2
    assert write(any_source, out, 1, 2, settings="stricter").already_done
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


def test_a_clean_set_of_another_source_is_another(folders: Path, tmp_path: Path) -> None:
    write(folders, tmp_path / "out", 1)
    (folders / "train" / "sad" / "text.png").write_bytes(b"changed")
    with pytest.raises(UsageError, match="--overwrite"):
        write(folders, tmp_path / "out", 1)


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("val.parquet", "7 of 34 pictures"),
        ("images", "34 of 34 pictures"),
        ("images/test/sad", "1 of 34 pictures"),
        ("images/train/angry/00007.png", "1 of 34 pictures"),
        ("dropped.csv", "dropped.csv"),
        ("train/sad/text.png", "1 of 7 pictures"),
        ("train", "5 of 7 pictures"),
    ],
)
def test_an_incomplete_clean_set_is_not_taken_for_done(
    lost: str, named: str, dataset: Path, folders: Path, tmp_path: Path
) -> None:
    source = folders if lost.startswith("train") else dataset
    write(source, tmp_path / "out", 1)
    before = made.tree(tmp_path / "out")
    path = tmp_path / "out" / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(UsageError, match=f"out lacks {named} of this clean set; .* --overwrite"):
        write(source, tmp_path / "out", 1)
    assert not write(source, tmp_path / "out", 1, overwrite=True).already_done
    assert made.tree(tmp_path / "out") == before


def test_a_file_name_that_is_no_text_is_copied_as_it_is(tmp_path: Path) -> None:
    name = os.fsdecode(b"happy/caf\xe9.png")
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    picture = cv2.imencode(".png", np.full((48, 48), 99, np.uint8))[1].tobytes()
    try:
        path.write_bytes(picture)
    except OSError:
        pytest.skip("this file system has no such names")
    (path.parent / "plain.png").write_bytes(picture)
    write(tmp_path / "in", tmp_path / "out", 1)
    assert (tmp_path / "out" / name).read_bytes() == picture
    assert write(tmp_path / "in", tmp_path / "out", 1).already_done
    write(tmp_path / "in", tmp_path / "other", 0)
    assert [row["id"] for row in list_dropped(tmp_path / "other")] == ["happy/caf%E9.png"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("thesis.txt", "years of work"),
        ("dataset.json", '{"kind": "fer-batch dataset", "counts": {}}'),
        ("dataset.json", "not JSON"),
        ("filter.json", "{}"),
        ("filter.json", "[1]"),
    ],
)
def test_a_folder_that_is_not_ours_is_never_replaced(
    name: str, content: str, any_source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made.write_lines(out / name, [content])
    before = made.tree(out)
    with pytest.raises(UsageError, match="is no clean set of filter and is left alone"):
        write(any_source, out, 1, overwrite=True)
    assert made.tree(out) == before


def test_a_prepared_data_set_is_never_replaced(dataset: Path, folders: Path, tmp_path: Path) -> None:
    prepare(folders, tmp_path / "prepared")
    with pytest.raises(UsageError, match="left alone"):
        write(dataset, tmp_path / "prepared", 1, overwrite=True)


def test_a_file_in_the_place_of_out_is_refused(any_source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match="left alone"):
        write(any_source, tmp_path / "out", 1, overwrite=True)


def test_links_in_a_circle_are_no_place_for_out(any_source: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=r"OUT .*loop is no clean set of filter and is left alone"):
        write(any_source, tmp_path / "loop", 1)


def test_an_out_whose_name_is_too_long_is_refused(any_source: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*: File name too long"):
        is_written(open_pictures(any_source), tmp_path / ("x" * 300), MADE_FROM, overwrite=False)


def test_an_empty_folder_is_used(any_source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write(any_source, tmp_path / "out", 1).kept > 0


def test_prepare_does_not_take_a_clean_set_for_its_own(dataset: Path, tmp_path: Path) -> None:
    write(dataset, tmp_path / "out", 1)
    source, votes = dataset.with_name("fer2013.csv"), dataset.with_name("votes.csv")
    assert prepare(source, dataset, ferplus=votes).already_done
    with pytest.raises(UsageError, match="--overwrite"):
        prepare(source, tmp_path / "out", ferplus=votes)


# --- what cannot be ----------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
def test_source_and_out_do_not_overlap(overwrite: bool, any_source: Path, tmp_path: Path) -> None:
    before = made.tree(any_source)
    for out in (any_source, any_source / "clean", any_source / "train" / ".." / "clean"):
        with pytest.raises(UsageError, match="is or lies inside the data set"):
            write(any_source, out, 1, overwrite=overwrite)
    with pytest.raises(UsageError, match="lies inside OUT"):
        write(any_source, any_source.parent, 1, overwrite=overwrite)
    (tmp_path / "link").symlink_to(any_source)
    with pytest.raises(UsageError, match="is or lies inside the data set"):
        write(any_source, tmp_path / "link", 1, overwrite=overwrite)
    assert made.tree(any_source) == before


def test_a_clean_set_without_pictures_is_refused(any_source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"every picture of .* would be dropped"):
        write(any_source, tmp_path / "out", *range(len(open_pictures(any_source).records)))
    assert not (tmp_path / "out").exists()


def test_what_is_dropped_must_be_what_is_not_kept(dataset: Path, tmp_path: Path) -> None:
    source = open_pictures(dataset)
    for keep, dropped in (((1,), (1, 2)), ((1, 2), (1,)), ((1,), (2,))):
        with pytest.raises(ValueError, match="exactly the pictures that are not kept"):
            write_clean(
                source,
                tmp_path / "out",
                mask(source, *keep),
                losses(source, mask(source, *dropped)),
                MADE_FROM,
            )
    assert not (tmp_path / "out").exists()


def test_the_manifest_of_prepare_is_needed(dataset: Path, tmp_path: Path) -> None:
    source = change_rows(dataset, tmp_path / "in", {})
    (source / "dataset.json").unlink()
    with pytest.raises(DatasetFormatError, match=r"has no dataset\.json of prepare"):
        is_written(open_pictures(source), tmp_path / "out", MADE_FROM, overwrite=False)


def test_is_written_asks_before_the_work(any_source: Path, tmp_path: Path) -> None:
    source, out = open_pictures(any_source), tmp_path / "out"
    assert not is_written(source, out, MADE_FROM, overwrite=False)
    write(any_source, out, 1)
    assert is_written(source, out, MADE_FROM, overwrite=True)
    with pytest.raises(UsageError, match="--overwrite"):
        is_written(source, out, {"settings": "others"}, overwrite=False)
    assert not is_written(source, out, {"settings": "others"}, overwrite=True)


def test_a_table_that_is_damaged_leaves_no_clean_set(dataset: Path, tmp_path: Path) -> None:
    source = change_rows(dataset, tmp_path / "in", {})
    opened = open_pictures(source)
    content = (source / "train.parquet").read_bytes()
    (source / "train.parquet").write_bytes(content[:4000] + bytes(2000) + content[6000:])
    with pytest.raises(DatasetFormatError, match=r"train\.parquet is damaged"):
        write_clean(opened, tmp_path / "out", mask(opened), [], MADE_FROM)
    assert not (tmp_path / "out").exists()
