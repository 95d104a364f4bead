"""Whether memory grows with a video's length: a minute of it beside an hour.

    python benchmarks/memory.py VIDEO [--minutes 60]

VIDEO is repeated, without encoding it again, until it is long enough. Each length is annotated, every
frame of it, by a process of its own, whose peak resident set is read when it has ended.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import av


def repeated(video: Path, seconds: float, path: Path) -> Path:
    """The packets of a video again and again, until it is so long."""
    with av.open(str(path), "w") as target:
        offset, stream = 0, None
        while True:
            with av.open(str(video)) as source:
                template = source.streams.video[0]
                stream = stream or target.add_stream_from_template(template)
                for packet in source.demux(template):
                    if packet.dts is not None and packet.pts is not None:
                        packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                        packet.stream = stream
                        target.mux(packet)
                if template.duration is None or template.time_base is None:
                    sys.exit(f"{video} states no duration")
                offset += template.duration
                if offset * template.time_base >= seconds:
                    return path


def peak_mb(video: Path) -> float:
    """Peak resident set, in MB, of a process that annotates a video."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "fer_batch", "annotate", str(video), "--out", out, "--quiet"]
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"annotate ended with {os.waitstatus_to_exitcode(status)}")
        return usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        short, long = (
            peak_mb(repeated(arguments.video, 60 * minutes, Path(made) / f"{minutes:g}.mp4"))
            for minutes in (1.0, arguments.minutes)
        )
    print(f"peak resident set: 1 minute {short:.0f} MB, {arguments.minutes:g} minutes {long:.0f} MB")
    print(f"{long / short - 1:+.1%}")


if __name__ == "__main__":
    main()
