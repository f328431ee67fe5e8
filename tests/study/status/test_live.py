"""What shows a study while it runs ends no run: its record may be away, and its output take nothing."""

from io import StringIO

import pytest
from command import until
from rich.console import Console

from study.record.reader import Reader
from study.record.sqlite import AwayError
from study.signals import Interrupt
from study.status.live import watch


class Closed(StringIO):
    """An output that takes nothing, and counts what it was given."""

    tried = 0

    def write(self, _text: str) -> int:
        self.tried += 1
        raise OSError("nobody reads it")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("study.status.live.LOG_EVERY_S", 0.01)
    monkeypatch.setattr("study.status.live.COST", 0)


def test_a_record_that_is_away_at_first_is_shown_when_it_is_back(open_ledger, tmp_path, monkeypatch):
    """Catches: a traceback over the user's terminal, and a run that is never shown."""
    open_ledger()
    read, away, shown = Reader.read, [True, True], StringIO()

    def read_late(*arguments, **named):
        if away:
            away.pop()
            raise AwayError("the server does not answer")
        return read(*arguments, **named)

    monkeypatch.setattr(Reader, "read", read_late)
    with watch(tmp_path / "formula", Interrupt(), console=Console(file=shown)):
        until(lambda: "formula: 0%" in shown.getvalue(), "a line")
    assert not away


def test_an_output_that_takes_nothing_ends_the_showing_alone(open_ledger, tmp_path):
    """Catches: what tells of a record that is away, and of an interrupt, and dies of telling it."""
    open_ledger()
    closed = Closed()
    with watch(tmp_path / "formula", Interrupt(), console=Console(file=closed)) as tell:
        until(lambda: closed.tried, "a line")
        tell("the record cannot be written")
    assert closed.tried > 1
