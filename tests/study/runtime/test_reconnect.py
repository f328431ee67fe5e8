"""A run outlives its database: away, full or locked, and back again (law 5)."""

import random
import sqlite3
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
import sqlalchemy as sa
from formula import BASELINE, SPEC, FormulaLane, measure

from study.loop.budget import complete
from study.loop.referee import Referee
from study.record.backends.backend import DatabaseAwayError
from study.record.backends.postgres import PostgreSQL
from study.record.ledger import Ledger
from study.runtime.reconnect import DATABASE_AWAY_S, ReconnectingReferee
from study.spec import StudySpec
from trainable.contract import StudyError, Unreachable


def drive(steady, lane, disturb=lambda turn: None):
    """Advance the lane until the study is over; return the number of calls without an answer."""
    unanswered = 0
    for turn in range(500):
        disturb(turn)
        try:
            lane.advance(steady.exchange)
        except Unreachable:
            unanswered += 1
        if steady.over is not None:
            return unanswered
    pytest.fail("not over after 500 turns")


def check(ledger):
    """Every budgeted trial once, measured as if nothing had happened."""
    assert complete(ledger) == "trials: 6 of 6"
    expected = {
        (r.trial, epoch): measure(r.config, r.trial, 0, epoch)
        for r in ledger.records()
        for epoch in range(1, r.config.epochs + 1)
    }
    assert {(m.trial, m.epoch): m for m in ledger.measurements()} == expected


@pytest.mark.postgres
def test_a_database_that_goes_away_and_comes_back(postgres, tmp_path, monkeypatch):
    """The run neither ends with the server nor continues without it."""
    monkeypatch.setenv("STUDY_TEST_DATABASE", postgres.database())
    spec = StudySpec.from_text(SPEC, where="test", overrides=["storage.url=env:STUDY_TEST_DATABASE"])
    ledger = Ledger.open(spec, tmp_path / "formula", BASELINE)
    run = ledger.claim()

    def disturb(turn):
        if turn in (5, 15):
            postgres.stop()
        if turn in (8, 16):
            postgres.start()

    assert drive(ReconnectingReferee(lambda: Referee(ledger, run)), FormulaLane(f"{run}.0", 2), disturb) == 4
    check(ledger)
    ledger.close()


@pytest.mark.postgres
def test_locked_table_counts_as_away(postgres, tmp_path, monkeypatch):
    """The referee, the heartbeat and a request to stop wait for a limited time."""
    monkeypatch.setattr("study.record.backends.postgres.LOCKED_S", 0.1)
    monkeypatch.setenv("STUDY_TEST_DATABASE", postgres.database())
    spec = StudySpec.from_text(SPEC, where="test", overrides=["storage.url=env:STUDY_TEST_DATABASE"])
    ledger = Ledger.open(spec, tmp_path / "formula", BASELINE)
    run, heard, locked = ledger.claim(), [], ExitStack()
    with PostgreSQL("env:STUDY_TEST_DATABASE").opening() as other:
        pass

    def disturb(turn):
        if turn == 5:
            connection = locked.enter_context(other.connect())
            connection.execute(sa.text("LOCK TABLE measurements, runs, studies IN ACCESS EXCLUSIVE MODE"))
            for asked in (ledger.request_stop, partial(ledger.renew, run)):
                with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
                    asked()
        if turn == 8:
            locked.close()

    steady = ReconnectingReferee(lambda: Referee(ledger, run), notify=heard.append)
    assert drive(steady, FormulaLane(f"{run}.0", 2), disturb) == 3
    assert [event.what for event in heard] == ["record away", "record back"]
    check(ledger)
    ledger.close()
    other.dispose()


@contextmanager
def failing(share, seed=0, error=None):
    """A share of the statements that write fail, as on a disk that is full now and then."""
    chance = random.Random(seed)

    def fail(_connection, _cursor, statement, *_):
        if statement.startswith(("INSERT", "UPDATE")) and chance.random() < share:
            kind = sa.exc.OperationalError if error is None else sa.exc.DatabaseError
            raise kind(statement, {}, error or Exception("database or disk is full"))

    sa.event.listen(sa.Engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", fail)


@pytest.mark.parametrize("seed", range(4))
def test_full_disk_at_any_statement(open_ledger, seed):
    """The referee drops a state that it failed to write, and no lane is blamed."""
    ledger = open_ledger()
    run = ledger.claim()
    with failing(0.05, seed):
        unanswered = drive(ReconnectingReferee(lambda: Referee(ledger, run)), FormulaLane(f"{run}.0", 2))
    assert unanswered > 0
    check(ledger)


@contextmanager
def moved(folder):
    """The folder is not where it was, as on a disk that is not mounted for a moment."""
    aside = folder.rename(folder.with_name("aside"))
    yield
    aside.rename(folder)


@contextmanager
def failing_disk(folder):
    """Make SQLite report "disk I/O error": the files beside the record cannot be read."""
    obstacle = folder / "ledger.db-journal"
    obstacle.mkdir()
    yield
    obstacle.rmdir()


@pytest.mark.parametrize("befall", [moved, failing_disk])
def test_a_record_that_cannot_be_opened_again_for_a_while(open_ledger, tmp_path, befall):
    """The record may be away for longer than one call."""
    ledger, folder = open_ledger(), tmp_path / "formula"
    run = ledger.claim()
    ledger.close()
    heard, plight = [], ExitStack()
    steady = ReconnectingReferee(lambda: Referee(Ledger.read(folder), run), notify=heard.append)

    def disturb(turn):
        if turn in (5, 6, 9):
            plight.close()
        if turn in (5, 6):
            plight.enter_context(failing(1.0) if turn == 5 else befall(folder))

    assert drive(steady, FormulaLane(f"{run}.0", 2), disturb) == 4
    assert [event.what for event in heard] == ["record away", "record back"]
    check(ledger)


def test_damaged_record_is_not_waited_for(open_ledger):
    """As an earlier file beside a later log does. Catches: ten minutes of waiting for lost data."""
    ledger = open_ledger()
    run = ledger.claim()
    steady, lane = ReconnectingReferee(lambda: Referee(ledger, run)), FormulaLane(f"{run}.0")
    broken = sqlite3.DatabaseError("database disk image is malformed")
    broken.sqlite_errorname = "SQLITE_CORRUPT"  # as sqlite3 sets it
    with failing(1.0, error=broken), pytest.raises(Unreachable):
        lane.advance(steady.exchange)
    assert lane.advance(steady.exchange).over
    assert steady.over.startswith("failed: the record is damaged: ")


def test_file_that_is_no_record_is_not_waited_for(open_ledger, tmp_path):
    """A fault that only the user can fix is reported at once, and not as a fault of the disk."""
    run = open_ledger().claim()
    (tmp_path / "formula/ledger.db").write_bytes(b"this is not a database, and never was one")
    steady = ReconnectingReferee(lambda: Referee(Ledger.read(tmp_path / "formula"), run))
    with pytest.raises(
        StudyError, match=r"file is not a database; restore it, or delete the folder"
    ) as error:
        FormulaLane(f"{run}.0").advance(steady.exchange)
    assert not isinstance(error.value, DatabaseAwayError)


def test_a_referee_that_is_started_while_the_database_is_away(open_ledger):
    """As Ray restarts it. Catches: an actor that dies with its run; a log line at every call, or none."""
    ledger, away = open_ledger(), [True, True, False]
    run, lane = ledger.claim(), FormulaLane("1.0", 2)

    def begin():
        if away.pop(0):
            raise sa.exc.OperationalError("SELECT", {}, Exception("connection refused"))
        return Referee(ledger, run)

    heard = []
    assert drive(ReconnectingReferee(begin, notify=heard.append), lane) == 2
    check(ledger)
    gone, back = heard
    assert (gone.what, gone.words) == ("record away", "(builtins.Exception) connection refused")
    assert (back.what, back.seconds > 0) == ("record back", True)


def test_the_run_ends_where_the_database_stays_away(open_ledger):
    """Lanes wait for a limited time, and the first error does not end the run."""
    ledger, now = open_ledger(), [0.0]
    run = ledger.claim()
    steady, lane = (
        ReconnectingReferee(lambda: Referee(ledger, run), clock=lambda: now[0]),
        FormulaLane(f"{run}.0"),
    )
    lane.advance(steady.exchange)
    with failing(1.0):
        for now[0] in (0.0, DATABASE_AWAY_S - 1):
            with pytest.raises(Unreachable):
                lane.advance(steady.exchange)
        now[0] = DATABASE_AWAY_S
        with pytest.raises(Unreachable):
            lane.advance(steady.exchange)
        answer = lane.advance(steady.exchange)
    assert answer.over
    assert steady.over.startswith("failed: the database has been away for 600 s: ")
    assert "disk is full" in steady.over


def test_run_taken_over_by_another_driver_ends(open_ledger):
    """Two hosts, one of them cut off for a while. Catches: two drivers of one study."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    lane.advance(referee.exchange)
    ledger.release(run, "died")
    other = ledger.claim()
    referee._looked = float("-inf")
    answer = lane.advance(referee.exchange)
    assert answer.over
    assert referee.over == "failed: another run of this study took it over"
    ledger.release(run, "failed")
    assert [r.reason for r in ledger.runs()] == ["died", None]
    steady = ReconnectingReferee(lambda: Referee(ledger, other))
    drive(steady, FormulaLane(f"{other}.0"))
    check(ledger)
