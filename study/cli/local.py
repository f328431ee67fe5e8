"""The studies of the working folder, by name."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trainable.contract import StudyError

if TYPE_CHECKING:
    from study.record.reader import Reader

STUDIES_FOLDER = Path("studies")
"""The folder of all studies, for every command."""


def homes(*, every: bool) -> "list[Path]":
    """The homes, folders that contain `studies`: this one and, with `every`, all noted ones."""
    if not every:
        return [Path()]
    from study.remote.homes import known

    return [Path(), *(home for home in known() if home != Path.cwd())]


def folder(name: str) -> Path:
    """The folder of a study. StudyError, with the names of those here, if there is none of this name."""
    from study.record.location import holds_study, studies
    from study.spec.study import NAME

    if not NAME.fullmatch(name) or not holds_study(STUDIES_FOLDER / name):
        known = [found.name for found in studies(STUDIES_FOLDER)]
        raise StudyError(f"no study {name!r} here; studies here: {', '.join(known) or 'none yet'}")
    return STUDIES_FOLDER / name


@contextmanager
def record(name: str) -> "Iterator[Reader]":
    """Open the record of a study for reading; close it at the end, so that only its file is left."""
    from study.record.reader import Reader

    with closing(Reader.read(folder(name))) as reader:
        yield reader
