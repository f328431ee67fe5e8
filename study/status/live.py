"""Progress of a running study: a live view in a terminal or a notebook, log lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread

from rich.console import Console
from rich.live import Live

from study.printable import printable_lines
from study.record.location import DATABASE_ERRORS
from study.record.reader import WAIT_PER_READ, Reader
from study.signals import Interrupt
from study.status.notebook import NotebookCell
from study.status.snapshot import Snapshot, snapshot
from study.status.text import line, view
from trainable.contract import StudyError

LIVE_EVERY_S, LOG_EVERY_S = 1.0, 10.0

Show = Callable[[Snapshot], None]

UNHEARD = (OSError, SystemExit)
"""Errors of printing to a closed stdout: Rich turns a broken pipe into SystemExit."""


@contextmanager
def watch(
    folder: Path, interrupt: Interrupt, *, console: Console, command: bool = True
) -> Iterator[Callable[[str], None]]:
    """Show the study in `folder` while the body runs, as long as the output is open.

    Yields a function that prints a line beside it. A second signal may end the process of a `command`.
    """
    ended = Event()
    echo = partial(_tell, console)
    live = Live(console=console, auto_refresh=False, transient=True)
    every_s, show = _showing(console, live)
    thread = Thread(target=_watch, args=(folder, ended, every_s, show, console.is_jupyter), name="progress")
    if not console.is_jupyter:
        live.start()
    thread.start()
    if command:
        interrupt.farewell = partial(_farewell, live, echo)
    try:
        yield echo
    finally:
        ended.set()
        thread.join()
        with suppress(*UNHEARD):
            live.stop()


def _showing(console: Console, live: Live) -> tuple[float, Show]:
    """The interval in seconds between updates, and the function that shows a study."""
    if console.is_jupyter:
        cell = NotebookCell()
        return LIVE_EVERY_S, lambda seen: cell.show(view(seen))
    if console.is_terminal:
        return LIVE_EVERY_S, lambda seen: live.update(view(seen), refresh=True)
    return LOG_EVERY_S, lambda seen: _print(console, line(seen))


def _print(console: Console, words: str) -> None:
    console.print(printable_lines(words), soft_wrap=True, highlight=False, markup=False)


def _tell(console: Console, words: str) -> None:
    """Print a line; ignore a closed output, because the caller has more to do."""
    with suppress(*UNHEARD):
        _print(console, words)


def _farewell(live: Live, echo: Callable[[str], None], words: str) -> None:
    """Restore the terminal and print the last words."""
    with suppress(*UNHEARD):
        live.stop()
    echo(words)


def _watch(folder: Path, ended: Event, every_s: float, show: Show, stays: bool) -> None:
    """Show the study every `every_s` seconds until it has `ended`, or the output is closed.

    An output that `stays` shows the end as well.
    """
    ledger, wait_s, over = None, every_s, False
    with ExitStack() as stack:
        while not over:
            over = ended.wait(wait_s)
            if over and not stays:
                return
            began = time.monotonic()
            try:
                ledger = ledger or stack.enter_context(closing(Reader.read(folder)))
                seen = snapshot(ledger)
            except (StudyError, *DATABASE_ERRORS):  # the record is away, which the run itself reports
                continue
            try:
                show(seen)
            except UNHEARD:
                return
            wait_s = max(every_s, WAIT_PER_READ * (time.monotonic() - began))
