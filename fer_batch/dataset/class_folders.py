"""Pictures sorted into folders that are named after expressions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from fer_batch.dataset.archives import reading
from fer_batch.dataset.images import SIDE, decode_gray, pixel_sha256, resize
from fer_batch.dataset.samples import Sample, attempt
from fer_batch.emotions import LABELS, Emotion
from fer_batch.errors import DatasetFormatError, InputError
from fer_batch.storage import PICTURE_SUFFIXES, file_sha256, readable, walk

_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "publictest": "val",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}


@dataclass(frozen=True)
class Picture:
    """A picture file in a class folder.

    Attributes:
        path: relative to the folder that was searched, with forward slashes.
        split: `train`, `val` or `test`; `train` where the folders name none.
        class_name: the class folder's name; the split folder's for a picture that lies in no other.
        label: the expression it means; None where it means none of the seven.
    """

    path: str
    split: str
    class_name: str
    label: Emotion | None

    @property
    def name(self) -> str:
        """The path as valid text, for tables and lists."""
        return readable(self.path)


def has_class_folders(folder: Path) -> bool:
    """Whether `folder` holds class folders, directly or under folders named after splits.

    Raises:
        InputError: one of these folders cannot be listed.
    """
    return bool(_classes(folder)) or any(_classes(parent) for _, parent in _split_folders(folder))


def split_names(folder: Path) -> tuple[str, ...]:
    """The splits that `folder` has folders of class folders for, sorted; none where there are no such."""
    found = _split_folders(folder) if folder.is_dir() else []
    return tuple(sorted({split for split, parent in found if _classes(parent)}))


def find_pictures(folder: Path) -> Iterator[Picture]:
    """Every picture under `folder/{class}/` or `folder/{split}/{class}/`, each split's sorted by path.

    Behind them come those that lie in a split's folder itself: they have no label.

    Splits may be called train, training, val, valid, validation, PublicTest, test, testing or
    PrivateTest. Hidden folders and files that have no picture's suffix are passed over.

    Raises:
        InputError: the folder does not exist, or a folder in it cannot be listed.
        DatasetFormatError: no folder in it is named after an expression, or some are beside folders of
            splits that hold such folders too.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    if not has_class_folders(folder):
        raise DatasetFormatError(
            f"{folder} holds no class folders: expected folders named {', '.join(LABELS)}, "
            "directly or under train, val and test"
        )
    for split, parent in _parents(folder):
        for class_folder in _folders(parent):
            label = _label(class_folder.name)
            for path in _named_as_pictures(class_folder):
                yield Picture(path.relative_to(folder).as_posix(), split, class_folder.name, label)
        for path in _list(parent) if parent != folder else ():
            if _is_named_as_picture(path.name) and path.is_file():
                yield Picture(path.relative_to(folder).as_posix(), split, parent.name, None)


def _named_as_pictures(folder: Path) -> list[Path]:
    """Whatever has a picture's suffix under a folder, folders too: they are rejected when they are read."""
    found: list[Path] = []
    for here, folders, files in walk(folder):
        found += (Path(here, name) for name in (*folders, *files) if _is_named_as_picture(name))
        folders[:] = [name for name in folders if not _is_hidden(name)]
    return sorted(found)


def _is_named_as_picture(name: str) -> bool:
    return PurePath(name).suffix.lower() in PICTURE_SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def read_picture(folder: Path, picture: Picture) -> tuple[Emotion, NDArray[np.uint8]]:
    """Label and gray pixels (uint8 [H, W], 0–255) of a picture that `find_pictures` found in `folder`.

    Raises:
        ValueError: its folder names no expression, or it cannot be read or decoded.
    """
    if picture.label is None:
        raise ValueError(f"the folder name {readable(picture.class_name)!r} is none of {', '.join(LABELS)}")
    return picture.label, decode_gray(read_bytes(folder / picture.path))


def read_bytes(path: Path) -> bytes:
    """The content of a picture file.

    Raises:
        ValueError: it cannot be read; the message is the reason.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error


def _parents(folder: Path) -> list[tuple[str, Path]]:
    """The folders that hold class folders, each with its split.

    Raises:
        DatasetFormatError: they are both `folder` and folders of splits in it.
    """
    splits = _split_folders(folder)
    used = [parent.name for _, parent in splits if _classes(parent)]
    if not used:  # a folder `test` without any is no split
        return [("train", folder)]
    if classes := _classes(folder):
        raise DatasetFormatError(
            f"{folder} holds class folders ({', '.join(classes)}) beside splits that hold class folders too "
            f"({', '.join(used)}); move all of them into splits, or name the folder of one split"
        )
    return splits


def _split_folders(folder: Path) -> list[tuple[str, Path]]:
    """The folders in `folder` that are named after splits, each with its split."""
    return [
        (_SPLIT_FOLDERS[child.name.lower()], child)
        for child in _folders(folder)
        if child.name.lower() in _SPLIT_FOLDERS
    ]


def _classes(folder: Path) -> list[str]:
    """The names of the folders in `folder` that are named after expressions."""
    return [child.name for child in _folders(folder) if _label(child.name) is not None]


def _folders(folder: Path) -> list[Path]:
    with reading(folder):
        return [child for child in _list(folder) if child.is_dir() and not _is_hidden(child.name)]


def _list(folder: Path) -> list[Path]:
    """What lies in a folder, sorted.

    Raises:
        InputError: it cannot be listed.
    """
    with reading(folder):
        return sorted(folder.iterdir())


def _label(name: str) -> Emotion | None:
    try:
        return Emotion.from_label(name)
    except ValueError:
        return None


@dataclass(frozen=True)
class PictureFile:
    """A picture to be read; its attributes are those of `Item`."""

    row: int
    folder: Path
    picture: Picture

    line = None
    content = b""
    units = 1.0

    @property
    def id(self) -> str:
        """The picture's position in the list of all pictures, as five digits."""
        return f"{self.row:05d}"

    @property
    def file(self) -> str:
        """Path in the source folder, as valid text."""
        return self.picture.name

    def load(self) -> Sample:
        """Read the picture; see `Item.load`."""
        label, image = read_picture(self.folder, self.picture)
        sample = resize(image, SIDE)
        return Sample(self.picture.split, label, sample, pixel_sha256(image), resized=sample is not image)


@dataclass(frozen=True)
class FolderSource:
    """A folder of class folders; see `Source` for its attributes."""

    path: Path
    pictures: tuple[Picture, ...]

    dialect = "class folders"
    has_usage = False
    files_named = True
    unit = "pictures"

    @property
    def total(self) -> int:
        """How many pictures there are."""
        return len(self.pictures)

    def sha256(self) -> str:
        """See `Source.sha256`; `-` stands for the sum of a picture that cannot be read."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            try:
                content = file_sha256(self.path / picture.path)
            except OSError:  # it is rejected when its turn comes
                content = "-"
            digest.update(content.encode() + b"  " + os.fsencode(picture.path) + b"\n")
        return digest.hexdigest()

    def items(self) -> Iterator[PictureFile]:
        """Every picture, in the order of `find_pictures`; see `Source.items`."""
        for row, picture in enumerate(self.pictures):
            yield PictureFile(row, self.path, picture)

    def load(self, items: Sequence[PictureFile]) -> list[Sample | ValueError]:
        """See `Source.load`."""
        return [attempt(item.load) for item in items]
