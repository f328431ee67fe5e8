"""Server-sent events of one study, made from its record alone.

`news` has new points and ended trials, each sent once. Its id is a cursor: a client that returns with it, to
any instance, continues from there. `study` is the state of the study; only the last counts, so it has no id.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from study.record.location import DATABASE_ERRORS
from study.service.cache import Look
from study.service.cursor import Cursor, news
from trainable.contract import StudyError

STREAM_LOOK_S = 1.0
"""Seconds between two reads of the record by a stream."""

QUIET_S = 15.0
"""Seconds of silence until a comment is sent, because proxies close silent connections."""

LASTS_S = 600.0
"""Seconds that a stream lasts; then the client reconnects and shows its token again."""


async def stream(
    look: Callable[[], Look],
    line: Callable[[Look], str],
    cursor: Cursor,
    *,
    follow: bool = True,
    lasts_s: float = LASTS_S,
) -> AsyncIterator[bytes]:
    """The events after `cursor`. `look` reads the study, and `line` makes its JSON; `news` precedes `study`.

    Without `follow`, only the events that are on record now.
    """
    ends, spoken = time.monotonic() + lasts_s, time.monotonic()
    known: Look | None = None
    sent = ""
    yield b"retry: 2000\n\n"
    while True:
        try:
            seen = await asyncio.to_thread(look)
            summary = await asyncio.to_thread(line, seen)
        except (StudyError, OSError, *DATABASE_ERRORS):
            return  # a client that reconnects gets the error, with a status
        if seen is not known:
            known = seen
            for piece, cursor in news(cursor, seen.records, seen.points):  # noqa: B020 - continues from the last
                yield _event("news", piece.model_dump_json(), cursor)
        if summary != sent:
            yield _event("study", summary)
            sent, spoken = summary, time.monotonic()
        if not follow or time.monotonic() > ends:
            return
        if time.monotonic() - spoken > QUIET_S:
            yield b": still here\n\n"
            spoken = time.monotonic()
        await asyncio.sleep(STREAM_LOOK_S)


def _event(kind: str, data: str, cursor: Cursor | None = None) -> bytes:
    """An event as bytes. `data` has no line breaks, because it is JSON."""
    number = "" if cursor is None else f"id: {cursor}\n"
    return f"{number}event: {kind}\ndata: {data}\n\n".encode()
