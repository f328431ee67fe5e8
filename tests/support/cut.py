"""A kill between any two statements that are sent to a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

import sqlalchemy as sa


class CutError(Exception):
    """The kill."""


@contextmanager
def counted(most: int | None) -> Iterator[list[int]]:
    """Statements that are sent to a database, as a list of one number; after `most` comes the kill."""
    sent, here = [0], get_ident()

    def count(*_: object) -> None:
        if get_ident() != here:  # a thread that an earlier test has left
            return
        if sent[0] == most:
            raise CutError
        sent[0] += 1

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
