"""`prepare` on the real FER2013, all of it: counts, pixels, and the libraries that read the result."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from fer_batch.dataset import load_split, prepare
from fer_batch.dataset.published import published_counts
from fer_batch.emotions import LABELS, Emotion


@pytest.fixture(scope="module")
def dataset(real_csv: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "dataset"
    prepare(real_csv / "fer2013.csv", out, ferplus=shared_data / "ferplus_train_public.csv")
    return out


def test_counts_are_the_published_ones(dataset: Path, real_csv: Path) -> None:
    result = prepare(real_csv / "icml_face_data.csv", dataset.with_name("icml"))
    published = published_counts("three")
    assert result.rejected == 0
    assert result.counts == {"train": published["train"], "val": published["val"]}
    # The other dialect gives the same pictures and labels, bit for bit.
    for split in ("train", "val"):
        columns = ["id", "row", "split", "label", "image", "sha256"]
        tables = [
            pq.read_table(folder / f"{split}.parquet", columns=columns) for folder in (dataset, result.path)
        ]
        assert tables[0].equals(tables[1])


def test_published_totals() -> None:
    totals = {split: sum(counts.values()) for split, counts in published_counts("three").items()}
    assert totals == {"train": 28_709, "val": 3_589, "test": 3_589}
    assert sum(published_counts("two")["test"].values()) == 7_178


def test_pixels_and_labels_are_those_of_the_source(dataset: Path, shared_data: Path) -> None:
    source = pq.read_table(shared_data / "fer2013_train_public.parquet")
    first = 0
    for split in ("train", "val"):
        loaded = load_split(dataset, split)
        rows = source.slice(first, len(loaded))
        first += len(loaded)
        assert loaded.ids == [f"{row:05d}" for row in rows["row"].to_pylist()]
        assert loaded.labels.tolist() == rows["emotion"].to_pylist()
        for image, png in zip(loaded.images, rows["png"].to_pylist(), strict=True):
            assert np.array_equal(image, cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED))
    assert first == source.num_rows


def test_votes_are_those_of_the_crowd(dataset: Path) -> None:
    votes = load_split(dataset, "val").votes
    assert votes is not None
    assert votes.shape == (3_589, 10)
    assert set(votes.sum(axis=1).tolist()) <= {9, 10}


def test_image_folder_reads_the_pictures(dataset: Path) -> None:
    from torchvision.datasets import ImageFolder

    folder = ImageFolder(str(dataset / "images" / "val"))
    assert folder.classes == sorted(LABELS)
    assert len(folder) == 3_589
    loaded = load_split(dataset, "val")
    of_id = dict(zip(loaded.ids, range(len(loaded)), strict=True))
    for path, target in folder.samples[::500]:
        index = of_id[Path(path).stem]
        assert Emotion.from_label(folder.classes[target]) == loaded.labels[index]
        assert np.array_equal(np.asarray(folder.loader(path))[:, :, 0], loaded.images[index])


def test_hugging_face_datasets_reads_the_tables(dataset: Path, tmp_path: Path) -> None:
    from datasets import Image, load_dataset

    loaded = load_split(dataset, "val")
    rows = load_dataset(
        "parquet", data_files={"val": str(dataset / "val.parquet")}, split="val", cache_dir=str(tmp_path)
    )
    assert rows.num_rows == 3_589
    assert rows.features["label"].names == list(LABELS)
    assert isinstance(rows.features["image"], Image)
    for index in range(0, len(loaded), 500):
        picture = rows[index]["image"]
        assert (picture.mode, picture.size) == ("L", (48, 48))
        assert np.array_equal(np.asarray(picture), loaded.images[index])
        assert rows[index]["label"] == loaded.labels[index]
