"""The folders on a cluster's head that hold submitted studies, noted in its user's state folder.

Ray's table of jobs names each study's home, and is lost when the head restarts.
`python -m study.remote.homes NAME COMMAND …` runs `study COMMAND …` in the home of the study NAME.
"""

import os
import sys
from hashlib import sha256
from pathlib import Path

from platformdirs import user_state_path

from trainable import disk

STUDIES_NAME = "studies"
"""The folder in a home that contains its studies."""

NOTES = "homes"
"""The folder of the notes: one file for each home contains its path, so that two can be noted at once."""


def note(home: Path) -> None:
    """Note durably that studies lie in this home; it becomes the latest one."""
    path = os.fsencode(home.resolve())
    folder = _notes()
    folder.mkdir(parents=True, exist_ok=True)
    disk.write_atomically(folder / sha256(path).hexdigest(), path)


def known() -> list[Path]:
    """The noted homes that still exist, the latest first."""
    notes = sorted(_notes().glob("[0-9a-f]*"), key=lambda note: -note.stat().st_mtime_ns)
    return [home for note in notes if (home := Path(os.fsdecode(note.read_bytes()))).is_dir()]


def of(study: str) -> Path:
    """The home of a study: the working folder if it holds the study, else the latest noted home that does.

    The working folder if none does.
    """
    from study.record.location import holds_study  # takes a third of a second to import

    here = Path.cwd()
    return next((home for home in (here, *known()) if holds_study(home / STUDIES_NAME / study)), here)


def _notes() -> Path:
    return user_state_path("pareto-study") / NOTES


if __name__ == "__main__":
    name, *command = sys.argv[1:]
    os.chdir(of(name))
    os.execv(sys.executable, [sys.executable, "-P", "-m", "study", *command])  # noqa: S606 - no shell is meant
