"""CSV files wherever they are: plain, gzipped, in a zip or tar archive, or in a folder."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from fer_batch.errors import DatasetFormatError, InputError
from fer_batch.storage import readable

_PIECE = 1 << 20  # bytes
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)


@dataclass(frozen=True)
class CsvFile:
    """A CSV file that can be opened, whatever it is packed in.

    Attributes:
        name: its own name, such as `fer2013.csv`, as valid text without separators of folders.
        container: the file on the disk: itself, or the archive it is in.
        size: its unpacked size in bytes; None where that is unknown.
        opener: opens it for reading bytes.
    """

    name: str
    container: Path
    size: int | None
    opener: Callable[[], AbstractContextManager[IO[bytes]]]

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Yield the file's bytes as a buffered stream.

        Raises:
            InputError: the file cannot be read.
            DatasetFormatError: the archive is damaged.
        """
        with reading(self.container), self.opener() as stream:
            yield stream


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every way in which a file or archive refuses to be read into an error that names it."""
    try:
        yield
    except NotImplementedError as error:  # of zipfile: deflate64, which Windows writes, and rarer ones
        raise DatasetFormatError(
            f"{path} is packed in a way that cannot be read here ({error}); unpack it yourself"
        ) from error
    except _DAMAGE as error:
        raise DatasetFormatError(
            f"{path} is damaged or incomplete ({error}); download it again or unpack it yourself"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def find_csv_files(path: Path) -> list[CsvFile]:
    """The CSV files that `path` is or holds, sorted by name.

    Args:
        path: a CSV file, a gzipped one, a zip or tar archive, or a folder (whose subfolders are not
            searched). Files are known by their content, not by their suffix.

    Raises:
        InputError: the path does not exist or cannot be read.
        DatasetFormatError: the archive is damaged or encrypted.
    """
    with reading(path):
        if path.is_dir():
            found = [
                file
                for child in path.iterdir()
                if _is_csv(child.name) and child.is_file()
                for file in find_csv_files(child)
            ]
        elif zipfile.is_zipfile(path):
            found = list(_in_zip(path))
        elif tarfile.is_tarfile(path):
            found = list(_in_tar(path))
        elif _is_gzip(path):
            name = path.name.removesuffix(".gz")
            found = [CsvFile(_own_name(name), path, None, partial(_open_gzip, path))]
        else:
            found = [CsvFile(_own_name(path.name), path, path.stat().st_size, partial(path.open, "rb"))]
    return sorted(found, key=lambda file: file.name)


def member_names(path: Path) -> list[str]:
    """The names of everything in a zip or tar archive.

    Raises:
        InputError: the archive cannot be read.
        DatasetFormatError: it is damaged.
    """
    with reading(path):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return archive.namelist()
        with tarfile.open(path) as archive:
            return archive.getnames()


def _in_zip(path: Path) -> Iterator[CsvFile]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not _is_csv(member.filename):
                continue
            if member.flag_bits & 1:
                raise DatasetFormatError(f"{path} is encrypted; unpack it yourself")
            yield CsvFile(
                _own_name(member.filename),
                path,
                member.file_size,
                partial(_open_in_zip, path, member.filename),
            )


def _in_tar(path: Path) -> Iterator[CsvFile]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and _is_csv(member.name):
                yield CsvFile(
                    _own_name(member.name), path, member.size, partial(_open_in_tar, path, member.name)
                )


def _is_csv(name: str) -> bool:
    # macOS puts a shadow of every file into its archives: `__MACOSX/._fer2013.csv`.
    path = PurePosixPath(_own_name(name))
    return path.suffix.lower() == ".csv" and not path.name.startswith(".")


def _own_name(path: str) -> str:
    r"""The last part of a path, as valid text; some of Windows' tools part it by `\` inside archives."""
    return readable(PurePosixPath(path.replace("\\", "/")).name)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _open_gzip(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path))  # the type stubs do not count GzipFile as a binary file


@contextmanager
def _open_in_zip(path: Path, member: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        yield stream


@contextmanager
def _open_in_tar(path: Path, member: str) -> Iterator[IO[bytes]]:
    with tarfile.open(path) as archive:
        stream = archive.extractfile(member)
        if stream is None:  # a link to something outside the archive
            raise DatasetFormatError(f"{path}: {member} has no content of its own")
        with stream:
            yield stream
            whole = not stream.read(1)
        if whole and archive.fileobj is not None:
            # The checksum stands at the end of the compressed stream, and tarfile stops before it. Who
            # has read no more than a header does not wait for it.
            while archive.fileobj.read(_PIECE):
                pass
