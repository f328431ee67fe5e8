"""A cache of the studies of one folder: a study is read again only if its record may have changed.

An entry is valid while the record's version token is the same. A record that is being written has no token;
its entry is valid for a moment.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from threading import Condition, Lock
from typing import Generic, TypeVar

from study.record.backends.backend import VersionToken
from study.record.location import DATABASE_ERRORS, holds_study, studies
from study.record.reader import Reader
from study.record.rows import Point, TrialRecord
from study.record.version_tokens import VersionTokens
from study.service import summary_file
from study.service.cursor import position
from study.service.schemas import Study, Summary
from study.service.serialize import study_of, summary_of, unknown
from study.spec import StudySpec
from study.spec.study import NAME
from study.status.snapshot import Snapshot, snapshot
from trainable.contract import StudyError, first_line

POSTED = "posted.toml"
"""File of a posted spec, until the first run creates the record."""

FRESH_S = 1.0
"""Seconds for which an entry of a changing study is valid, unless reading takes long: see LOOKING."""

UNREADABLE_S = 10.0
"""Seconds until a list reads an unreadable record again."""

LISTING_S = 0.1
"""Most seconds for which a list reads records."""

LOOKING = 9
"""A changing study is read again after LOOKING times the seconds of the last read, or more."""

STUDIES_KEPT = 16
"""Studies kept in full; of all others, only the summary is kept."""

T = TypeVar("T")


class NoStudyError(StudyError):
    """No study has this name."""


@dataclass(frozen=True)
class Look:
    """A study at one moment, with all its trials by number. `seen` is None while it has no record."""

    spec: StudySpec
    seen: Snapshot | None
    records: Mapping[int, TrialRecord]

    @cached_property
    def points(self) -> Mapping[int, Sequence[Point]]:
        """The points of each trial, by epoch."""
        points = () if self.seen is None else self.seen.points
        return {trial: list(group) for trial, group in groupby(points, key=lambda point: point.trial)}

    @cached_property
    def summary(self) -> Summary:
        """The study as a list shows it."""
        return summary_of(self.spec, self.seen)

    @cached_property
    def study(self) -> Study:
        """The study as the service shows it, without its job."""
        at = position(self.records, self.points)
        return study_of(self.spec, self.seen, self.summary, self.records, at)

    @cached_property
    def line(self) -> str:
        """The study as one line of JSON."""
        return self.study.model_dump_json()


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """A value made from a record; valid while its version token is `version`, or until a monotonic time."""

    value: T
    version: VersionToken | None
    until: float

    def holds(self, now: VersionToken | None) -> bool:
        """True if the value is valid for a record whose version token is `now`."""
        return (self.version is not None and self.version == now) or time.monotonic() < self.until

    @classmethod
    def made(cls, read: Callable[[], tuple[T, bool]], now: VersionToken | None) -> "Kept[T]":
        """The entry of the value that `read` returns, for a record whose version token is `now`. `read` also
        returns True if the entry must expire, because a run may die without a change of the record.
        """
        began = time.monotonic()
        value, running = read()
        ended = time.monotonic()
        return cls(value, None if running else now, ended + max(FRESH_S, LOOKING * (ended - began)))


class StudyCache:
    """The studies in the folder `home`. Thread-safe."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.versions = VersionTokens()
        self._lock = Lock()
        self._lists, self._idle = 0, Condition()
        self._locks: dict[str, Lock] = {}
        self._looks: OrderedDict[str, Kept[Look]] = OrderedDict()
        self._summaries: dict[str, Kept[Summary]] = {}

    def names(self) -> list[str]:
        """The sorted names of all studies, including posted ones without a record."""
        posted = {path.parent.name for path in self.home.glob(f"*/{POSTED}")}
        found = posted | {folder.name for folder in studies(self.home)}
        return sorted(name for name in found if NAME.fullmatch(name))

    def holds(self, name: str) -> bool:
        """True if there is a study of this name."""
        folder = self.home / name
        return NAME.fullmatch(name) is not None and (holds_study(folder) or (folder / POSTED).is_file())

    def folder(self, name: str) -> Path:
        """The folder of a study. NoStudyError if there is none."""
        if not self.holds(name):
            raise NoStudyError(f"no study {name!r} here; GET /studies lists all")
        return self.home / name

    def look(self, name: str) -> Look:
        """The present study. NoStudyError if there is none; errors of the database pass."""
        folder = self.folder(name)
        with self._alone(name):
            kept, now = self._looks.get(name), self.versions.of(folder)
            if kept is None or not kept.holds(now):
                kept = Kept.made(partial(_looked, folder), now)
                self._summaries[name] = Kept(kept.value.summary, kept.version, kept.until)
                if kept.version is not None:
                    summary_file.write(folder, kept.version, kept.value.summary)
            with self._lock:
                self._looks[name] = kept
                self._looks.move_to_end(name)
                if len(self._looks) > STUDIES_KEPT:
                    self._looks.popitem(last=False)
        return kept.value

    def summaries(self, names: Sequence[str], *, within_s: float = LISTING_S) -> list[Summary]:
        """The summaries of these studies.

        Reads those that may have changed, the oldest entry first, then those without an entry. After
        `within_s` seconds, the others get their last summary, or "unread".
        """
        with self._idle:
            self._lists += 1
        try:
            return self._summaries_of(names, within_s)
        finally:
            with self._idle:
                self._lists -= 1
                self._idle.notify_all()

    def warm(self) -> None:
        """Read every study once; wait while a list is being made."""
        for name in self.names():
            with self._idle:
                self._idle.wait_for(lambda: not self._lists)
            self._summaries_of([name], LISTING_S)

    def _summaries_of(self, names: Sequence[str], within_s: float) -> list[Summary]:
        versions = self.versions.all(self.home / name for name in names)
        ends = time.monotonic() + within_s
        summaries = {name: self._known(name, versions[self.home / name], ends) for name in names}
        old = {name: kept.until for name in names if (kept := self._summaries.get(name)) is not None}
        for name in sorted((n for n in names if summaries[n] is None), key=lambda n: old.get(n, math.inf)):
            if time.monotonic() < ends:
                summaries[name] = self._read(name)
        return [summaries[name] or self._before(name) for name in names]

    def _known(self, name: str, now: VersionToken | StudyError | None, ends: float) -> Summary | None:
        """The summary of a study whose version token is `now`; None if its record must be read.

        Until the monotonic time `ends`, it may be from the summary file of an earlier service.
        """
        if isinstance(now, StudyError):
            return unknown(name, "unreadable", self.error_text(now))
        kept = self._summaries.get(name)
        if kept is not None and kept.holds(now):
            return kept.value
        noted = summary_file.read(self.home / name, now) if time.monotonic() < ends else None
        if noted is not None:
            self._summaries[name] = Kept(noted, now, 0.0)
        return noted

    def _read(self, name: str) -> Summary:
        """The summary of a study, read if it may have changed; with the reason if it is unreadable."""
        try:
            return self.look(name).summary
        except (StudyError, OSError, *DATABASE_ERRORS) as error:  # list the other studies
            summary = unknown(name, "unreadable", self.error_text(error))
        self._summaries[name] = Kept(summary, None, time.monotonic() + UNREADABLE_S)
        return summary

    def _before(self, name: str) -> Summary:
        """The summary of the last read; "unread" if there is none."""
        kept = self._summaries.get(name)
        if kept is None:
            return unknown(name, "unread", "not read yet; ask again in a moment")
        return kept.value

    def error_text(self, error: Exception) -> str:
        """The message of an error, without the path of the home."""
        message = str(error) if isinstance(error, StudyError) else first_line(error)
        return message.replace(f"{self.home.parent}/", "")

    def close(self) -> None:
        """Close all databases."""
        self.versions.close()

    def forget(self, name: str) -> None:
        """Drop the entry of a study, after an action on it."""
        with self._alone(name):
            self._looks.pop(name, None)
            self._summaries.pop(name, None)

    def _alone(self, name: str) -> Lock:
        with self._lock:
            return self._locks.setdefault(name, Lock())


def _read(folder: Path) -> Look:
    if not holds_study(folder):
        return Look(StudySpec.load(folder / POSTED), None, {})
    with closing(Reader.read(folder)) as ledger:
        records = {r.trial: r for r in ledger.records()}  # read first, so that ended trials have all points
        seen = snapshot(ledger)
    return Look(seen.spec, seen, records)


def _looked(folder: Path) -> tuple[Look, bool]:
    """A study, and True if it has no record or is running."""
    look = _read(folder)
    return look, look.seen is None or look.seen.state == "running"
