"""Pictures with boxes anywhere in them, for property tests of what is drawn beside faces."""

from __future__ import annotations

from hypothesis import strategies as st

Corners = tuple[int, int, int, int]


@st.composite
def crowds(draw: st.DrawFn, shortest: int, longest: int, most: int) -> tuple[tuple[int, int], list[Corners]]:
    """Width and height of a picture, `shortest` to `longest` pixels each, and up to `most` boxes in it."""
    width, height = draw(st.integers(shortest, longest)), draw(st.integers(shortest, longest))
    boxes = []
    for _ in range(draw(st.integers(0, most))):
        x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        boxes.append((x, y, draw(st.integers(x + 1, width)), draw(st.integers(y + 1, height))))
    return (width, height), boxes
