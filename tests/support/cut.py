"""Simulate a kill between any two statements to a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

import sqlalchemy as sa


class CutError(Exception):
    """The simulated kill."""


@contextmanager
def counted(most: int | None) -> Iterator[list[int]]:
    """Count statements to a database, in a list of one number; raise CutError after `most`."""
    sent, here = [0], get_ident()

    def count(*_: object) -> None:
        if get_ident() != here:  # a thread of an earlier test
            return
        if sent[0] == most:
            raise CutError
        sent[0] += 1

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
