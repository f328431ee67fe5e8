"""Faults of one trial, and clock jumps, change no result of the other trials."""

import random
import time

import pytest
from alone import recorded, trained_alone

from study.loop.retries import STARTS
from study.record.ledger import Ledger
from study.runtime.run import run
from study.spec import StudySpec
from trainable.job import Job

SPEC = """
name = "unlucky"
[data]
source = "synthetic"
[train]
epochs = 4
dim = 4
hidden = 4
batch_size = "full"
[space]
learning_rate = { log = [1e-3, 1e-1] }
[search]
sampler = "random"
[budget]
trials = 5
wall_time_s = 7200
[runtime]
address = "inline"
engine = "plain"
slots = 2
"""
UNLUCKY = 2


class Raising:
    """An engine whose evaluation of trial 2 raises from its second epoch on."""

    def __init__(self, engine):
        self._engine, self._epochs = engine, {}

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def join(self, member, state=None):
        self._epochs[member] = 0
        self._engine.join(member, state)

    def leave(self, member):
        del self._epochs[member]
        self._engine.leave(member)

    def epoch(self, evaluate):
        results = self._engine.epoch(evaluate)
        self._epochs = {member: epoch + 1 for member, epoch in self._epochs.items()}
        if any(m.trial == UNLUCKY and self._epochs[m] > 1 for m in evaluate):
            raise ArithmeticError("ranks of nothing\nand more")
        return results


def as_if_alone(ledger, *, but=()):
    """Check that every trial is completed, and measured bit for bit as without faults."""
    records = [r for r in ledger.records() if r.trial not in but]
    assert {r.state for r in records} == {"completed"}
    found = {key: numbers for key, numbers in recorded(ledger).items() if key[0] not in but}
    assert found == {(r.trial, 0): trained_alone(ledger, r.trial, 0) for r in records}


def test_an_evaluation_that_raises_fails_only_its_trial(tmp_path, monkeypatch):
    """The run continues, neighbours keep their attempts, and the trial has a limited number of starts."""
    build = Job.build
    monkeypatch.setattr(Job, "build", lambda job: Raising(build(job)))
    outcome = run(StudySpec.from_text(SPEC, where="test"), tmp_path)
    monkeypatch.undo()
    ledger = Ledger.read(outcome.folder)
    assert outcome.reason == "trials: 5 of 5"
    failed = ledger.records()[UNLUCKY]
    starts = STARTS["error"]
    assert (failed.state, failed.faults) == ("failed", {"error": starts})
    assert failed.reason == (
        f"its training raised an error, failure {starts} of {starts}: ArithmeticError: ranks of nothing"
    )
    as_if_alone(ledger, but=(UNLUCKY,))
    ledger.close()


@pytest.mark.parametrize("seed", range(2))
def test_a_clock_jump_changes_nothing(tmp_path, monkeypatch, seed):
    """Forwards and back, at every read. Catches: a budget, a lease or a run that a clock jump ends."""
    real, chance = time.time, random.Random(seed)
    monkeypatch.setattr(time, "time", lambda: real() + chance.uniform(-9, 9) * 3600)
    outcome = run(StudySpec.from_text(SPEC, where="test"), tmp_path)
    ledger = Ledger.read(outcome.folder)
    assert outcome.reason == "trials: 5 of 5"
    (driven,) = ledger.runs()
    assert 0 <= driven.wall_s < 3600
    assert driven.reason == outcome.reason
    as_if_alone(ledger)
    ledger.close()
