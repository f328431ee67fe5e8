"""A killed lane resumes from its last checkpoint bit for bit, or its trials start again."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from alone import recorded, trained_alone
from formula import BASELINE

from study.loop.events import Event
from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.spec import StudySpec
from trainable import tune
from trainable.contract import Answer
from trainable.data.registry import load
from trainable.job import Job
from trainable.session import Session
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
def kept(tmp_path: Path) -> Path:
    """The folder of checkpoints."""
    return tmp_path / "checkpoints"


@pytest.fixture
def born(referee: Referee, kept: Path) -> Callable[..., Lane]:
    """A function that starts a lane of a name, also after a kill."""
    fold = load("synthetic", split="per-user", split_seed=0).search
    job = Job(fold=fold, seed=0, engine="plain", slots=2, save_every_s=SAVE_EVERY_S, checkpoints=kept)

    class Here(Lane):
        """A lane without Ray."""

        def setup(self, config):
            super().setup(config, exchange=referee.exchange, jobs={config["lane"]: job})

    return lambda name="a": Here({"lane": name})


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


def test_a_kill_loses_only_epochs_after_the_last_save(ledger, referee, born):
    """A checkpoint has moments, steps and unsent measurements. The first report is of its epoch, so a rung
    there is judged.
    """
    lane = born()
    for _ in range(4):
        lane.session.advance()
    lane.cleanup()
    assert [(held.trial, held.epoch) for held in lane.session.held] == [(0, 4), (1, 4)]
    measured = lane.session.measured
    assert len(measured) == 4
    for _ in range(2):
        lane.session.advance()

    lane = born()
    lane.session.advance()
    assert [(h.trial, h.attempt, h.epoch) for h in lane.session.held] == [(0, 2, 4), (1, 2, 4)]
    assert sorted(lane.session.measured, key=str) == sorted(measured, key=str)
    advance_until(lambda: referee.over, lane)
    assert_as_alone(ledger)
    assert [r.attempt for r in ledger.records()] == [2, 2, 1]


def test_another_run_resumes_the_trials_of_one_that_was_killed(ledger, referee, born, kept: Path):
    """Checkpoints belong to the study: another driver, other lanes, the same epochs."""
    lane = born()
    for _ in range(4):
        lane.session.advance()
    lane.cleanup()
    ledger.release(referee.run, "interrupted")

    heard: list[Event] = []
    after = Referee(ledger, ledger.claim(), notify=heard.append)
    fold = load("synthetic", split="per-user", split_seed=0).search
    build = Job(fold=fold, seed=0, engine="plain").build
    session = Session(build, slots=2, lane="b", exchange=after.exchange, checkpoints=kept)
    session.advance()
    assert {(h.trial, h.epoch) for h in session.held} == {(0, 4), (1, 4)}
    session.advance()
    assert [(e.trial, e.epoch) for e in heard if e.what == "resumed"] == [(0, 4), (1, 4)]
    while after.over is None:
        session.advance()
    assert_as_alone(ledger)


@pytest.mark.parametrize("epochs", [4, 5])  # the fourth is measured, the fifth is not
def test_a_stopped_study_resumes_its_trials_and_ends(epochs: int, ledger, referee, born):
    """The stop's answer follows a report, so the checkpoint has no unsent measurement.

    Catches: trials that are leased and dropped without end.
    """
    lane = born()
    for _ in range(epochs):
        lane.session.advance()
    ledger.request_stop()
    referee._looked = float("-inf")
    assert lane.session.advance().over
    lane.cleanup()
    ledger.release(referee.run, "stopped on request")

    after = Referee(ledger, ledger.claim())
    lane = born("b")
    lane.session.exchange = after.exchange
    lane.session.advance()
    assert {(h.trial, h.epoch) for h in lane.session.held} == {(0, epochs + 1), (1, epochs + 1)}
    advance_until(lambda: after.over, lane)
    assert_as_alone(ledger)


def test_checkpoints_of_ended_trials_are_removed(referee, born, kept: Path):
    """The storage has a checkpoint for each running trial, and no others."""
    lane = born()
    for _ in range(6):
        lane.session.advance()
        lane.cleanup()
    assert {path.name for path in kept.iterdir()} == {"trial-0", "trial-1"}
    advance_until(lambda: referee.over, lane)
    assert list(kept.iterdir()) == []


def test_a_lane_of_a_drained_node_saves_and_gives_its_trials_back(
    ledger, referee, born, monkeypatch: pytest.MonkeyPatch
):
    """Another lane resumes them at their epoch; giving back is no fault."""
    lane, other = born(), born("b")
    for _ in range(4):
        lane.session.advance()
    monkeypatch.setattr(tune, "_draining", lambda _node: True)
    lane.step()
    reached = {(h.trial, h.epoch) for h in lane.session.held}
    assert reached
    answer = lane.session.advance()
    assert (lane.session.held, answer.park, answer.leases) == ((), True, ())
    assert lane.session.advance().park
    other.session.advance()
    assert {(h.trial, h.epoch - 1) for h in other.session.held} == reached  # and one epoch more
    advance_until(lambda: referee.over, other)
    assert_as_alone(ledger)
    assert not any(r.faults for r in ledger.records())


@pytest.mark.parametrize("tear", ["tensors", "record", "all of it"])
def test_trials_restart_after_a_torn_checkpoint(
    tear: str, ledger, referee, born, kept: Path, caplog: pytest.LogCaptureFixture
):
    """Catches a lane that dies, logs nothing, or uses half of the checkpoint."""
    lane = born()
    for _ in range(4):
        lane.session.advance()
    lane.cleanup()
    for path in [*kept.glob("trial-*/*")]:
        if tear == "all of it":
            path.unlink()
        elif (tear == "record") == (path.suffix == ".json"):
            path.write_bytes(path.read_bytes()[:-1])

    lane = born()
    with caplog.at_level(logging.WARNING):
        lane.session.advance()
    begins = [f"lane a: {kept}/trial-{n}/" for n in range(2)]
    assert [r.getMessage()[: len(b)] for r, b in zip(caplog.records, begins, strict=True)] == begins
    assert {(r.name, r.levelname) for r in caplog.records} == {("trainable.session", "WARNING")}
    assert [(h.trial, h.attempt, h.epoch) for h in lane.session.held] == [(0, 2, 1), (1, 2, 1)]
    advance_until(lambda: referee.over, lane)
    assert_as_alone(ledger)


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_any_moment_change_nothing(seed: int, ledger, referee, born):
    """With checkpoints older than the record, too. Catches a trial lost, doubled, or trained too long."""
    chance, lane, lived = Random(seed), born(), 0
    while referee.over is None:
        lane.session.advance()
        lived += 1
        if chance.random() < 0.3:
            lane.cleanup()
        if lived > 3 and chance.random() < 0.4:  # without a measurement for three lives the study would end
            lane, lived = born(), 0
    assert_as_alone(ledger)


def test_a_lane_reports_after_its_first_epoch(born):
    """Lanes killed in quick succession do not count as unable to start."""
    lane = born()
    lane.step()
    assert {held.epoch for held in lane.session.held} == {1}


@pytest.mark.parametrize("epoch_s", [0.03, 0.7, 4.0, 27.0])
def test_a_checkpoint_is_never_older_than_its_time_and_one_epoch(
    epoch_s: float, born, monkeypatch: pytest.MonkeyPatch
):
    """A step ends when checkpoints are due, and all that are due are written."""
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

    def keep():
        nonlocal saved, saves
        saved, saves = now, saves + 1

    monkeypatch.setattr(lane.session, "keep", keep)
    while now < 20 * SAVE_EVERY_S:
        lane.step()
    assert oldest <= SAVE_EVERY_S + epoch_s
    assert saves <= 20
