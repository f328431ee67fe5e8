"""Lanes on Ray that hang, or that a poison trial kills: their study ends all the same."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from alone import recorded, trained_alone

from study.loop.retries import STARTS
from study.record.ledger import Ledger
from study.runtime import tune, tune_callback
from study.runtime.run import run
from study.spec import StudySpec
from trainable.contract import StudyError

LEASE_S = 3.0
SPEC = """
name = "hung"
[data]
source = "synthetic"
[train]
epochs = 30
dim = 4
hidden = 4
batch_size = "full"
[search]
sampler = "random"
[budget]
trials = 4
[runtime]
engine = "plain"
lanes = 2
slots = 1
"""


def hanging() -> type[tune.Lane]:
    """A lane that never ends its second step, where it is the first of the study's."""

    class Hanging(tune.Lane):
        """Made here, so that it travels to Ray's workers by value."""

        def step(self):
            if self.session.held and self.session.lane.endswith(".0"):
                os.kill(os.getpid(), signal.SIGSTOP)
            return super().step()

    return Hanging


def deadly(trial: int) -> type[tune.Lane]:
    """A lane whose process is killed by that trial, before its first epoch ends."""

    class Deadly(tune.Lane):
        """Made here, so that it travels to Ray's workers by value."""

        def setup(self, *arguments, **options):
            super().setup(*arguments, **options)
            exchange = self.session.exchange

            def train(report):
                answer = exchange(report)
                if any(lease.trial == trial for lease in answer.leases):
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            self.session.exchange = train

    return Deadly


@pytest.fixture
def a_ray() -> Iterator[None]:
    """A Ray of this machine."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.long
def test_another_lane_trains_the_trials_of_a_hung_lane(
    a_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The study neither waits for the lane at its end nor loses the lane's trials."""
    monkeypatch.setattr(tune, "Lane", hanging())
    monkeypatch.setitem(tune.drive.__kwdefaults__, "lease_s", LEASE_S)
    outcome = run(StudySpec.from_text(SPEC, where="test"), tmp_path)
    assert outcome.reason == "trials: 4 of 4"
    ledger = Ledger.read(outcome.folder)
    assert [(r.trial, r.state, r.epochs) for r in ledger.records()] == [
        (n, "completed", 30) for n in range(4)
    ]
    assert any(r.faults.get("lane") for r in ledger.records())
    assert recorded(ledger) == {(n, 0): trained_alone(ledger, n, 0) for n in range(4)}
    ledger.close()


@pytest.mark.ray
@pytest.mark.long
def test_a_run_whose_lanes_all_hang_ends_and_the_next_resumes(
    a_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The loss of the last lane ends the run."""
    spec = StudySpec.from_text(SPEC, where="test", overrides=["runtime.lanes=1"])
    with monkeypatch.context() as patched:
        patched.setattr(tune, "Lane", hanging())
        patched.setattr(tune_callback, "HUNG_S", LEASE_S)
        with pytest.raises(StudyError, match="no lane has had a result for"):
            run(spec, tmp_path)
    outcome = run(spec, tmp_path)
    assert outcome.reason == "trials: 4 of 4"
    ledger = Ledger.read(outcome.folder)
    assert {r.state for r in ledger.records()} == {"completed"}
    ledger.close()


@pytest.mark.ray
@pytest.mark.slow
def test_a_trial_that_kills_its_lane_fails_and_its_neighbour_is_trained(
    a_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As one that the machine has no memory for. Catches: a run that ends, and a neighbour that fails too."""
    monkeypatch.setattr(tune, "Lane", deadly(1))
    overrides = ("runtime.lanes=1", "runtime.slots=2")
    outcome = run(StudySpec.from_text(SPEC, where="test", overrides=overrides), tmp_path)
    assert outcome.reason == "trials: 4 of 4"
    ledger = Ledger.read(outcome.folder)
    failed, others = ledger.records()[1], [r for r in ledger.records() if r.trial != 1]
    starts = STARTS["deadly"]
    assert (failed.state, failed.faults["deadly"]) == ("failed", starts)
    assert failed.reason.startswith(f"it killed its lane, failure {starts} of {starts}: ")
    assert {r.state for r in others} == {"completed"}
    assert recorded(ledger) == {(r.trial, 0): trained_alone(ledger, r.trial, 0) for r in others}
    ledger.close()
