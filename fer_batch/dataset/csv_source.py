"""FER2013 as CSV: which of the files at hand are read, and their rows one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fer_batch.dataset.archives import CsvFile, reading
from fer_batch.dataset.dialects import DIALECTS, Dialect, find_dialect
from fer_batch.dataset.images import SIDE, pixel_sha256
from fer_batch.dataset.pixels import parse_pixels, parse_rows
from fer_batch.dataset.samples import Sample, attempt
from fer_batch.errors import DatasetFormatError
from fer_batch.storage import file_sha256, readable

_LONGEST_LINE = 1 << 16  # bytes; the longest possible row has 9.3 thousand
_PADDING = b' \t"'
_COMPLETE = "fer2013"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_EXPECTED = (
    "expected a header naming emotion, pixels and Usage (fer2013.csv, icml_face_data.csv), "
    "emotion and pixels (train.csv), or pixels (test.csv)"
)


@dataclass(frozen=True)
class CsvRow:
    """One line of a CSV file; its attributes are those of `Item`."""

    row: int
    id: str
    file: str
    line: int
    content: bytes
    length: int
    """Bytes of the line, its line break included; `content` is cut where that cannot be a row."""
    ended: bool
    """Whether a line break closes it; only the last line of a file may lack one."""
    header: tuple[str, ...]
    dialect: Dialect

    @property
    def units(self) -> float:
        """Megabytes of the line."""
        return self.length / 1e6

    @property
    def pixels(self) -> bytes:
        """What stands in the column of that name; empty where the row is too short to have it."""
        fields, place = self.content.split(b","), self.header.index("pixels")
        return fields[place].strip(_PADDING) if place < len(fields) else b""

    def load(self, values: NDArray[np.uint8] | None = None) -> Sample:
        """Check the row and parse it; see `Item.load`.

        Args:
            values: its gray values, uint8 [2304], where they have been parsed already.
        """
        try:
            return self._parse(values)
        except ValueError as error:
            if self.ended:
                raise
            raise ValueError(f"{error}; the file ends inside this row") from None

    def _parse(self, values: NDArray[np.uint8] | None) -> Sample:
        if self.length > _LONGEST_LINE:
            raise ValueError(f"the line has {self.length} bytes, far more than {SIDE * SIDE} pixels need")
        if b"\0" in self.content:
            raise ValueError(f"NUL byte at position {self.content.index(0)}")
        if not self.content.isascii():
            position = next(i for i, byte in enumerate(self.content) if byte > 127)
            raise ValueError(f"byte 0x{self.content[position]:02X} at position {position} is not ASCII")
        fields = self.content.split(b",")
        if len(fields) != len(self.header):
            raise ValueError(f"{len(fields)} fields, expected {len(self.header)}")
        named = {name: field.strip(_PADDING) for name, field in zip(self.header, fields, strict=True)}
        label, split = self.dialect.meaning(named)
        if values is None:
            values = parse_pixels(named["pixels"], SIDE * SIDE)
        image = values.reshape(SIDE, SIDE)
        return Sample(split, label, image, pixel_sha256(image))


@dataclass(frozen=True)
class CsvSource:
    """One or two CSV files that make up a data set; see `Source` for its attributes.

    Attributes:
        path: what the user named: a file, an archive or a folder.
        files: the CSV files that are read, each with its dialect's name, in order.
    """

    path: Path
    files: tuple[tuple[CsvFile, str], ...]

    unit = "MB"
    files_named = False

    @property
    def dialect(self) -> str:
        """The names of the files' dialects."""
        return " + ".join(dialect for _, dialect in self.files)

    @property
    def has_usage(self) -> bool:
        """Whether every row names its `Usage`."""
        return all("usage" in DIALECTS[dialect].columns for _, dialect in self.files)

    @property
    def total(self) -> int | None:
        """Megabytes of all files together; None where an archive does not tell."""
        sizes = [file.size for file, _ in self.files if file.size is not None]
        return round(sum(sizes) / 1e6) if len(sizes) == len(self.files) else None

    def sha256(self) -> str:
        """See `Source.sha256`."""
        if not self.path.is_dir():
            with reading(self.path):
                return file_sha256(self.path)
        digest = hashlib.sha256()
        for file, _ in self.files:
            with reading(file.container):
                digest.update(f"{file_sha256(file.container)}  {file.name}\n".encode())
        return digest.hexdigest()

    def items(self) -> Iterator[CsvRow]:
        """Every row that is not blank; see `Source.items`."""
        stems = [Path(file.name).stem for file, _ in self.files]
        for stem, (file, dialect) in zip(stems, self.files, strict=True):
            # Files in different folders of an archive may have one name; their dialects are different.
            own = stem if stems.count(stem) == 1 else dialect
            prefix = f"{own}_" if len(stems) > 1 else ""
            yield from _rows(file, DIALECTS[dialect], prefix)

    def load(self, items: Sequence[CsvRow]) -> list[Sample | ValueError]:
        """See `Source.load`; all rows are parsed together if they are flawless."""
        rows = parse_rows([item.pixels for item in items], SIDE * SIDE)
        return [attempt(item.load, None if rows is None else rows[i]) for i, item in enumerate(items)]


def choose_files(path: Path, candidates: list[CsvFile]) -> CsvSource:
    """The source that is made of these CSV files.

    A file with everything in it is preferred to `train.csv` and `test.csv`; where both
    `fer2013.csv` and `icml_face_data.csv` are there, as in the challenge's archive, the first is
    read, for they hold the same rows.

    Raises:
        DatasetFormatError: none of the files is FER2013, one may have labels or splits in columns of
            other names, or it is not clear which one is meant.
    """
    found: dict[str, list[CsvFile]] = {}
    headers: list[str] = []
    unclear: list[str] = []
    for file in candidates:
        with file.open() as stream:
            first = _header_line(stream)
        columns = _columns(first)
        dialect = find_dialect(columns)
        if dialect is not None:
            found.setdefault(dialect, []).append(file)
        elif "pixels" in columns:
            unclear.append(f"{file.name} has the columns {readable(', '.join(columns))}")
        headers.append(f"{file.name} begins with {_shown(first)}" if first else f"{file.name} is empty")
    if unclear and _COMPLETE not in found:
        raise DatasetFormatError(
            f"{path} has pictures whose labels or splits would be lost: {'; '.join(unclear[:5])}; "
            f"{_EXPECTED}, and without Usage no further column but an index; rename or remove columns"
        )
    if not found:
        listed = "; ".join(headers[:5]) + ("; ..." if len(headers) > 5 else "")
        raise DatasetFormatError(f"{path} is not FER2013: {listed}; {_EXPECTED}")
    dialects = [_COMPLETE] if _COMPLETE in found else list(found)
    dialects.sort(key=list(DIALECTS).index)
    return CsvSource(path, tuple((_only(path, found[dialect]), dialect) for dialect in dialects))


def _only(path: Path, files: list[CsvFile]) -> CsvFile:
    for name in ("fer2013.csv", "icml_face_data.csv"):
        for file in files:
            if file.name.lower() == name:
                return file
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DatasetFormatError(
            f"{path} holds several files of the same kind ({names}); name the one to read"
        )
    return files[0]


def _header_line(stream: IO[bytes]) -> bytes:
    return stream.readline(_LONGEST_LINE).removeprefix(_BYTE_ORDER_MARK).strip()


def _columns(header: bytes) -> list[str]:
    return [name.strip().strip('"').strip().lower() for name in header.decode("utf-8", "replace").split(",")]


def _shown(line: bytes) -> str:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "the mark of UTF-16 text (save it as UTF-8)"
    text = line[:60].decode("utf-8", "replace")
    if not text.isprintable():
        return "binary data"
    return f"{text!r}..." if len(line) > 60 else repr(text)


def _rows(file: CsvFile, dialect: Dialect, prefix: str) -> Iterator[CsvRow]:
    with file.open() as stream:
        header = tuple(_columns(_header_line(stream)))
        row = 0
        for number, (line, length) in enumerate(_lines(stream), start=2):
            content = line.strip(b"\r\n")
            # Blank lines count as lines and not as rows, as with every CSV reader.
            if not content.strip():
                continue
            ended = line.endswith(b"\n") or length > len(line)
            yield CsvRow(
                row, f"{prefix}{row:05d}", file.name, number, content, length, ended, header, dialect
            )
            row += 1


def _lines(stream: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Each line, cut where it is too long to be a row, and how many bytes it really has."""
    while line := stream.readline(_LONGEST_LINE):
        length = len(line)
        rest = line
        while len(rest) == _LONGEST_LINE and not rest.endswith(b"\n"):
            rest = stream.readline(_LONGEST_LINE)
            length += len(rest)
        yield line, length
