"""A claim waits for a driver that cannot be seen from here; the study never has two drivers."""

import logging
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from study.record import process
from study.record.ledger import Ledger, TakenError
from study.record.rows import SILENT_RUN_S
from study.record.tables import runs
from study.runtime import claim


@pytest.fixture
def driver(open_ledger, monkeypatch) -> Ledger:
    """The ledger of a driver in another PID namespace, which has claimed the study."""
    ledger = open_ledger()
    with monkeypatch.context() as there:
        there.setattr(process, "_kernel", lambda: "another namespace")
        ledger.claim()
    return ledger


@pytest.fixture
def while_waiting(monkeypatch) -> Callable[[Callable[[], object]], list[None]]:
    """A function that runs a callback at each wait; it returns the list of the waits."""

    def while_waiting(happens: Callable[[], object]) -> list[None]:
        waits: list[None] = []

        def sleep(_seconds: float) -> None:
            waits.append(None)
            happens()

        monkeypatch.setattr(claim.time, "sleep", sleep)
        return waits

    return while_waiting


def silence(ledger: Ledger, seconds: float) -> None:
    """Make the open run silent for that much longer."""
    with ledger._engine.begin() as connection:
        connection.execute(sa.update(runs).where(runs.c.ended.is_(None)).values(heard=runs.c.heard - seconds))


def test_study_of_a_dead_remote_driver_is_claimed_after_its_silence(
    driver, open_ledger, while_waiting, caplog
):
    """A restarted container drives its study again."""
    waits = while_waiting(lambda: silence(driver, SILENT_RUN_S / 4))
    with caplog.at_level(logging.WARNING, "study.runtime"):
        run = claim.claim_run(open_ledger())
    assert waits
    assert [(r.run, r.reason) for r in driver.runs()] == [(run - 1, "died"), (run, None)]
    (message,) = caplog.messages
    assert message.startswith("formula: waiting for up to ")


def test_driver_that_renews_meanwhile_keeps_its_study(driver, open_ledger, while_waiting):
    """A live driver has no second beside it, and the command does not wait for it."""
    (run,) = driver.runs()
    waits = while_waiting(lambda: driver.renew(run.run))
    driver._skew += 1  # so that the renewal differs from the claim
    with pytest.raises(TakenError, match="already being run"):
        claim.claim_run(open_ledger())
    assert len(waits) == 1
    assert driver.owned(run.run)


def test_driver_that_runs_here_is_not_waited_for(open_ledger, while_waiting):
    ledger = open_ledger()
    ledger.claim()
    waits = while_waiting(lambda: pytest.fail("waited"))
    with pytest.raises(TakenError, match="already being run"):
        claim.claim_run(open_ledger())
    assert waits == []


def test_driver_that_renews_at_the_last_moment_keeps_its_study(driver, open_ledger, monkeypatch):
    """The driver renews between the look and the claim. Catches: two drivers of one study."""
    (run,) = driver.runs()
    silence(driver, SILENT_RUN_S + 1)
    driver._skew += 1
    end_dead_run = Ledger._end_dead_run

    def late(ledger, dead):
        assert driver.renew(run.run)
        end_dead_run(ledger, dead)

    monkeypatch.setattr(Ledger, "_end_dead_run", late)
    with pytest.raises(TakenError, match="already being run"):
        open_ledger().claim()
    assert driver.owned(run.run)
