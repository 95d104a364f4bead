"""Annotate last night's footage: what is due, once, and never twice at the same time.

    python pipelines/nightly_footage.py pipelines/nightly_footage.toml

Exit codes: 0 all is well, or there is no footage; 1 something could not be read or written, the folder of
footage among it; 2 the settings cannot be; 3 some sources failed or are partial, and are listed; 75 another
run is still at work (EX_TEMPFAIL: try again).
A run that was stopped goes on where it was with the next start. See nightly_footage.crontab and
nightly_footage.timer beside this file for when to start it.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import fer_batch
from fer_batch.annotation import Models, Todo
from fer_batch.errors import EXIT_PARTIAL, NothingFoundError
from fer_batch.settings import AnnotateSettings, Count, Settings, build, load_toml
from fer_batch.storage import writing

EXIT_BUSY = 75

log = logging.getLogger("nightly_footage")


@dataclass(frozen=True)
class NightlySettings(Settings):
    """The TOML file: folders, and `annotate`'s own settings under [annotate]."""

    input: str
    """Folder of footage."""
    output: str
    """Folder of results."""
    model: str = "default"
    workers: Count = 1
    retry: bool = False
    """Do partial and failed sources again every night."""
    annotate: AnnotateSettings = field(default_factory=AnnotateSettings)


def run(settings: NightlySettings) -> int:
    """Annotate what is due; returns the exit code."""
    output = Path(settings.output)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    lock = output / ".nightly.lock"
    with writing(lock):
        try:
            held = FileLock(lock, timeout=0).acquire()
        except Timeout:  # an OSError too
            log.error("another run is still at work in %s", output)
            return EXIT_BUSY
    try:
        with held:
            result = fer_batch.annotate(
                [settings.input],
                output,
                settings.annotate,
                models=Models(classifier=settings.model),
                # One video that takes all memory must not keep the job from the others, night after night.
                todo=Todo(retry=settings.retry, workers=settings.workers, apart=True),
            )
    except NothingFoundError as error:
        log.info("nothing to do: %s", error)
        return 0
    done = sum(due.to_do for due in result.due.values())
    frames = sum(row["frames"] for row in result.rows)
    log.info(
        "%d sources, %d done now; %d frames in all; %s",
        len(result.rows),
        done,
        frames,
        output / "summary.csv",
    )
    for row in result.troubled:
        log.warning("%s %s: %s", row["status"], row["source"], row["reason"])
    return EXIT_PARTIAL if result.troubled else 0


def main(arguments: list[str]) -> int:
    """Read the settings file named on the command line, and run."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    if len(arguments) != 1:
        print("usage: nightly_footage.py SETTINGS.toml", file=sys.stderr)
        return 2
    try:
        values: dict[str, Any] = load_toml(Path(arguments[0]))
        return run(build(NightlySettings, values, origin=arguments[0]))
    except fer_batch.FerBatchError as error:
        log.error("%s", error)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
