"""A lane that hangs on Ray: it holds its process, answers nobody, and its study ends without it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from alone import recorded, trained_alone

from study.ledger import Ledger
from study.runtime import run, tune, watch
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


@pytest.fixture
def a_ray() -> Iterator[None]:
    """A Ray of this machine."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.slow
def test_what_a_hung_lane_held_is_trained_by_another(
    a_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Catches: a study that waits for a lane for ever, at its end too, or loses what that lane held."""
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
@pytest.mark.slow
def test_a_run_whose_every_lane_hangs_ends_and_the_next_goes_on(
    a_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Catches: a run that goes on for ever where no lane is left to ask the referee."""
    spec = StudySpec.from_text(SPEC, where="test", overrides=["runtime.lanes=1"])
    with monkeypatch.context() as patched:
        patched.setattr(tune, "Lane", hanging())
        patched.setattr(watch, "HUNG_S", LEASE_S)
        with pytest.raises(StudyError, match="no lane has had a result for"):
            run(spec, tmp_path)
    outcome = run(spec, tmp_path)
    assert outcome.reason == "trials: 4 of 4"
    ledger = Ledger.read(outcome.folder)
    assert {r.state for r in ledger.records()} == {"completed"}
    ledger.close()
