"""Every error the project raises on purpose, and the exit code of each.

FerBatchError
 ├ UsageError            2  a setting that cannot be: names the option, the value, what is allowed
 │  └ NothingFoundError     there is no video and no picture where they were looked for
 ├ InputError            1  something that was to be read cannot be
 │  ├ DatasetFormatError    the file is not the data set it should be: file, line, column
 │  ├ SourceOpenError       a video or picture cannot be opened
 │  └ DecodeError           it opened, and its pictures cannot be decoded
 ├ ModelError            1  a model file is missing, damaged, or has other labels
 └ OutputError           1  disk full, no permission: what was finished stays valid
    ├ EncodeError           the pictures of one overlay are none that a video can have
    └ OccupiedError         another process, or somebody's file, is where one result is prepared

Two exit codes come from no error: 3, finished but some sources failed or are partial; and 130,
interrupted.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_OK = 0
EXIT_PARTIAL = 3
EXIT_INTERRUPTED = 130


class FerBatchError(Exception):
    """The root: `except FerBatchError` catches whatever fer-batch raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(FerBatchError):
    """A setting or an argument that cannot be."""

    exit_code = 2


class NothingFoundError(UsageError):
    """Where sources were looked for there are none."""


class InputError(FerBatchError):
    """Something that was to be read cannot be."""


class DatasetFormatError(InputError):
    """A file or folder is not the data set that it should be."""


class SourceOpenError(InputError):
    """A video or picture cannot be opened."""


class DecodeError(InputError):
    """A video or picture opened, and its pictures cannot be decoded."""


class ModelError(FerBatchError):
    """A model file is missing, damaged, or made for other labels."""


class OutputError(FerBatchError):
    """Results cannot be written; what was finished before stays valid."""


class EncodeError(OutputError):
    """An overlay cannot be encoded, and the next source's may well be."""


class OccupiedError(OutputError):
    """Another process, or somebody's file, is where one result is prepared; the next's place may be free."""
