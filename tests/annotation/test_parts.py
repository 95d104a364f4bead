"""What is left of parts whose removal was stopped can be gone on behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_batch.annotation.parts import discard_parts


def write(folder: Path) -> None:
    folder.mkdir()
    for number in range(4):
        for kind in ("frames.parquet", "faces.parquet", "json"):
            (folder / f"{number:06d}.{kind}").touch()


@pytest.mark.parametrize("stopped_after", range(5))
def test_parts_go_from_the_last_to_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_after: int
) -> None:
    write(tmp_path / "parts")
    removed = []
    unlink = Path.unlink

    def unlink_some(path: Path, missing_ok: bool = False) -> None:
        if len(removed) == stopped_after:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_some)
    monkeypatch.setattr("shutil.rmtree", stop)
    with pytest.raises(KeyboardInterrupt):
        discard_parts(tmp_path / "parts")
    left = {path.name for path in (tmp_path / "parts").iterdir()}
    states = [f"{number:06d}.json" for number in range(4) if f"{number:06d}.json" in left]
    assert states == [f"{number:06d}.json" for number in range(4 - stopped_after)]
    assert len(left) == 8 + len(states)  # and every table of theirs


def stop(_: Path) -> None:
    raise KeyboardInterrupt


def test_nothing_is_left_of_them(tmp_path: Path) -> None:
    write(tmp_path / "parts")
    discard_parts(tmp_path / "parts")
    assert not list(tmp_path.iterdir())
