"""A killed lane resumes from its last checkpoint bit for bit, or its trials start again."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from alone import recorded, trained_alone
from formula import BASELINE
from ray.train._internal.session import _TrainingResult
from ray.tune import Checkpoint
from ray.tune.result import SHOULD_CHECKPOINT

from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.spec import StudySpec
from trainable import tune
from trainable.contract import Answer
from trainable.data.registry import load
from trainable.job import Job
from trainable.tune import Lane

SPEC = """
name = "killed"
[data]
source = "synthetic"
[train]
epochs = 7
evaluate_every = 2
batch_size = "full"
dim = 4
hidden = 4
[search]
sampler = "random"
replicates = 2
[budget]
trials = 3
[runtime]
engine = "plain"
"""
SAVE_EVERY_S = 10.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The record of a study without trials."""
    spec = StudySpec.from_text(SPEC, where="test")
    opened = Ledger.open(spec, tmp_path / spec.name, BASELINE)
    yield opened
    opened.close()


@pytest.fixture
def referee(ledger: Ledger) -> Referee:
    return Referee(ledger, ledger.claim())


@pytest.fixture
def born(referee: Referee) -> Callable[[], Lane]:
    """A function that starts the lane, also after a kill."""
    fold = load("synthetic", split="per-user", split_seed=0).search
    job = Job(fold=fold, seed=0, engine="plain", slots=2, save_every_s=SAVE_EVERY_S)

    class Here(Lane):
        """A lane without Ray."""

        def setup(self, config):
            super().setup(config, exchange=referee.exchange, jobs={"a": job})

    return lambda: Here({"lane": "a"})


def assert_as_alone(ledger: Ledger) -> None:
    """Check that every trial is there once, complete, and as if trained alone."""
    assert [(r.trial, r.state, r.epochs) for r in ledger.records()] == [(n, "completed", 7) for n in range(3)]
    assert recorded(ledger) == {(n, r): trained_alone(ledger, n, r) for n in range(3) for r in range(2)}


def advance_until(over: Callable[[], object], lane: Lane) -> None:
    for _ in range(60):
        lane.session.advance()
        if over():
            return
    pytest.fail("not over after 60 epochs")


def test_a_kill_loses_only_epochs_after_the_last_save(ledger, referee, born, tmp_path: Path):
    """A checkpoint has moments, steps, unsent measurements and attempts."""
    lane = born()
    for _ in range(4):
        lane.session.advance()
    lane.save_checkpoint(str(tmp_path))
    kept = lane.session.held, lane.session.measured
    assert [(held.trial, held.epoch) for held in lane.session.held] == [(0, 4), (1, 4)]
    assert len(lane.session.measured) == 4
    for _ in range(2):
        lane.session.advance()

    lane = born()
    lane.load_checkpoint(str(tmp_path))
    assert (lane.session.held, lane.session.measured) == kept
    advance_until(lambda: referee.over, lane)
    assert_as_alone(ledger)
    assert [r.attempt for r in ledger.records()] == [1, 1, 1]


@pytest.mark.parametrize("tear", ["tensors", "record", "all of it"])
def test_trials_restart_after_a_torn_checkpoint(
    tear: str, ledger, referee, born, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """As Tune restores a lane. Catches a lane that dies, logs nothing, or uses half of the checkpoint."""
    lane = born()
    for _ in range(4):
        lane.session.advance()
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    lane.save_checkpoint(str(folder))
    for path in folder.iterdir():
        if (tear == "record") == (path.suffix == ".json"):
            path.write_bytes(path.read_bytes()[:-1])
    if tear == "all of it":
        shutil.rmtree(folder)

    lane = born()
    with caplog.at_level(logging.WARNING):
        lane.restore(_TrainingResult(Checkpoint(folder), metrics={}))
    (warning,) = caplog.records
    assert warning.getMessage().startswith(f"lane a: {folder}")
    assert (warning.name, warning.levelname) == ("trainable.tune", "WARNING")
    assert lane.session.held == ()
    lane.session.advance()
    assert [(h.trial, h.attempt, h.epoch) for h in lane.session.held] == [(0, 2, 1), (1, 2, 1)]
    advance_until(lambda: referee.over, lane)
    assert_as_alone(ledger)


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_any_moment_change_nothing(seed: int, ledger, referee, born, tmp_path: Path):
    """With checkpoints older than the record, too. Catches a trial lost, doubled, or trained too long."""
    chance, lane, saved, lived = Random(seed), born(), None, 0
    while referee.over is None:
        lane.session.advance()
        lived += 1
        if chance.random() < 0.3:
            lane.save_checkpoint(str(tmp_path))
            saved = lane.session.held
        if lived > 3 and chance.random() < 0.4:  # without a measurement for three lives the study would end
            lane, lived = born(), 0
            if saved is not None:
                lane.load_checkpoint(str(tmp_path))
                assert lane.session.held == saved
    assert_as_alone(ledger)


def test_a_lane_reports_after_its_first_epoch(born):
    """Lanes killed in quick succession do not count as unable to start."""
    lane = born()
    lane.step()
    assert {held.epoch for held in lane.session.held} == {1}


@pytest.mark.parametrize("epoch_s", [0.03, 0.7, 4.0, 27.0])
def test_a_checkpoint_is_never_older_than_its_time_and_one_epoch(
    epoch_s: float, born, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A step ends when a checkpoint is due, and every due checkpoint is saved."""
    now, saved, oldest, saves = 0.0, 0.0, 0.0, 0

    class Clock:
        sleep = None  # a lane that is never parked does not

        @staticmethod
        def monotonic():
            return now

    def advance():
        nonlocal now, oldest
        now += epoch_s
        oldest = max(oldest, now - saved)
        return Answer(1)

    monkeypatch.setattr(tune, "time", Clock)
    lane = born()
    monkeypatch.setattr(lane.session, "advance", advance)
    while now < 20 * SAVE_EVERY_S:
        if lane.step()[SHOULD_CHECKPOINT]:
            lane.save(str(tmp_path))
            saved, saves = now, saves + 1
    assert oldest <= SAVE_EVERY_S + epoch_s
    assert saves <= 20
