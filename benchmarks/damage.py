"""Whether `annotate` survives damaged files and being killed; nothing is timed.

    python benchmarks/damage.py [--files 300] [--kills 200] [--seed N]

Files: small videos in four containers are mutated (tests/damage.py) and annotated by one command with two
workers. It must end, with 0 or 3, without a traceback; every file must have a manifest, no reason may be
an unexpected error, and the tables of what is ok or partial must have the rows that the summary states.

Kills: one video of several parts is annotated by a process that is killed at a random moment, started
again with the same command, and so on until it ends. Its tables must equal those of an undisturbed run,
and what a part holds must never be read again.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from damage import mutate
from videos import encode, moving_face

from fer_batch.storage import read_json

TABLES = ("faces.csv", "faces.parquet", "frames.csv", "frames.parquet")
KINDS = (("mp4", "libx264"), ("mkv", "libx264"), ("ts", "mpeg2video"), ("avi", "mpeg4"))
PATIENCE_S = 900


def command(*arguments: object) -> list[str]:
    """`fer-batch annotate` with these arguments."""
    return [sys.executable, "-m", "fer_batch", "annotate", *map(str, arguments)]


def damaged_files(count: int, rng: np.random.Generator, folder: Path) -> list[str]:
    """Annotate mutated files; returns what is wrong."""
    (folder / "in").mkdir()
    whole = [encode(folder / f"whole.{suffix}", moving_face(50), codec=codec) for suffix, codec in KINDS]
    for number in range(count):
        source = whole[number % len(whole)]
        (folder / "in" / f"{number:03d}{source.suffix}").write_bytes(mutate(source.read_bytes(), rng))
    out = folder / "out"
    done = subprocess.run(
        command(folder / "in", "--out", out, "--workers", 2),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    wrong = [] if done.returncode in {0, 3} else [f"exit code {done.returncode}"]
    if "Traceback" in done.stderr:
        wrong.append(done.stderr)
    manifests = [read_json(path) for path in sorted(out.rglob("manifest.json"))]
    if len(manifests) != count:
        wrong.append(f"{count - len(manifests)} files have no manifest")
    for manifest in manifests:
        name, reason = manifest["summary"]["source"], manifest["reason"] or ""
        if "unexpected" in reason or "died" in reason:
            wrong.append(f"{name}: {reason}")
        if manifest["status"] != "failed":
            rows = [
                pq.read_metadata(out / name / f"{table}.parquet").num_rows for table in ("frames", "faces")
            ]
            if rows != [manifest["summary"]["frames"], manifest["summary"]["faces"]]:
                wrong.append(f"{name}: {rows} rows")
    print(f"{count} damaged files:", dict(Counter(manifest["status"] for manifest in manifests)))
    return wrong


def killed_runs(count: int, rng: np.random.Generator, folder: Path) -> list[str]:
    """Kill runs again and again; returns what is wrong."""
    frames = moving_face(60, 160, 96)
    video = encode(folder / "long.mp4", (frames + frames[::-1]) * 24)
    started = time.monotonic()
    subprocess.run(command(video, "--out", folder / "whole", "--quiet"), check=True, timeout=PATIENCE_S)
    whole_s = time.monotonic() - started
    wanted = [(folder / "whole" / "long" / table).read_bytes() for table in TABLES]
    wrong: list[str] = []
    kills = runs = 0
    while kills < count and not wrong:
        out, parts = folder / f"run{runs}", 0
        while True:
            process = subprocess.Popen(command(video, "--out", out, "--quiet"), stderr=subprocess.PIPE)
            try:
                process.wait(float(rng.uniform(0, 1.2 * whole_s)))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            error = process.communicate(timeout=PATIENCE_S)[1]
            kept = len(list((out / "long.begun" / "parts").glob("*.json")))
            if process.returncode == 0:
                break
            if process.returncode != -signal.SIGKILL or error:
                wrong.append(f"run {runs}: exit code {process.returncode}, {error.decode()}")
                break
            # Before the tables are made, parts only become more; after them they are gone.
            if (
                kept < parts
                and not (out / "long").exists()
                and not (out / "long.begun/manifest.json").exists()
            ):
                wrong.append(f"run {runs}: {parts} parts became {kept}")
            parts = kept
        if not wrong and [(out / "long" / table).read_bytes() for table in TABLES] != wanted:
            wrong.append(f"run {runs}: other tables")
        runs += 1
        print(f"{kills} kills in {runs} runs that ended, wrong: {len(wrong)}", flush=True)
    return wrong


def main() -> None:
    """Do both, and exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["PYTHONUNBUFFERED"] = "1"
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        wrong = damaged_files(arguments.files, rng, folder) + killed_runs(arguments.kills, rng, folder)
    for line in wrong:
        print("WRONG", line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
