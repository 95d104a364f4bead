"""File names as text."""

from __future__ import annotations

import pytest

from fer_batch.dataset.names import as_text


@pytest.mark.parametrize(
    ("name", "text"),
    [(b"caf\xe9/\xff.png", "caf%E9/%FF.png"), ("café/100%.png".encode(), "café/100%.png")],
)
def test_only_what_is_no_text_is_changed(name: bytes, text: str) -> None:
    assert as_text(name.decode(errors="surrogateescape")) == text
