"""Damaged files by the dozen: no hang, no traceback, no lost row. `benchmarks/damage.py` does hundreds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from damage import mutate
from processes import run
from videos import encode, moving_face

from fer_batch.storage import read_json

FILES = 32
KINDS = (("mp4", "libx264"), ("mkv", "libx264"), ("ts", "mpeg2video"), ("avi", "mpeg4"))


def test_every_damaged_file_gets_its_status_and_what_could_be_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    whole = [encode(tmp_path / f"whole.{suffix}", moving_face(30), codec=codec) for suffix, codec in KINDS]
    for number in range(FILES):
        source = whole[number % len(whole)]
        (tmp_path / "in" / f"{number:02d}{source.suffix}").write_bytes(mutate(source.read_bytes(), rng))
    done = run("annotate", tmp_path / "in", "--out", tmp_path / "out", "--workers", 2)
    assert done.returncode == 3
    assert done.stderr == ""
    manifests = [read_json(path) for path in sorted((tmp_path / "out").rglob("manifest.json"))]
    assert len(manifests) == FILES
    assert {manifest["status"] for manifest in manifests} == {"ok", "partial", "failed"}
    for manifest in manifests:
        name = manifest["summary"]["source"]
        assert (manifest["reason"] is None) == (manifest["status"] == "ok")
        assert "unexpected" not in (manifest["reason"] or ""), name
        assert f"{name}: " in done.stdout
        if manifest["status"] != "failed":
            for table in ("frames", "faces"):
                rows = pq.read_metadata(tmp_path / "out" / name / f"{table}.parquet").num_rows
                assert rows == manifest["summary"][table], name
