"""A session loses no measurement, and an attempt begins at epoch 0."""

from dataclasses import replace

from members import CONFIG
from sessions import new_session

from trainable.contract import Answer, Lease, Unreachable

LEASE = Lease(3, 1, CONFIG, (0, 1))


def test_measurements_are_kept_until_the_referee_answers():
    """Measurements stay until they are on record, and no epoch is trained without an answer."""
    session = new_session(LEASE)
    session.advance()
    told = []

    def silent(_report):
        raise Unreachable("the database is away")

    def answering(report):
        told.append((report.held, report.measurements))
        return Answer(1)

    before = session.held, session.measured
    assert [m.epoch for m in session.measured] == [1, 1]
    session.exchange = silent
    for _ in range(3):
        assert session.advance() == Answer(1, park=True)
    session.exchange = answering
    session.advance()
    assert told == [before]


def test_the_next_attempt_starts_at_epoch_0():
    """An attempt does not continue the epochs of the last one."""
    session = new_session(LEASE)
    session.advance()
    first = session.measured
    session.epoch()
    session.fill(replace(LEASE, attempt=2))
    assert [(h.trial, h.attempt, h.epoch) for h in session.held] == [(3, 2, 0)]
    assert [replace(m, wall_s=0.0) for m in session.epoch()] == [replace(m, wall_s=0.0) for m in first]
