"""The studies of one folder, each read again only where its record may have changed.

What is kept in memory can be had again from the records at any time. It holds while the record's mark does;
one that is being written has none, and is believed for a moment.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from threading import Condition, Lock
from typing import Generic, TypeVar

from study.record.location import DATABASE_ERRORS, holds_study, studies
from study.record.reader import Reader
from study.record.rows import Point, Record
from study.record.version_tokens import Mark, Marks
from study.service import summary_file
from study.service.cursor import position
from study.service.schemas import Study, Summary
from study.service.serialize import study_of, summary_of, unread, unreadable
from study.spec import StudySpec
from study.spec.study import NAME
from study.status.snapshot import Snapshot, snapshot
from trainable.contract import StudyError

POSTED = "posted.toml"
"""A spec that was posted, until its first run has a record."""

FRESH_S = 1.0
"""How old a look at a study that changes may be, where looking does not take long."""

UNREADABLE_S = 10.0
"""How long a record that could not be read is left alone by a list."""

LISTING_S = 0.1
"""How long a list reads records, whatever there are."""

LOOKING = 9
"""A study that changes is looked at again after so many times what the last look took."""

KEPT = 16
"""Studies that are kept in full; of the others only the summary."""

T = TypeVar("T")


class NoStudyError(StudyError):
    """There is no study of this name."""


@dataclass(frozen=True)
class Look:
    """A study at one moment, and all its trials by number. Of one that was posted and has no record yet,
    `seen` is None.
    """

    spec: StudySpec
    seen: Snapshot | None
    records: Mapping[int, Record]

    @cached_property
    def points(self) -> Mapping[int, Sequence[Point]]:
        """The points of each trial, by epoch."""
        points = () if self.seen is None else self.seen.points
        return {trial: list(group) for trial, group in groupby(points, key=lambda point: point.trial)}

    @cached_property
    def summary(self) -> Summary:
        """What a list shows of it."""
        return summary_of(self.spec, self.seen)

    @cached_property
    def study(self) -> Study:
        """What is told of it, without the job."""
        at = position(self.records, self.points)
        return study_of(self.spec, self.seen, self.summary, self.records, at)

    @cached_property
    def line(self) -> str:
        """The same as one line of JSON."""
        return self.study.model_dump_json()


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    """Something that was made of a record: while its mark lasts, or until a time on the monotonic clock."""

    value: T
    mark: Mark | None
    until: float

    def holds(self, now: Mark | None) -> bool:
        return (self.mark is not None and self.mark == now) or time.monotonic() < self.until


class Shelf:
    """The studies in the folder `home`. May be asked from several threads."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.marks = Marks()
        self._lock = Lock()
        self._lists, self._idle = 0, Condition()
        self._locks: dict[str, Lock] = {}
        self._looks: OrderedDict[str, _Kept[Look]] = OrderedDict()
        self._summaries: dict[str, _Kept[Summary]] = {}

    def names(self) -> list[str]:
        """Every study's name, those that were only posted too."""
        posted = {path.parent.name for path in self.home.glob(f"*/{POSTED}")}
        found = posted | {folder.name for folder in studies(self.home)}
        return sorted(name for name in found if NAME.fullmatch(name))

    def holds(self, name: str) -> bool:
        """Whether there is a study of this name."""
        folder = self.home / name
        return NAME.fullmatch(name) is not None and (holds_study(folder) or (folder / POSTED).is_file())

    def folder(self, name: str) -> Path:
        """The folder of a study. NoStudyError where there is none."""
        if not self.holds(name):
            raise NoStudyError(f"{name!r} is no study here; GET /studies lists those there are")
        return self.home / name

    def look(self, name: str) -> Look:
        """The study as it stands. NoStudyError, or what a record that cannot be read raises."""
        folder = self.folder(name)
        with self._alone(name):
            kept, now = self._looks.get(name), self.marks.of(folder)
            if kept is None or not kept.holds(now):
                kept = _kept(folder, now)
                self._summaries[name] = _Kept(kept.value.summary, kept.mark, kept.until)
                if kept.mark is not None:
                    summary_file.write(folder, kept.mark, kept.value.summary)
            with self._lock:
                self._looks[name] = kept
                self._looks.move_to_end(name)
                if len(self._looks) > KEPT:
                    self._looks.popitem(last=False)
        return kept.value

    def summaries(self, names: Sequence[str], *, within_s: float = LISTING_S) -> list[Summary]:
        """What a list shows of these studies.

        What may have changed is read again, the longest known first, and then what nobody has read yet. Where
        that takes longer than `within_s` the rest is told as it was, or as "unread".
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
        """Read every study once, so that lists need not; while a list is made it comes first."""
        for name in self.names():
            with self._idle:
                self._idle.wait_for(lambda: not self._lists)
            self._summaries_of([name], LISTING_S)

    def _summaries_of(self, names: Sequence[str], within_s: float) -> list[Summary]:
        marks = self.marks.all(self.home / name for name in names)
        ends = time.monotonic() + within_s
        told = {name: self._known(name, marks[self.home / name], ends) for name in names}
        old = {name: kept.until for name in names if (kept := self._summaries.get(name)) is not None}
        for name in sorted((n for n in names if told[n] is None), key=lambda n: old.get(n, math.inf)):
            if time.monotonic() < ends:
                told[name] = self._read(name)
        return [told[name] or self._before(name) for name in names]

    def _known(self, name: str, now: Mark | StudyError | None, ends: float) -> Summary | None:
        """What a list shows of a study whose mark is `now`; None where it has to be read for that.

        What an earlier service noted is looked for until `ends`.
        """
        if isinstance(now, StudyError):
            return unreadable(name, self.told(now))
        kept = self._summaries.get(name)
        if kept is not None and kept.holds(now):
            return kept.value
        noted = summary_file.read(self.home / name, now) if time.monotonic() < ends else None
        if noted is not None:
            self._summaries[name] = _Kept(noted, now, 0.0)
        return noted

    def _read(self, name: str) -> Summary:
        """What a list shows of a study, read where it may have changed; why not, where it cannot be read."""
        try:
            return self.look(name).summary
        except (StudyError, OSError, *DATABASE_ERRORS) as error:  # the others are still worth a line
            summary = unreadable(name, self.told(error))
        self._summaries[name] = _Kept(summary, None, time.monotonic() + UNREADABLE_S)
        return summary

    def _before(self, name: str) -> Summary:
        """What a list showed of a study when it was last read."""
        kept = self._summaries.get(name)
        return unread(name) if kept is None else kept.value

    def told(self, error: Exception) -> str:
        """What an error says, without where the studies lie on this machine."""
        said = str(error) if isinstance(error, StudyError) else str(error).partition("\n")[0]
        return said.replace(f"{self.home.parent}/", "")

    def close(self) -> None:
        """Let go of every database."""
        self.marks.close()

    def forget(self, name: str) -> None:
        """Read this study anew when it is next asked for: something was done to it."""
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
        records = {r.trial: r for r in ledger.records()}  # first: of those that have ended all points follow
        seen = snapshot(ledger)
    return Look(seen.spec, seen, records)


def _kept(folder: Path, now: Mark | None) -> _Kept[Look]:
    """A look with how long it holds: a study that runs may end without a word on record."""
    began = time.monotonic()
    look = _read(folder)
    ended = time.monotonic()
    settled = look.seen is not None and look.seen.state != "running"
    until = ended + max(FRESH_S, LOOKING * (ended - began))
    return _Kept(look, now if settled else None, until)
