"""A run's row is renewed for as long as its driver lives, so that no other host takes it for dead."""

import re

import sqlalchemy as sa
from command import until
from formula import SPEC

from study.runtime import inline
from study.runtime.heartbeat import renew_run
from study.runtime.run import run
from study.spec import StudySpec


def renewed(ledger):
    return ledger.runs()[-1].renewed


def beats(ledger):
    before = renewed(ledger)
    until(lambda: renewed(ledger) > before, "a renewal")


def test_a_run_is_alive_before_its_first_lane(tmp_path, monkeypatch):
    """While Ray starts, or lanes wait for nodes. Catches: a row that only the exchanges of lanes renew."""
    spec = StudySpec.from_text(
        SPEC, where="test", overrides=["train.epochs=1", "budget.trials=1", "runtime.address=inline"]
    )
    drive = inline.drive

    def drive_late(ledger, *rest):
        beats(ledger)
        return drive(ledger, *rest)

    monkeypatch.setattr(inline, "drive", drive_late)
    assert run(spec, tmp_path).complete


def test_heartbeat_survives_a_database_outage_and_reports_it_once(open_ledger):
    """It continues after an error, with one report, not one each second."""
    ledger, failed, told = open_ledger(), [], []

    def fail(_connection, _cursor, statement, *_):
        if statement.startswith("UPDATE") and len(failed) < 3:
            failed.append(statement)
            raise sa.exc.OperationalError(statement, {}, Exception("database is locked"))

    number = ledger.claim()
    sa.event.listen(ledger._engine, "before_cursor_execute", fail)
    with renew_run(ledger, number, told.append, every_s=0.01):
        beats(ledger)
        until(lambda: len(told) == 2, "the word that it is back")
    assert len(failed) == 3
    away, back = told
    assert (
        "the record cannot be written: (builtins.Exception) database is locked; lanes wait for at most 600 s"
        in away
    )
    assert re.fullmatch(r"the record can be written again, after \d+ s", back)
