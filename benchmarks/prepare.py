"""How fast `prepare` is, beside the loop over pandas and Pillow that tutorials use.

    python benchmarks/prepare.py fer2013.csv [--rows N] [--repeat N]

Each run is a process of its own, start and imports included, and writes to a new folder beside the
CSV. The two take turns, so that neither has the disk's cache to itself; the medians are compared.
`prepare` also hashes the source and every picture, writes Parquet, and has it synced; the loop does
not. Needs `fer-batch[test]` (pandas; Pillow comes with matplotlib) and Linux or macOS.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

FER_BATCH = "import sys, fer_batch; fer_batch.prepare(sys.argv[1], sys.argv[2])"

USUAL_LOOP = """
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

out = Path(sys.argv[2])
table = pd.read_csv(sys.argv[1])
for index, row in table.iterrows():
    pixels = np.array(row["pixels"].split(), dtype="uint8").reshape(48, 48)
    folder = out / row["Usage"] / str(row["emotion"])
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{index:05d}.png")
"""


def measure(program: str, csv: Path, out: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of a Python program that turns `csv` into the folder `out`."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, str(csv), str(out)])
    # A process starts with the peak of the one that starts it: this one stays small for that reason.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"a run failed with exit code {process.returncode}")
    return seconds, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """Measure both and print seconds, memory and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("csv", type=Path, help="fer2013.csv")
    parser.add_argument("--rows", type=int, help="only the first N rows")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each")
    arguments = parser.parse_args()
    programs = {"pandas + Pillow": USUAL_LOOP, "fer-batch prepare": FER_BATCH}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory(dir=arguments.csv.parent) as folder:
        csv = arguments.csv
        if arguments.rows is not None:
            csv = Path(folder) / "fer2013.csv"
            with arguments.csv.open("rb") as source, csv.open("wb") as part:
                part.writelines(islice(source, arguments.rows + 1))
        for turn in range(arguments.repeat):
            for name, program in programs.items():
                # Nothing is deleted before the end: ext4 creates files slowly just after many were deleted.
                runs[name].append(measure(program, csv, Path(folder) / f"{turn} {name}"))
    medians = {name: statistics.median(seconds for seconds, _ in values) for name, values in runs.items()}
    for name, values in runs.items():
        listed = ", ".join(f"{seconds:.1f}" for seconds, _ in values)
        print(f"{name:18} {medians[name]:7.1f} s ({listed})  peak {max(mb for _, mb in values):6.0f} MB")
    print(f"{medians['pandas + Pillow'] / medians['fer-batch prepare']:.1f} times as fast")


if __name__ == "__main__":
    main()
