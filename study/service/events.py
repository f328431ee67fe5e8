"""Server-sent events of one study, made from its record alone.

`news` has points and ends of trials, each told once: its id is a cursor, and whoever comes back with it, to
any instance, goes on from there. `study` is how the study stands; the last one counts, so it has no id.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from study.record.location import DATABASE_ERRORS
from study.service.cache import Look
from study.service.cursor import Cursor, news
from trainable.contract import StudyError

LOOK_S = 1.0
"""How often a stream looks whether there is anything new; what it sees is no younger."""

QUIET_S = 15.0
"""After so much silence a comment is sent: proxies close what says nothing."""

LASTS_S = 600.0
"""How long a stream lasts; a client that comes back shows its token again."""


async def stream(
    look: Callable[[], Look],
    line: Callable[[Look], str],
    cursor: Cursor,
    *,
    follow: bool = True,
    lasts_s: float = LASTS_S,
) -> AsyncIterator[bytes]:
    """The events after `cursor`, of a study that `look` sees and `line` tells: the end comes after its news.

    Without `follow` they are only those that are on record now.
    """
    ends, spoken = time.monotonic() + lasts_s, time.monotonic()
    known: Look | None = None
    told = ""
    yield b"retry: 2000\n\n"
    while True:
        try:
            seen, said = await asyncio.to_thread(_seen, look, line)
        except (StudyError, OSError, *DATABASE_ERRORS):  # whoever comes back is told why, with a status
            return
        if seen is not known:
            known = seen
            for piece, cursor in news(cursor, seen.records, seen.points):  # noqa: B020 - it goes on from the last
                yield _event("news", piece.model_dump_json(), cursor)
        if said != told:
            yield _event("study", said)
            told, spoken = said, time.monotonic()
        if not follow or time.monotonic() > ends:
            return
        if time.monotonic() - spoken > QUIET_S:
            yield b": still here\n\n"
            spoken = time.monotonic()
        await asyncio.sleep(LOOK_S)


def _seen(look: Callable[[], Look], line: Callable[[Look], str]) -> tuple[Look, str]:
    seen = look()
    return seen, line(seen)


def _event(kind: str, data: str, cursor: Cursor | None = None) -> bytes:
    """One event; JSON has no line breaks."""
    number = "" if cursor is None else f"id: {cursor}\n"
    return f"{number}event: {kind}\ndata: {data}\n\n".encode()
