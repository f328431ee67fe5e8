"""Prefetch of trials: no lane that has a trial to train waits for an ask, and the record is the same."""

import time
from contextlib import suppress
from threading import Event, current_thread, main_thread

import pytest
import sqlalchemy as sa
from formula import FormulaLane, measure

from study.loop.budget import complete
from study.loop.referee import Referee
from study.runtime.prefetch import PrefetchingReferee
from study.runtime.reconnect import ReconnectingReferee
from trainable.contract import Unreachable

LONG_S = 60.0


def prefetching(ledger, run):
    return PrefetchingReferee(Referee(ledger, run, prefetch=True))


def drive(answering, lanes):
    """Let the lanes take turns until the study is over."""
    due, turn = time.monotonic() + LONG_S, 0
    while answering.over is None:
        assert time.monotonic() < due, "not over"
        with suppress(Unreachable):
            lanes[turn % len(lanes)].advance(answering.exchange)
        turn += 1


def check(ledger, trials=6):
    """Every budgeted trial once, measured as if alone."""
    assert complete(ledger) == f"trials: {trials} of {trials}"
    records = ledger.records()
    assert [(r.trial, r.state, r.attempt) for r in records] == [(n, "completed", 1) for n in range(trials)]
    expected = {
        (r.trial, epoch): measure(r.config, r.trial, 0, epoch)
        for r in records
        for epoch in range(1, r.config.epochs + 1)
    }
    assert {(m.trial, m.epoch): m for m in ledger.measurements()} == expected


@pytest.mark.parametrize("lanes", [1, 3])
def test_the_budget_is_met_exactly(open_ledger, lanes):
    """An ask counts while it is being made."""
    ledger = open_ledger("budget.trials=20")
    run = ledger.claim()
    answering = prefetching(ledger, run)
    drive(answering, [FormulaLane(f"{run}.{n}", 3) for n in range(lanes)])
    answering.close()
    check(ledger, 20)


def test_member_epochs_are_promised_while_a_trial_is_drawn(open_ledger):
    """No trial begins before the epochs of the one being drawn are known."""
    ledger = open_ledger("budget.trials=100", "budget.member_epochs=30", "space.epochs={ int = [2, 4] }")
    run = ledger.claim()
    answering = prefetching(ledger, run)
    drive(answering, [FormulaLane(f"{run}.{n}", 2) for n in range(2)])
    answering.close()
    trained = [r.epochs for r in ledger.records()]
    assert sum(trained) - trained[-1] < 30 <= sum(trained)


def test_a_lane_that_trains_does_not_wait_for_an_ask(open_ledger, monkeypatch):
    """An ask is not part of an exchange and delays none."""
    ledger = open_ledger()
    run, real, asking, go_on = ledger.claim(), ledger.ask, Event(), Event()

    def slow():
        if current_thread() is not main_thread():
            asking.set()
            assert go_on.wait(LONG_S)
        return real()

    monkeypatch.setattr(ledger, "ask", slow)
    monkeypatch.setattr("study.loop.referee.ASKS_PATIENCE_S", 0.0)
    answering, lane = prefetching(ledger, run), FormulaLane(f"{run}.0", 2)
    lane.advance(answering.exchange)  # has nothing to train: its first trial is asked for while it waits
    assert asking.wait(LONG_S)
    for epoch in (2, 3, 4):
        lane.advance(answering.exchange)
        assert lane.epochs == {0: epoch}
    go_on.set()
    drive(answering, [lane])
    answering.close()
    check(ledger)


def test_one_trial_is_drawn_after_the_other(open_ledger, monkeypatch):
    """An exchange and the thread see each other's configurations."""
    few = "budget.trials=29", "space.weight=[0.5, 0.7, 0.9]", "space.learning_rate=[1e-3, 3e-3, 1e-2]"
    ledger = open_ledger(*few)
    run, real, drawing, most = ledger.claim(), ledger.ask, [], []

    def slow():
        drawing.append(current_thread())
        most.append(len(drawing))
        time.sleep(0.01)
        drawn = real()
        drawing.remove(current_thread())
        return drawn

    monkeypatch.setattr(ledger, "ask", slow)
    answering = prefetching(ledger, run)
    drive(answering, [FormulaLane(f"{run}.{n}", 2) for n in range(3)])
    answering.close()
    assert set(most) == {1}
    check(ledger, 29)
    alone = open_ledger(*few, "name=alone")
    assert [r.config for r in ledger.records()] == [alone.ask()[1] for _ in range(29)]


def test_unleased_trial_is_trained_by_the_next_run(open_ledger):
    """A trial that was drawn but not leased is trained."""
    ledger = open_ledger()
    run = ledger.claim()
    answering, lane = prefetching(ledger, run), FormulaLane(f"{run}.0", 1)
    lane.advance(answering.exchange)
    due = time.monotonic() + LONG_S
    while len(ledger.records()) < 2:
        assert time.monotonic() < due
    answering.close()
    assert [r.holder is None for r in ledger.records()] == [False, True]
    ledger.release(run, "killed")
    run = ledger.claim()
    again = prefetching(ledger, run)
    drive(again, [FormulaLane(f"{run}.0", 1)])
    again.close()
    assert complete(ledger) == "trials: 6 of 6"
    assert [(r.state, r.attempt) for r in ledger.records()] == [("completed", n) for n in (2, 1, 1, 1, 1, 1)]


def test_an_ask_that_the_database_refuses_is_made_again(open_ledger):
    """The thread outlives the error."""
    ledger, refused = open_ledger(), []
    run = ledger.claim()
    steady, lane = ReconnectingReferee(lambda: prefetching(ledger, run)), FormulaLane(f"{run}.0", 1)
    lane.advance(steady.exchange)

    def fail(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO trials") and len(refused) < 3:
            refused.append(statement)
            raise sa.exc.OperationalError(statement, {}, Exception("database or disk is full"))

    sa.event.listen(sa.Engine, "before_cursor_execute", fail)
    try:
        drive(steady, [lane])
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", fail)
    assert len(refused) == 3
    check(ledger)
