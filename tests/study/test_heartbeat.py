"""A run's row is renewed for as long as its driver lives, so that no other host takes it for dead."""

from contextlib import contextmanager

import sqlalchemy as sa
from command import until
from formula import SPEC

from study.ledger import Ledger
from study.runtime import run
from study.runtime.heartbeat import beating
from study.spec import StudySpec


def renewed(ledger):
    return ledger.runs()[-1].renewed


def beats(ledger):
    before = renewed(ledger)
    until(lambda: renewed(ledger) > before, "a renewal")


def test_a_run_is_alive_before_its_first_lane(tmp_path):
    """As while Ray starts, or nodes are waited for. Catches: a row that only what lanes ask renews."""
    spec = StudySpec.from_text(
        SPEC, where="test", overrides=["train.epochs=1", "budget.trials=1", "runtime.address=inline"]
    )

    @contextmanager
    def watch(folder, _interrupt):
        ledger = Ledger.read(folder)
        beats(ledger)
        ledger.close()
        yield

    assert run(spec, tmp_path, watch=watch).complete


def test_a_heart_beats_on_when_its_database_was_away(open_ledger):
    """Catches: a heart that stops at the first word from it."""
    ledger, failed = open_ledger(), []

    def fail(_connection, _cursor, statement, *_):
        if statement.startswith("UPDATE") and len(failed) < 3:
            failed.append(statement)
            raise sa.exc.OperationalError(statement, {}, Exception("database is locked"))

    number = ledger.claim()
    sa.event.listen(ledger._engine, "before_cursor_execute", fail)
    with beating(ledger, number, every_s=0.01):
        beats(ledger)
    assert len(failed) == 3
