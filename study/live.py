"""A study while it runs: the live view in a terminal, a log line elsewhere; and the user's interrupt."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

from rich.console import Console
from rich.live import Live

from study.interrupt import Interrupt
from study.ledger import Ledger
from study.progress import Snapshot, snapshot
from study.storage import STORAGE_ERRORS
from study.view import line, view

LOOK_S = 0.25
"""How often the user's interrupt is looked at."""

LIVE_EVERY_S, LOG_EVERY_S = 1.0, 10.0
COST = 20
"""Looking at the record may take one part in so many of the time, however large it grows."""


@contextmanager
def watch(folder: Path, interrupt: Interrupt, *, console: Console) -> Iterator[Callable[[str], None]]:
    """Show the study in `folder` while the body runs it, and pass the user's interrupt on to the record.

    Yields what says a line beside it.
    """
    ended = Event()
    tell = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        if console.is_terminal:
            every_s, show = LIVE_EVERY_S, lambda seen: live.update(view(seen), refresh=True)
        else:
            every_s, show = LOG_EVERY_S, lambda seen: tell(line(seen))
        thread = Thread(target=_watch, args=(folder, interrupt, ended, every_s, show, tell), name="progress")
        thread.start()
        interrupt.farewell = partial(_farewell, live, tell)
        try:
            yield tell
        finally:
            ended.set()
            thread.join()


def _farewell(live: Live, tell: Callable[[str], None], words: str) -> None:
    """Give the terminal back as it was, with the last words."""
    live.stop()
    if words:
        tell(words)


def _watch(
    folder: Path,
    interrupt: Interrupt,
    ended: Event,
    every_s: float,
    show: Callable[[Snapshot], None],
    tell: Callable[[str], None],
) -> None:
    ledger, told, asked, due = Ledger.read(folder), False, False, time.monotonic() + every_s
    while not ended.wait(LOOK_S):
        began = time.monotonic()
        if interrupt.asked.is_set() and not told:
            tell("stopping; a second signal ends the run at once")
            told = True
        try:
            asked = asked or (told and ledger.request_stop())
            if began < due:
                continue
            show(snapshot(ledger))
        except STORAGE_ERRORS:  # whoever runs the study says so
            ended.wait(every_s)
        due = time.monotonic() + max(every_s, COST * (time.monotonic() - began))
    ledger.close()
