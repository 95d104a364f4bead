"""`filter_dataset` from end to end: what it finds, what it keeps for later, and what it leaves as it was."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets_made import write_stripes

from fer_batch import evaluate, filter_dataset
from fer_batch.dataset import load_split
from fer_batch.emotions import LABELS
from fer_batch.errors import InputError, OutputError, UsageError
from fer_batch.quality import filter as module
from fer_batch.quality.pictures import open_pictures
from fer_batch.settings import CheckName, EvaluateSettings, FilterSettings, ThresholdSettings, TrainSettings

FAST = FilterSettings(labels=False)


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    from skimage import data

    return cv2.cvtColor(data.astronaut()[40:220, 130:310], cv2.COLOR_RGB2GRAY)


def write(path: Path, picture: np.ndarray, size: int = 96) -> None:
    picture = cv2.resize(picture.clip(0, 255).astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())


@pytest.fixture
def folders(tmp_path: Path, face: np.ndarray) -> Path:
    """Class folders with every kind of trouble, in sizes from 32 to 512 pixels, gray and colour."""
    rng = np.random.default_rng(0)
    shapes = [
        cv2.resize(rng.uniform(0, 255, (12, 12)), (96, 96), interpolation=cv2.INTER_CUBIC) for _ in "abc"
    ]

    def save(name: str, picture: np.ndarray, size: int = 96) -> None:
        write(tmp_path / "faces" / name, picture, size)

    save("train/happy/face.png", face)
    save("train/happy/face_512.jpg", cv2.cvtColor(face, cv2.COLOR_GRAY2BGR), 512)
    save("train/happy/face_brighter.png", face * 0.9 + 20.0)
    save("train/happy/face_again.png", face)
    save("train/sad/face_sad.png", face)
    save("train/sad/blank.png", np.full((96, 96), 90))
    save("train/sad/dark.png", face * 0.15)
    save("train/sad/bright.png", 255 - (255.0 - face) * 0.2)
    save("train/angry/small.png", face[:, ::-1], 32)
    for number, shape in enumerate(shapes):
        save(f"train/angry/shape{number}.png", shape)
    save("val/happy/leak.png", face)
    (tmp_path / "faces/train/angry/broken.png").write_bytes(b"\x89PNG and no more")
    return tmp_path / "faces"


def flagged(folder: Path, check: str) -> set[str]:
    table = pq.read_table(folder / "quality.parquet")
    rows = table.filter(table[f"is_{check}_issue"]).to_pylist()
    return {Path(row["id"]).stem for row in rows}


def test_every_trouble_is_found_in_class_folders(folders: Path) -> None:
    result = filter_dataset(folders, settings=FAST)
    assert flagged(folders, "unreadable") == {"broken"}
    assert flagged(folders, "blank") == {"blank"}
    assert flagged(folders, "dark") == {"dark"} | flagged(folders, "blank") - {"blank"}
    assert flagged(folders, "bright") == {"bright"}
    assert flagged(folders, "not_a_face") >= {"shape0", "shape1", "shape2"}
    assert not flagged(folders, "not_a_face") & {"face", "face_512", "small", "leak"}
    assert flagged(folders, "exact_duplicate") == {"face_again", "face_sad", "leak"}
    assert flagged(folders, "contradictory_duplicate") == {"face", "face_again", "face_sad", "leak"}
    assert "face_brighter" in flagged(folders, "near_duplicate")
    assert "leak" in flagged(folders, "cross_split_leak")
    assert result.pictures == 14
    assert result.issues["label_issue"] is None
    assert len(result.notes) == 1


def test_the_clean_folder_lacks_what_is_listed_and_nothing_else(folders: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()}
    result = filter_dataset(folders, tmp_path / "clean", FilterSettings(labels=False, drop=("blank", "dark")))
    with (tmp_path / "clean" / "dropped.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {Path(row["id"]).stem for row in rows} == {"blank", "dark", "broken"}
    assert all(row["reason"] for row in rows)
    assert result.dropped == 3
    kept = {path.stem for path in (tmp_path / "clean").rglob("*") if path.suffix in {".png", ".jpg"}}
    assert len(kept) == 11
    assert all(path.read_bytes() == content for path, content in before.items())
    other_order: tuple[CheckName, ...] = ("dark", "blank", "unreadable", "dark")
    assert filter_dataset(
        folders, tmp_path / "clean", FilterSettings(labels=False, drop=other_order)
    ).already_done


def test_moving_a_threshold_reads_no_picture(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = filter_dataset(folders, settings=FAST)

    def refuse(*_arguments: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "measure", refuse)
    monkeypatch.setattr(module, "read_pixels", refuse)
    settings = FilterSettings(labels=False, thresholds=ThresholdSettings(dark=0.0))
    second = filter_dataset(folders, settings=settings)
    assert (first.issues["dark"] or 0) < (second.issues["dark"] or 0)
    assert filter_dataset(folders, settings=FAST) == first


def test_a_changed_data_set_is_measured_anew(folders: Path) -> None:
    filter_dataset(folders, settings=FAST)
    cv2.imwrite(str(folders / "train/sad/late.png"), np.full((48, 48), 7, np.uint8))
    filter_dataset(folders, settings=FAST)
    assert flagged(folders, "blank") == {"blank", "late"}


def test_class_folders_can_be_evaluated_afterwards(folders: Path, tmp_path: Path) -> None:
    filter_dataset(folders, settings=FAST)
    settings = EvaluateSettings(split="train")
    assert evaluate("default", folders, tmp_path / "out", settings).metrics["n"] == 12


def test_kept_by_hand(folders: Path, tmp_path: Path) -> None:
    listed = tmp_path / "keep.txt"
    listed.write_text("train/sad/blank.png\n", encoding="utf-8")
    filter_dataset(folders, tmp_path / "clean", FAST, keep=listed)
    assert (tmp_path / "clean/train/sad/blank.png").is_file()
    listed.write_text("train/sad/dark.png\n", encoding="utf-8")
    with pytest.raises(UsageError, match="other settings"):
        filter_dataset(folders, tmp_path / "clean", FAST, keep=listed)
    listed.write_text("train/angry/broken.png\n", encoding="utf-8")
    result = filter_dataset(folders, tmp_path / "other", FAST, keep=listed)
    assert not (tmp_path / "other/train/angry/broken.png").exists()
    assert result.notes[1:] == (
        "--keep names pictures that cannot be read and are dropped all the same: 1, "
        "train/angry/broken.png first",
    )


def kept(folder: Path) -> list[str]:
    table = pq.read_table(folder / "quality.parquet", columns=["id", "verdict"])
    return [Path(row["id"]).stem for row in table.to_pylist() if row["verdict"] == "keep"]


def test_a_copy_stays_where_what_it_is_a_copy_of_goes_for_another_reason(
    tmp_path: Path, face: np.ndarray
) -> None:
    data = tmp_path / "faces"
    for name, picture in (("a_dark", face * 0.22), ("b", face), ("c", face), ("d_other", 255.0 - face)):
        write(data / "happy" / f"{name}.png", picture)
    drop: tuple[CheckName, ...] = ("dark", "near_duplicate", "exact_duplicate")
    settings = FilterSettings(labels=False, drop=drop)
    result = filter_dataset(data, tmp_path / "clean", settings)
    assert flagged(data, "near_duplicate") == {"b"}
    assert (result.issues["exact_duplicate"], result.dropped) == (1, 2)
    assert kept(data) == ["b", "d_other"]
    assert open_pictures(tmp_path / "clean").records.ids == ["happy/b.png", "happy/d_other.png"]
    listed = tmp_path / "keep.txt"
    listed.write_text("happy/c.png\n", encoding="utf-8")
    filter_dataset(data, settings=settings, keep=listed)
    assert kept(data) == ["c", "d_other"]
    filter_dataset(data, settings=FilterSettings(labels=False, drop=("near_duplicate",)))
    assert kept(data) == ["a_dark", "c", "d_other"]


def test_a_leak_names_the_picture_of_the_earlier_split(tmp_path: Path, face: np.ndarray) -> None:
    data = tmp_path / "faces"
    write(data / "train/happy/a.png", face)
    write(data / "val/happy/b.png", face * 0.9 + 20)
    write(data / "val/happy/c.png", face * 0.9 + 20)
    sheet = tmp_path / "sheet.png"
    filter_dataset(data, settings=FAST, show={"cross_split_leak": sheet})
    rows = {row["id"]: row for row in pq.read_table(data / "quality.parquet").to_pylist()}
    assert rows["val/happy/c.png"]["twin"] == "val/happy/b.png"
    for name in ("val/happy/b.png", "val/happy/c.png"):
        assert "cross_split_leak: in val, like train/happy/a.png: 1.00" in rows[name]["reason"]
    page = (data / "audit.html").read_text(encoding="utf-8")
    section = page.partition('<section class="check" aria-labelledby="check-cross_split_leak">')[2]
    assert section.partition("</section>")[0].count('alt="its twin train/happy/a.png of train, happy"') == 2


def test_a_leak_is_found_through_another_picture_of_the_split(tmp_path: Path) -> None:
    from skimage import data as pictures

    data = tmp_path / "faces"
    face = cv2.cvtColor(pictures.astronaut()[30:230, 130:330], cv2.COLOR_RGB2GRAY)
    write(data / "train/happy/a.png", face)
    write(data / "val/happy/b.png", face[32:, 16:-16])
    filter_dataset(data, settings=FAST)
    assert flagged(data, "cross_split_leak") == set()
    write(data / "val/happy/c.png", face[16:, 8:-8])  # like both, and more like b
    filter_dataset(data, settings=FAST)
    assert flagged(data, "cross_split_leak") == {"b", "c"}
    table = pq.read_table(data / "quality.parquet")
    assert table["twin"].to_pylist() == [None, "train/happy/a.png", "val/happy/b.png"]
    assert all("like train/happy/a.png" in reason for reason in table["reason"].to_pylist()[1:])


def test_a_file_name_that_is_no_text_is_written_as_text(tmp_path: Path, face: np.ndarray) -> None:
    data = tmp_path / "faces"
    write(data / "happy" / "a.png", face)
    try:
        write(data / "happy" / os.fsdecode(b"caf\xe9.png"), face)
    except OSError:
        pytest.skip("this file system has no such names")
    sheets: dict[CheckName, Path] = {"exact_duplicate": tmp_path / "sheet.png"}
    drop: tuple[CheckName, ...] = ("exact_duplicate",)
    filter_dataset(data, tmp_path / "clean", FilterSettings(labels=False, drop=drop), show=sheets)
    assert kept(data) == ["a"]
    assert flagged(data, "exact_duplicate") == {"caf%E9"}
    assert "happy/caf%E9.png" in (data / "audit.html").read_text(encoding="utf-8")
    assert "happy/caf%E9.png" in (tmp_path / "clean" / "dropped.csv").read_text(encoding="utf-8")
    kept_by_hand = tmp_path / "clean" / "dropped.csv"
    filter_dataset(data, tmp_path / "other", FilterSettings(labels=False, drop=drop), keep=kept_by_hand)
    assert (tmp_path / "other" / "happy" / os.fsdecode(b"caf\xe9.png")).is_file()


def test_a_clean_set_of_other_measurements_is_not_taken_for_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_stripes(tmp_path / "in", train=84, held_out=14)
    settings = FilterSettings(drop=("exact_duplicate",))
    monkeypatch.setattr(module, "find_spec", lambda _: None)  # PyTorch is not there
    filter_dataset(data, tmp_path / "clean", settings)
    assert filter_dataset(data, tmp_path / "clean", settings).already_done
    for name, value in (("find_spec", lambda name: name), ("RESULTS_VERSION", -1)):
        with monkeypatch.context() as later:
            later.setattr(module, name, value)
            with pytest.raises(UsageError, match="other measurements"):
                filter_dataset(data, tmp_path / "clean", settings)


def test_a_dry_run_writes_no_data_set_and_no_page(folders: Path, tmp_path: Path) -> None:
    result = filter_dataset(folders, tmp_path / "clean", FAST, dry_run=True)
    assert result.dropped > 0
    assert not (tmp_path / "clean").exists()
    assert not (folders / "audit.html").exists()


def test_a_dataset_folder_keeps_its_contract(tmp_path: Path) -> None:
    data = write_stripes(tmp_path, train=42, held_out=14)
    drop: tuple[CheckName, ...] = ("exact_duplicate", "cross_split_leak")
    settings = FilterSettings(labels=False, drop=drop, thresholds=ThresholdSettings(cross_split_leak=1.0))
    filter_dataset(data, tmp_path / "clean", settings)
    clean, whole = load_split(tmp_path / "clean", "val"), load_split(data, "val")
    assert set(whole.ids) - set(clean.ids) == {whole.ids[0]}
    manifest = json.loads((tmp_path / "clean" / "dataset.json").read_text(encoding="utf-8"))
    assert manifest["filter"][0]["dropped"]["by_check"]["exact_duplicate"] == 2
    page = (data / "audit.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_labels_are_judged_and_an_interrupted_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECIPE", TrainSettings(width=0.25, epochs=2, batch_size=16))
    monkeypatch.setattr(module, "FOLDS", 2)
    folders = [write_stripes(tmp_path / name, train=84, held_out=14) for name in "ab"]
    results = filter_dataset(folders[0], settings=FilterSettings())
    assert results.issues["label_issue"] is not None
    assert not results.notes
    judges = "<dt>labels judged by</dt><dd>2 models of"
    assert judges in (folders[0] / "audit.html").read_text(encoding="utf-8")

    class Stopped(Exception):  # noqa: N818 - no error: a person's Ctrl-C
        pass

    def stop(what: str, done: int, total: int | None, /) -> None:
        if what == "judging labels" and done + 1 == total:
            raise Stopped

    with pytest.raises(Stopped):
        filter_dataset(folders[1], progress=stop)
    begun = folders[1] / "quality.parquet.begun"
    assert list(begun.glob("folds/*/checkpoint.safetensors"))
    assert f"{begun} is kept for a run that goes on" in filter_dataset(folders[1], settings=FAST).notes[1]
    monkeypatch.setattr(module, "measure", None)  # what was measured is kept
    filter_dataset(folders[1])
    first, second = (pq.read_table(folder / "quality.parquet") for folder in folders)
    assert first.equals(second)
    assert not begun.exists()
    monkeypatch.setattr(module, "out_of_fold", None)  # what was judged is not judged again
    assert filter_dataset(folders[1]).issues == results.issues
    # Nor what was judged by a release that had fewer settings.
    older = {key: value.replace(b'"start": "", ', b"") for key, value in second.schema.metadata.items()}
    assert older != second.schema.metadata
    pq.write_table(second.replace_schema_metadata(older), folders[1] / "quality.parquet")
    assert filter_dataset(folders[1]).issues == results.issues


def test_too_few_labels_are_a_note_and_no_error(folders: Path) -> None:
    result = filter_dataset(folders, settings=FilterSettings())
    assert result.issues["outlier"] is None
    assert "labels judged by" not in (folders / "audit.html").read_text(encoding="utf-8")
    assert "are needed to learn from" in result.notes[0]


def test_copies_of_one_picture_are_a_note_and_no_error(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)
    for number in range(120):
        path = tmp_path / "set" / LABELS[number % 7] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture)
    settings = FilterSettings(drop=("exact_duplicate",))
    result = filter_dataset(tmp_path / "set", tmp_path / "clean", settings)
    assert result.issues["label_issue"] is None
    assert "labels were not judged: 120 labelled pictures, copies undivided, are too few" in result.notes[0]
    assert result.dropped == 119
    assert filter_dataset(tmp_path / "set", tmp_path / "clean", settings).already_done


def test_what_is_not_measured_cannot_be_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, drop = write_stripes(tmp_path, train=84, held_out=14), FilterSettings(drop=("label_issue",))
    with pytest.raises(UsageError, match=r"label_issue cannot be dropped, .* \(--no-labels\); leave it out"):
        filter_dataset(data, tmp_path / "clean", replace(drop, labels=False))
    monkeypatch.setattr(module, "find_spec", lambda _: None)  # PyTorch is not there
    with pytest.raises(UsageError, match=r"label_issue cannot be dropped, .* needs PyTorch"):
        filter_dataset(data, tmp_path / "clean", drop)
    assert not (data / "quality.parquet").exists()
    assert not (tmp_path / "clean").exists()


def test_that_labels_could_not_be_judged_is_no_reason_to_drop_nothing(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 48))
    for number in range(100):
        write(tmp_path / "set" / LABELS[number % 7] / f"{number}.png", picture, 48)
    for _ in range(2):  # the second time it is known before
        with pytest.raises(UsageError, match=r"outlier cannot be dropped, .* copies undivided, are too few"):
            filter_dataset(tmp_path / "set", tmp_path / "clean", FilterSettings(drop=("outlier",)))
        assert (tmp_path / "set" / "quality.parquet").exists()
        assert not (tmp_path / "clean").exists()


def test_a_picture_that_is_gone_when_it_is_to_be_copied_is_counted_and_told(
    tmp_path: Path, face: np.ndarray
) -> None:
    data, settings = tmp_path / "faces", FilterSettings(labels=False, drop=())
    for name in "abc":
        write(data / "happy" / f"{name}.png", face)

    def lose(what: str, done: int, _total: int | None, /) -> None:
        if what == "copying pictures" and done == 1:
            (data / "happy" / "c.png").unlink()

    result = filter_dataset(data, tmp_path / "clean", settings, progress=lose)
    assert result.dropped == 1
    assert result.notes[-1].endswith("not be read again to be copied, are dropped too: 1")
    assert open_pictures(tmp_path / "clean").records.ids == ["happy/a.png", "happy/b.png"]


def test_the_list_of_a_later_step_can_be_kept(tmp_path: Path, face: np.ndarray) -> None:
    data, (first, second) = tmp_path / "faces", (tmp_path / name for name in ("first", "second"))
    for name, picture in {"a": face, "b": face * 0.15, "c": 255 - (255 - face) * 0.2}.items():
        write(data / "happy" / f"{name}.png", picture)
    filter_dataset(data, first, FilterSettings(labels=False, drop=("dark",)))
    filter_dataset(first, second, FilterSettings(labels=False, drop=("bright",)))
    listed = second / "dropped.csv"
    settings = FilterSettings(labels=False, drop=("bright",))
    result = filter_dataset(first, tmp_path / "third", settings, keep=listed)
    assert open_pictures(tmp_path / "third").records.ids == ["happy/a.png", "happy/c.png"]
    assert "an earlier step dropped, and the data set lacks: 1, happy/b.png first" in result.notes[-1]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("clean/sheet.png", r"--show bright=.* lies in OUT"),
        ("clean/deep/er/sheet.png", r"--show bright=.* lies in OUT"),
        ("faces/train/happy/face.png", r"--show bright=.* lies in a folder of the data set"),
        ("faces/new/sheet.png", r"--show bright=.* lies in a folder of the data set"),
        ("faces/train/../../dark.png", r"--show bright=.* is the sheet of dark too"),
    ],
)
def test_a_sheet_is_in_the_way_of_nothing(folders: Path, tmp_path: Path, place: str, message: str) -> None:
    sheets: dict[CheckName, Path] = {"dark": tmp_path / "dark.png", "bright": tmp_path / place}
    with pytest.raises(UsageError, match=message):
        filter_dataset(folders, tmp_path / "clean", FAST, show=sheets)
    assert not (folders / "quality.parquet").exists()
    assert not (tmp_path / "clean").exists()
    sheets["bright"] = folders / "bright.png"
    assert filter_dataset(folders, tmp_path / "clean", FAST, show=sheets).sheets == tuple(sheets.values())


def test_a_folder_whose_name_is_no_text_is_refused_before_it_is_measured(
    folders: Path, tmp_path: Path
) -> None:
    folders = folders.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    with pytest.raises(OutputError, match=r"cannot write .*caf%E9: its path is no text on one line"):
        filter_dataset(folders, None, FAST)


@pytest.mark.parametrize(
    ("name", "content"), [("quality.parquet", "mine"), ("audit.html", "<html>mine</html>")]
)
def test_files_of_others_are_not_replaced(folders: Path, tmp_path: Path, name: str, content: str) -> None:
    (folders / name).write_text(content, encoding="utf-8")
    before = {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=f"{name} is in the way and is no .* move it away"):
        filter_dataset(folders, tmp_path / "clean", FAST)
    assert {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()} == before
    if name == "audit.html":
        filter_dataset(folders, settings=FAST, dry_run=True)  # writes no page
        assert (folders / name).read_text(encoding="utf-8") == content
        (folders / name).unlink()
        (folders / name).mkdir()
        with pytest.raises(InputError, match=r"cannot read .*audit\.html"):
            filter_dataset(folders, settings=FAST)


def test_what_cannot_be_is_refused_before_anything_is_measured(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="left alone"):
        filter_dataset(folders, tmp_path / "mine", FAST)
    with pytest.raises(UsageError, match="must end in"):
        filter_dataset(folders, settings=FAST, show={"dark": tmp_path / "sheet.gif"})
    assert not (folders / "quality.parquet").exists()
