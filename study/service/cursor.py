"""How far somebody has heard a study's record, as a short text; and what is new to them.

The text is made from the record alone, so any instance can go on from it, and what was told is neither told
again nor left out, whatever ended in between. A trial's epochs only grow and its end comes once: a number for
each trial that is under way, and one below which all have been told to their end, say it all.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from study.record.rows import Point, Record
from study.service.schemas import Ended, News
from study.service.schemas import Point as Told
from trainable.contract import StudyError

MOST = 500
"""Points told at once."""

LONGEST = 4096
_NUMBER = "[0-9]{1,9}"
_TEXT = re.compile(rf"{_NUMBER}(_{_NUMBER}(\.{_NUMBER}|x))*")


class CursorError(StudyError):
    """A text that is no cursor."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """All trials below `low` were told to their end; of those in `heard`, the points up to an epoch, or with
    None the end as well.
    """

    low: int = 0
    heard: Mapping[int, int | None] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = (f"{n}x" if epoch is None else f"{n}.{epoch}" for n, epoch in sorted(self.heard.items()))
        return "_".join([str(self.low), *parts])

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor that `str` wrote. CursorError where it wrote nothing like it."""
        if len(text) > LONGEST or not _TEXT.fullmatch(text):
            raise CursorError("after: this is no cursor; use the id of an event, or the `cursor` of a study")
        low, *parts = text.split("_")
        heard: dict[int, int | None] = {}
        for part in parts:
            number, _, epoch = part.rstrip("x").partition(".")
            heard[int(number)] = int(epoch) if epoch else None
        return cls(int(low), heard)


def news(
    cursor: Cursor, records: Mapping[int, Record], points: Mapping[int, Sequence[Point]]
) -> Iterator[tuple[News, Cursor]]:
    """What the record says beyond the cursor, in pieces, each with the cursor after it.

    `points` are those of each trial, by epoch; of a trial that has ended, all are there.
    """
    heard, low = dict(cursor.heard), cursor.low
    told: list[Told] = []
    ended: list[Ended] = []
    for number in sorted(n for n in records if n >= low):
        last = heard.get(number, 0)
        if last is None:
            continue
        for point in points.get(number, ()):
            if point.epoch <= last:
                continue
            told.append(_told(point))
            heard[number] = point.epoch
            if len(told) >= MOST:
                low = _settled(low, heard)
                yield News(points=told, trials=ended), Cursor(low, dict(heard))
                told, ended = [], []
        if (end := _end(records[number])) is not None:
            ended.append(end)
            heard[number] = None
    if told or ended:
        low = _settled(low, heard)
        yield News(points=told, trials=ended), Cursor(low, dict(heard))


def position(records: Mapping[int, Record], points: Mapping[int, Sequence[Point]]) -> Cursor:
    """The cursor of somebody who has heard all of it."""
    heard: dict[int, int | None] = {
        n: points[n][-1].epoch if r.state == "running" else None
        for n, r in records.items()
        if r.state != "running" or points.get(n)
    }
    return Cursor(_settled(0, heard), heard)


def _settled(low: int, heard: dict[int, int | None]) -> int:
    """The number below which all were told to their end; what it covers leaves `heard`."""
    while heard.get(low, 0) is None:
        del heard[low]
        low += 1
    return low


def _told(point: Point) -> Told:
    return Told(trial=point.trial, epoch=point.epoch, **point.metrics)


def _end(record: Record) -> Ended | None:
    if record.state == "running":
        return None
    return Ended(
        trial=record.trial,
        state=record.state,
        reason=record.reason,
        epochs=record.epochs,
        epoch=record.epoch,
        finished=record.finished,
    )
