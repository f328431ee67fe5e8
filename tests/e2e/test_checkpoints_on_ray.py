"""A lane under real Ray Tune that is killed in a save, and whose checkpoint is then torn: law 5 holds."""

import os
import signal
from pathlib import Path

import pytest
import ray
from alone import recorded, trained_alone

from study.record.ledger import Ledger
from study.runtime import tune as runtime
from study.runtime.run import run
from study.spec import StudySpec
from trainable import tune

TRIALS, EPOCHS = 2, 12
SPEC = f"""
name = "torn"
[data]
source = "synthetic"
[train]
epochs = {EPOCHS}
dim = 4
hidden = 4
batch_size = "full"
[search]
sampler = "random"
[budget]
trials = {TRIALS}
[runtime]
engine = "plain"
lanes = 1
slots = 2
save_every_s = 0.001
"""


def doomed(diary: Path, checkpoints: Path) -> type[tune.Lane]:
    """A lane that dies twice, and writes into `diary` the epochs of its trials after each first step."""

    class Doomed(tune.Lane):
        """Made here, so that it travels to Ray's workers by value."""

        saves = life = 0

        def step(self):
            result = super().step()
            if not self.life:
                with diary.open("a") as file:
                    file.write(" ".join(sorted(f"{h.trial}:{h.epoch}" for h in self.session.held)) + "\n")
                self.life = len(diary.read_text().splitlines())
            return result

        def _keep(self):
            super()._keep()
            self.saves += 1
            if self.life == 1 and self.saves == 3:  # in the middle of a save
                (checkpoints / "trial-0" / "slots.json").unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if self.life == 2 and self.saves == 3:
                for record in checkpoints.rglob("slots.json"):
                    record.write_bytes(record.read_bytes()[:-9])
                os.kill(os.getpid(), signal.SIGKILL)

    return Doomed


@pytest.mark.long
@pytest.mark.ray
def test_a_lane_is_killed_in_a_save_and_its_checkpoints_are_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """No half checkpoint is loaded, no bad one fails a lane twice, and no trial is doubled."""
    diary = tmp_path / "diary"
    monkeypatch.setattr(runtime, "Lane", doomed(diary, tmp_path / "torn" / "checkpoints" / "search"))
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        outcome = run(StudySpec.from_text(SPEC, where="test"), tmp_path)
    finally:
        ray.shutdown()
    assert outcome.reason == f"trials: {TRIALS} of {TRIALS}"
    first, half, torn = diary.read_text().splitlines()
    assert first == torn == "0:1 1:1"
    again, resumed = (int(words.partition(":")[2]) for words in half.split())
    assert (again, resumed > 0) == (0, True)
    assert not (outcome.folder / "checkpoints").exists()
    ledger = Ledger.read(outcome.folder)
    assert [(r.trial, r.state, r.epochs) for r in ledger.records()] == [
        (n, "completed", EPOCHS) for n in range(TRIALS)
    ]
    assert [r.attempt for r in ledger.records()] == [3, 3]
    assert recorded(ledger) == {(n, 0): trained_alone(ledger, n, 0) for n in range(TRIALS)}
