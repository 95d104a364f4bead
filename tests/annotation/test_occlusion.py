"""Each face is looked at about once a second, and what hides it counts until the next look."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from videos import FACE, encode, portrait

from fer_batch.annotation import annotate
from fer_batch.annotation.occlusion import OcclusionLooks, with_occlusion
from fer_batch.settings import AnnotateSettings, QualitySettings
from fer_batch.storage import HIDDEN_COLUMNS, QUALITY_COLUMN


def looked_at(looks: OcclusionLooks, tracks: list[int], times: list[float]) -> dict[int, list[float]]:
    """When each track is looked at."""
    found: dict[int, list[float]] = {track: [] for track in tracks}
    for time_s in times:
        for track, due in zip(tracks, looks.due(np.array(tracks), time_s).tolist(), strict=True):
            found[track] += [time_s] if due else []
    return found


def test_a_track_is_looked_at_at_once_soon_again_and_then_every_second() -> None:
    looks = OcclusionLooks()
    times = [frame / 25 for frame in range(60)]
    assert looked_at(looks, [3], times) == {3: [0.0, 0.32, 1.32, 2.32]}
    assert looked_at(looks, [3, 4], [2.4, 2.8, 3.2, 3.6]) == {3: [3.6], 4: [2.4, 2.8]}


def test_a_track_that_is_found_seldom_is_looked_at_whenever_it_is() -> None:
    assert looked_at(OcclusionLooks(), [0], [0.0, 2.0, 4.0]) == {0: [0.0, 2.0, 4.0]}


def test_a_clock_that_is_set_back_makes_all_due() -> None:
    looks = OcclusionLooks()
    assert looked_at(looks, [0], [100.0, 100.1, 3.0, 3.1, 3.5]) == {0: [100.0, 3.0, 3.5]}


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.7)), max_size=40), st.integers(0, 40))
def test_what_goes_on_from_a_state_is_as_if_it_had_not_stopped(
    steps: list[tuple[int, float]], stop: int
) -> None:
    whole, resumed, time_s = OcclusionLooks(), OcclusionLooks(), 0.0
    for index, (track, dt) in enumerate(steps):
        time_s += dt
        if index == stop:
            resumed = OcclusionLooks([tuple(pair) for pair in json.loads(json.dumps(resumed.state))])
        assert whole.due(np.array([track]), time_s) == resumed.due(np.array([track]), time_s)
    assert len(whole.state) <= 4


def rows(track: list[int], eyes: list[float | None], quality: float = 0.9) -> pa.Table:
    columns = {
        "track": pa.array(track, pa.int64()),
        "eyes_hidden": pa.array(eyes, pa.float32()),
        "mouth_hidden": pa.array([None if value is None else 0.0 for value in eyes], pa.float32()),
        "quality": pa.array([quality] * len(track), pa.float32()),
    }
    return pa.table(columns)


def test_what_was_seen_of_a_track_holds_until_the_next_look() -> None:
    blocks = [rows([0, 1, 0, 1, 0], [0.1, 0.8, None, None, 0.95]), rows([1, 0, 2], [None, None, None])]
    first, second = with_occlusion(blocks)
    assert first["eyes_hidden"].to_pylist() == pytest.approx([0.1, 0.8, 0.1, 0.8, 0.95])
    assert second["eyes_hidden"].to_pylist()[:2] == pytest.approx([0.8, 0.95])
    assert second["eyes_hidden"].to_pylist()[2] is None  # nobody has looked
    assert first["quality"].to_pylist() == pytest.approx([0.9, 0.125, 0.9, 0.125, 0.0])
    assert second["quality"].to_pylist() == pytest.approx([0.125, 0.0, 0.9])
    assert second.schema.names == rows([], []).schema.names


def test_a_track_that_is_gone_is_forgotten() -> None:
    blocks = [rows([0], [0.8]), rows([1], [0.1]), rows([0], [None])]
    assert [block["eyes_hidden"].to_pylist() for block in with_occlusion(blocks)][2] == [None]


def in_dark_glasses(image: np.ndarray) -> np.ndarray:
    x0, y0, x1, _ = (round(value * 320 / 512) for value in FACE)
    y0, size = round(FACE[1] * 180 / 288), x1 - x0
    hidden = image.copy()
    for x in (x0 + size * 0.3, x0 + size * 0.72):
        centre = round(x), round(y0 + size * 0.5)
        cv2.ellipse(hidden, centre, (round(size * 0.19), round(size * 0.15)), 0, 0, 360, (12, 12, 12), -1)
    bridge = round(y0 + size * 0.45)
    cv2.line(hidden, (x0 + 4, bridge), (x1 - 2, bridge), (12, 12, 12), 2)
    return hidden


def test_glasses_that_are_put_on_are_seen_at_the_next_look_and_lower_the_quality(tmp_path: Path) -> None:
    open_face = portrait()
    video = encode(tmp_path / "visit.mp4", [open_face] * 40 + [in_dark_glasses(open_face)] * 35)
    cv2.imwrite(str(tmp_path / "worn.png"), cv2.cvtColor(in_dark_glasses(open_face), cv2.COLOR_RGB2BGR))
    settings = AnnotateSettings(quality=QualitySettings(min_quality=0.5))
    annotate([video, tmp_path / "worn.png"], tmp_path / "out", settings)
    table = pq.read_table(tmp_path / "out" / "visit" / "faces.parquet").to_pandas()
    assert {column.name for column in (*HIDDEN_COLUMNS, QUALITY_COLUMN)} <= {*table.columns}
    hidden = table.groupby("frame")["eyes_hidden"].first()
    # Looks are at frames 0, 8, 33 and 58: at once, 0.3 s later, and every second from there.
    assert hidden[:57].max() < 0.3
    assert hidden[58:].min() > 0.6
    assert table["mouth_hidden"].max() < 0.3
    assert table[table.frame < 58]["emotion"].notna().all()
    assert table[table.frame >= 58]["emotion"].isna().all()
    assert (table[table.frame >= 58]["quality"] < 0.5).all()
    still = pq.read_table(tmp_path / "out" / "worn" / "faces.parquet").to_pandas()
    assert (still["eyes_hidden"] > 0.6).all()
