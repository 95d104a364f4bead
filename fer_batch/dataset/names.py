"""File names as text that tables, CSV and JSON can hold."""

from __future__ import annotations

import re

_NO_TEXT = re.compile(r"[\ud800-\udfff]")
"""What stands for bytes that are no UTF-8."""


def as_text(name: str) -> str:
    """A file's name or path as valid text: `caf%E9` for the bytes of a Latin-1 `café`."""
    return _NO_TEXT.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", name)
