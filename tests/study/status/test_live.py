"""The display of a study never ends its run, even if the record is away or the output closed."""

from io import StringIO

import pytest
from command import until
from rich.console import Console

from study.record.backends.backend import DatabaseAwayError
from study.record.reader import Reader
from study.signals import Interrupt
from study.status.live import watch


class Closed(StringIO):
    """An output that raises for every write, and counts the writes."""

    tried = 0

    def write(self, _text: str) -> int:
        self.tried += 1
        raise OSError("nobody reads it")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("study.status.live.LOG_EVERY_S", 0.01)
    monkeypatch.setattr("study.status.live.WAIT_PER_READ", 0)


def test_a_record_that_is_away_at_first_is_shown_when_it_is_back(open_ledger, tmp_path, monkeypatch):
    """The terminal has no traceback, and the run is shown."""
    open_ledger()
    read, away, shown = Reader.read, [True, True], StringIO()

    def read_late(*arguments, **named):
        if away:
            away.pop()
            raise DatabaseAwayError("the server does not answer")
        return read(*arguments, **named)

    monkeypatch.setattr(Reader, "read", read_late)
    with watch(tmp_path / "formula", Interrupt(), console=Console(file=shown)):
        until(lambda: "formula: 0%" in shown.getvalue(), "a line")
    assert not away


def test_closed_output_ends_only_the_display(open_ledger, tmp_path):
    """The thread ends without an error when it cannot print."""
    open_ledger()
    closed = Closed()
    with watch(tmp_path / "formula", Interrupt(), console=Console(file=closed)) as tell:
        until(lambda: closed.tried, "a line")
        tell("the record cannot be written")
    assert closed.tried > 1
