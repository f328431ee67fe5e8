"""Cursors: a client's position in a study's record, as a short text, and the news after it.

Cursors derive from the record alone, so any instance can continue from one, without gaps or repeats. A
trial's epochs only grow and it ends once. So a cursor is the last epoch sent of each unfinished trial, and a
number below which all trials were sent to their end.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from study.record.rows import Point, TrialRecord
from study.service.schemas import EndedOut, News, PointOut
from trainable.contract import StudyError

MOST_NEWS = 500
"""Most points in one event."""

LONGEST_CURSOR = 4096
_NUMBER = "[0-9]{1,9}"
_TEXT = re.compile(rf"{_NUMBER}(_{_NUMBER}(\.{_NUMBER}|x))*")


class CursorError(StudyError):
    """The text is no cursor."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """All trials below `low` were sent to their end; those in `heard` to an epoch, or to their end (None)."""

    low: int = 0
    heard: Mapping[int, int | None] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = (f"{n}x" if epoch is None else f"{n}.{epoch}" for n, epoch in sorted(self.heard.items()))
        return "_".join([str(self.low), *parts])

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor of a text that `str` wrote. CursorError if it is none."""
        if len(text) > LONGEST_CURSOR or not _TEXT.fullmatch(text):
            raise CursorError("after: this is no cursor; use the id of an event, or the `cursor` of a study")
        low, *parts = text.split("_")
        heard: dict[int, int | None] = {}
        for part in parts:
            number, _, epoch = part.rstrip("x").partition(".")
            heard[int(number)] = int(epoch) if epoch else None
        return cls(int(low), heard)


def news(
    cursor: Cursor, records: Mapping[int, TrialRecord], points: Mapping[int, Sequence[Point]]
) -> Iterator[tuple[News, Cursor]]:
    """News after `cursor`, in pieces, each with the cursor after it.

    `points` has the points of each trial by epoch, for an ended trial all of them.
    """
    heard, low = dict(cursor.heard), cursor.low
    fresh: list[PointOut] = []
    ended: list[EndedOut] = []
    for number in sorted(n for n in records if n >= low):
        last = heard.get(number, 0)
        if last is None:
            continue
        for point in points.get(number, ()):
            if point.epoch <= last:
                continue
            fresh.append(PointOut(trial=point.trial, epoch=point.epoch, **point.metrics))
            heard[number] = point.epoch
            if len(fresh) >= MOST_NEWS:
                low = _settled(low, heard)
                yield News(points=fresh, trials=ended), Cursor(low, dict(heard))
                fresh, ended = [], []
        if records[number].state != "running":
            ended.append(EndedOut.model_validate(records[number]))
            heard[number] = None
    if fresh or ended:
        low = _settled(low, heard)
        yield News(points=fresh, trials=ended), Cursor(low, dict(heard))


def position(records: Mapping[int, TrialRecord], points: Mapping[int, Sequence[Point]]) -> Cursor:
    """The cursor at the end of the record."""
    heard: dict[int, int | None] = {
        n: points[n][-1].epoch if r.state == "running" else None
        for n, r in records.items()
        if r.state != "running" or points.get(n)
    }
    return Cursor(_settled(0, heard), heard)


def _settled(low: int, heard: dict[int, int | None]) -> int:
    """The number below which all trials were sent to their end; removes these from `heard`."""
    while heard.get(low, 0) is None:
        del heard[low]
        low += 1
    return low
