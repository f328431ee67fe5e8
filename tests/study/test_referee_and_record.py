"""Law 5: kill anything at any moment; the Ledger ends with exactly the budgeted trials."""

import os
import random
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa
from formula import FormulaLane, measure
from law5 import judged_again

from study.budget import complete
from study.front import candidates
from study.ledger import Ledger
from study.record import runs
from study.referee import FRUITLESS_STARTS, STARTS, Referee
from trainable.contract import Fault, Held, StudyError


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.001
        return self.now


def drive(referee, lanes, most=500):
    """Let the lanes take turns until the study is over; fails the test where it never is."""
    for turn in range(most):
        lanes[turn % len(lanes)].advance(referee.exchange)
        if referee.over is not None:
            return referee.over
    pytest.fail(f"not over after {most} turns")


def check(ledger: Ledger):
    """The record as law 5 wants it: every budgeted trial once, ended, and measured as if alone."""
    records = ledger.records()
    spec = ledger.spec
    assert [r.trial for r in records] == list(range(spec.budget.trials))
    stopped = {said.decision.trial: said for said in ledger.judgements() if said.decision.verdict == "stop"}
    for r in records:
        if r.trial in stopped:
            said = stopped[r.trial]
            assert (r.state, r.epochs, r.reason) == ("stopped", said.epoch, said.decision.reason)
        else:
            assert (r.state, r.epochs) == ("completed", r.config.epochs)
    expected = {
        (r.trial, replicate, epoch): measure(r.config, r.trial, replicate, epoch)
        for r in records
        for replicate in range(spec.search.replicates)
        for epoch in range(1, r.epochs + 1)
        if r.config.measured_at(epoch)
    }
    found = list(ledger.measurements())
    assert {(m.trial, m.replicate, m.epoch): m for m in found} == expected
    assert len(found) == len(expected)
    assert {len(t.values) for t in ledger._optuna.trials} == {2}
    assert complete(ledger) is not None


@pytest.mark.parametrize(
    "overrides", [(), ("search.replicates=3", "train.evaluate_every=3"), ("search.sampler=tpe",)]
)
@pytest.mark.parametrize(("lanes", "slots"), [(1, 1), (3, 2)])
def test_an_undisturbed_study_ends_complete(open_ledger, overrides, lanes, slots):
    """Catches: an end that is not recorded, a budget that is not met."""
    ledger = open_ledger(*overrides)
    run = ledger.claim()
    over = drive(Referee(ledger, run), [FormulaLane(f"{run}.{i}", slots) for i in range(lanes)])
    assert over == "trials: 6 of 6"
    check(ledger)


class Storm:
    """A study in which lanes, answers, the referee and whole runs are lost at random."""

    EVENTS: ClassVar = {
        "advance": 60,
        "kill": 4,
        "lose": 4,
        "repeat": 8,
        "referee": 4,
        "silence": 2,
        "begin": 1,
    }

    def __init__(self, open_ledger, seed, *overrides):
        self.open_ledger = partial(open_ledger, "search.replicates=2", *overrides)
        self.chance, self.clock, self.said = random.Random(seed), Clock(), []
        self.ledger = self.open_ledger()
        self.begin()

    def begin(self):
        """A new run, the last one having left as a killed one does."""
        for run in self.ledger.runs():
            self.ledger.release(run.run, "killed")
        self.ledger.close()
        self.ledger = self.open_ledger()
        self.run = self.ledger.claim()
        self.lanes = [FormulaLane(f"{self.run}.{i}", slots=2) for i in range(3)]
        self.referee()

    def referee(self):
        self.judge = Referee(self.ledger, self.run, clock=self.clock)

    def advance(self):
        self.chance.choice(self.lanes).advance(self.judge.exchange)

    def kill(self):
        i = self.chance.randrange(len(self.lanes))
        self.lanes[i] = self.lanes[i].reborn()

    def lose(self):
        """A lane dies with the answer on its way."""
        i = self.chance.randrange(len(self.lanes))
        self.lanes[i].call(self.judge.exchange)
        self.lanes[i] = self.lanes[i].reborn()

    def repeat(self):
        """Ray makes a call again."""
        lane = self.chance.choice(self.lanes)
        lane.call(self.judge.exchange)
        lane.advance(self.judge.exchange)

    def silence(self):
        self.clock.now += 61

    def rage(self, events):
        for name in self.chance.choices(list(self.EVENTS), list(self.EVENTS.values()), k=events):
            getattr(self, name)()
            before, self.said = self.said, self.ledger.judgements()
            assert self.said[: len(before)] == before
            if (self.judge.over or "").startswith("failed"):
                self.begin()
        if self.judge.over is None:
            self.silence()
            drive(self.judge, self.lanes)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_killed_the_record_ends_as_budgeted(open_ledger, seed):
    """Catches: a lost trial not leased again, a repeated call counted twice, a silent lane waited for."""
    storm = Storm(open_ledger, seed)
    storm.rage(events=150)
    check(storm.ledger)


HALVING = (
    "stopping.rule=pareto-asha",
    "stopping.min_epochs=1",
    "stopping.reduction_factor=2",
    "budget.trials=10",
)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_killed_what_the_rule_said_stands(open_ledger, seed):
    """Catches: a trial judged twice, a rung rebuilt in another order, a stop that a resumed run forgot."""
    storm = Storm(open_ledger, seed, *HALVING)
    storm.rage(events=150)
    check(storm.ledger)
    said = [judgement.decision for judgement in storm.ledger.judgements()]
    assert len({(j.epoch, j.decision.trial) for j in storm.ledger.judgements()}) == len(said)
    assert {decision.verdict for decision in said} == {"go", "stop"}
    assert list(judged_again(storm.ledger)) == said


def test_a_repeated_call_changes_nothing(open_ledger):
    """Catches: an attempt or a trial counted per call instead of per lease."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", slots=2)
    lane.advance(referee.exchange)
    first = lane.call(referee.exchange)
    before = ledger.records()
    assert lane.call(referee.exchange) == first
    assert ledger.records() == before


def test_an_answer_that_was_lost_is_given_again(open_ledger):
    """Catches: a new attempt for a lane that has only missed the answer, and the old one for a new lane."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    lane.advance(referee.exchange)
    lane.leases.clear(), lane.epochs.clear(), lane.unsent.clear()
    leases = lane.call(referee.exchange).leases
    assert [(lease.trial, lease.attempt) for lease in leases] == [(0, 1)]
    reborn = lane.reborn()
    leases = reborn.call(referee.exchange).leases
    assert [(lease.trial, lease.attempt) for lease in leases] == [(0, 2)]


def test_a_lane_with_fewer_slots_gives_up_what_it_cannot_hold(open_ledger):
    """Catches trials that stay leased to a lane whose memory ran out, and leases to slots that are gone."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", slots=4)
    assert len(lane.advance(referee.exchange).leases) == 4
    lane.leases.clear(), lane.epochs.clear(), lane.unsent.clear()
    lane.slots = 1
    assert [lease.trial for lease in lane.advance(referee.exchange).leases] == [0]
    other = FormulaLane(f"{run}.1", slots=4)
    assert [lease.trial for lease in other.advance(referee.exchange).leases] == [1, 2, 3, 4]


def test_a_replaced_incarnation_is_refused(open_ledger):
    """Catches: a lane that was cut off and comes back while its successor trains the same trial."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, old = Referee(ledger, run), FormulaLane(f"{run}.0")
    old.advance(referee.exchange)
    new = old.reborn()
    new.advance(referee.exchange)
    answer = old.call(referee.exchange)
    assert answer.over
    assert [d.verdict for d in answer.decisions] == ["drop"]
    assert list(ledger.measurements()) == []


def test_an_attempt_that_was_given_up_is_dropped(open_ledger):
    """A lane that is restored from a checkpoint older than the record. Catches: two attempts mixed in one."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, old = Referee(ledger, run), FormulaLane(f"{run}.0")
    old.advance(referee.exchange)
    new = old.reborn()
    assert [lease.attempt for lease in new.advance(referee.exchange).leases] == [2]
    old.incarnation = 0
    answer = old.call(referee.exchange)
    assert [d.verdict for d in answer.decisions] == ["drop"]
    assert [(lease.trial, lease.attempt) for lease in answer.leases] == [(0, 3)]


def test_a_silent_lane_loses_its_trial_to_another(open_ledger):
    """Catches: a lease that never expires, and two lanes that train one trial."""
    ledger, clock = open_ledger(), Clock()
    run = ledger.claim()
    referee = Referee(ledger, run, clock=clock)
    silent, other = FormulaLane(f"{run}.0"), FormulaLane(f"{run}.1")
    silent.advance(referee.exchange)
    clock.now += 61
    (lease,) = other.advance(referee.exchange).leases
    assert (lease.trial, lease.attempt) == (0, 2)
    (decision,) = silent.advance(referee.exchange).decisions
    assert (decision.verdict, decision.reason) == ("drop", "no longer leased to this lane")


def test_a_trial_whose_lane_is_lost_again_and_again_fails_with_its_reason(open_ledger):
    """A trial that kills whoever trains it. Catches: a poisoned trial that is handed on for ever."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    for _ in range(STARTS["lane"]):
        assert [lease.trial for lease in lane.advance(referee.exchange).leases] == [0]
        lane.advance(referee.exchange)  # a measurement: it is not the lane that fails
        lane = lane.reborn()
    assert [lease.trial for lease in lane.advance(referee.exchange).leases] == [1]
    record = ledger.records()[0]
    assert (record.state, record.faults) == ("failed", {"lane": STARTS["lane"]})
    assert record.reason.startswith(f"its lane was lost, start {STARTS['lane']} of {STARTS['lane']} that may")
    assert {
        p.trial for p in candidates(ledger.points(), {0: record, 1: ledger.records()[1]}, ledger.spec)
    } <= {1}


@pytest.mark.parametrize("kind", ["memory", "error"])
def test_a_fault_is_tried_again_counted_and_capped(open_ledger, kind):
    """Across a new run too. Catches: a count that is kept in memory only."""
    ledger = open_ledger("budget.trials=1")
    run = ledger.claim()
    lane, starts = FormulaLane(f"{run}.0"), []
    for start in range(STARTS[kind]):
        referee = Referee(ledger, run)
        (lease,) = lane.advance(referee.exchange).leases
        starts.append((lease.trial, lease.attempt))
        fault = Held(lease.trial, lease.attempt, 1, Fault(kind, "Boom: too much"))
        answer = Referee(ledger, run).exchange(lane.name, lane.incarnation, (fault,), (), 0)
        (decision,) = answer.decisions
        assert decision.verdict == ("fail" if start + 1 == STARTS[kind] else "drop")
        assert decision.reason.endswith(": Boom: too much")
        lane.leases.clear()
    assert starts == [(0, attempt) for attempt in range(1, STARTS[kind] + 1)]
    (record,) = ledger.records()
    assert (record.state, record.reason) == ("failed", decision.reason)
    assert complete(ledger) == "trials: 1 of 1"


def test_a_faulty_trial_frees_no_second_slot(open_ledger):
    """Catches: a lane with one slot that is leased two trials after a fault."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    (lease,) = lane.advance(referee.exchange).leases
    fault = Held(lease.trial, lease.attempt, 1, Fault("error", "Boom"))
    answer = referee.exchange(lane.name, lane.incarnation, (fault,), (), 1)
    assert [(x.trial, x.attempt) for x in answer.leases] == [(0, 2)]


def test_slow_epochs_stretch_the_lease(open_ledger):
    """Catches: a lease as long for an epoch of a minute as for one of a moment."""
    ledger, clock = open_ledger(), Clock()
    run = ledger.claim()
    referee = Referee(ledger, run, clock=clock)
    slow, other = FormulaLane(f"{run}.0"), FormulaLane(f"{run}.1")
    slow.advance(referee.exchange)
    slow.unsent = [replace(m, wall_s=20.0) for m in slow.unsent]
    slow.advance(referee.exchange)
    clock.now += 150
    other.advance(referee.exchange)
    assert [d.verdict for d in slow.advance(referee.exchange).decisions] == ["go"]


def test_a_lane_that_starts_in_vain_ends_the_study_with_its_reason(open_ledger):
    """Catches: a lane that is started for ever."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    for _ in range(FRUITLESS_STARTS):
        lane.advance(referee.exchange)
        lane = lane.reborn()
    assert referee.over is None
    lane.advance(referee.exchange)
    assert referee.over == f"failed: lane {run}.0 started 4 times without one measurement"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_fails_its_trial_alone(open_ledger, bad):
    """Catches: NaN on record, a neighbour that fails with it, a diverged trial on the front."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", slots=2)
    lane.advance(referee.exchange)
    lane.unsent = [replace(m, mse=bad) if m.trial == 0 else m for m in lane.unsent]
    decisions = {d.trial: d for d in lane.advance(referee.exchange).decisions}
    assert (decisions[0].verdict, decisions[0].reason) == ("fail", "mse not finite (epoch 1, replicate 0)")
    assert decisions[1].verdict == "go"
    drive(referee, [lane])
    states = {r.trial: r.state for r in ledger.records()}
    assert states == {0: "failed"} | dict.fromkeys(range(1, 6), "completed")
    assert 0 not in {
        p.trial for p in candidates(ledger.points(), {r.trial: r for r in ledger.records()}, ledger.spec)
    }


def test_a_stop_is_heard_and_the_next_run_goes_on(open_ledger):
    """Catches: a stop that is forgotten, and one that the next run still hears."""
    ledger, clock = open_ledger(), Clock()
    run = ledger.claim()
    referee, lane = Referee(ledger, run, clock=clock), FormulaLane(f"{run}.0")
    for _ in range(7):
        lane.advance(referee.exchange)
    assert ledger.request_stop()
    clock.now += 1
    assert lane.advance(referee.exchange).over
    ledger.release(run, referee.over)
    assert complete(ledger) is None
    run = ledger.claim()
    drive(Referee(ledger, run), [FormulaLane(f"{run}.0")])
    check(ledger)


def test_an_end_that_a_kill_cut_off_is_told_by_the_next_run(open_ledger, monkeypatch):
    """Catches: a trial that has its outcome on record and runs for ever in Optuna's tables."""
    ledger = open_ledger()
    run = ledger.claim()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "_tell", killed)
    with pytest.raises(KeyboardInterrupt):
        drive(Referee(ledger, run), [FormulaLane(f"{run}.0")])
    monkeypatch.undo()
    ledger.release(run, "killed")
    run = ledger.claim()
    drive(Referee(ledger, run), [FormulaLane(f"{run}.0")])
    check(ledger)


def test_a_second_run_of_a_study_is_refused(open_ledger):
    """Catches: two drivers of one study, and an owner row that outlives its run."""
    ledger = open_ledger()
    run = ledger.claim()
    with pytest.raises(StudyError, match="already being run by process"):
        open_ledger().claim()
    ledger.release(run, "done")
    assert open_ledger().claim() == run + 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_driver_that_was_killed_and_not_reaped_is_dead(open_ledger):
    """As where a container's first process reaps nobody. Catches: an owner row that no run can take over."""
    ledger = open_ledger()
    run = ledger.claim()
    driver = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = int(Path(f"/proc/{driver.pid}/stat").read_text().rpartition(")")[2].split()[19])
    with ledger._engine.begin() as connection:
        connection.execute(sa.update(runs).where(runs.c.run == run).values(pid=driver.pid, born=born))
    assert ledger.runs()[-1].alive
    driver.kill()
    os.waitid(os.P_PID, driver.pid, os.WEXITED | os.WNOWAIT)
    assert not ledger.runs()[-1].alive
    driver.communicate()


def test_a_budget_that_grew_goes_on(open_ledger):
    """Catches: an end that is kept where it should be counted."""
    ledger = open_ledger()
    run = ledger.claim()
    drive(Referee(ledger, run), [FormulaLane(f"{run}.0")])
    ledger.release(run, "trials")
    ledger = open_ledger("budget.trials=9")
    assert complete(ledger) is None
    run = ledger.claim()
    assert drive(Referee(ledger, run), [FormulaLane(f"{run}.0")]) == "trials: 9 of 9"
    check(ledger)


def test_member_epochs_are_promised_before_they_are_trained(open_ledger):
    """Three lanes ask at once; together they stay within one trial of the budget.

    Catches: epochs that are counted when they are trained.
    """
    ledger = open_ledger("budget.member_epochs=10", "budget.trials=100")
    run = ledger.claim()
    over = drive(Referee(ledger, run), [FormulaLane(f"{run}.{i}") for i in range(3)])
    assert over == "member-epochs: 12 of 10"
    assert len(ledger.records()) == 3


def test_spent_wall_time_ends_the_running_trials_where_they_are(open_ledger):
    """Catches: trials left running when the time is up, whether a lane holds them or nobody does."""
    ledger = open_ledger("train.epochs=1000", "budget.wall_time_s=0.3")
    run = ledger.claim()
    referee, clock = None, Clock()
    referee = Referee(ledger, run, clock=clock)
    lost = FormulaLane(f"{run}.9")
    lost.advance(referee.exchange), lost.advance(referee.exchange)
    clock.now += 61
    over = drive(referee, [FormulaLane(f"{run}.{i}") for i in range(2)], most=5000)
    assert over.startswith("wall time: ")
    states = {r.state for r in ledger.records()}
    assert states == {"stopped"}
    assert all(r.reason.startswith("wall time") for r in ledger.records())


def test_another_spec_under_the_same_name_is_refused(open_ledger):
    """Catches: trials of two questions in one record."""
    open_ledger()
    with pytest.raises(StudyError, match=r"train\.epochs: 4 → 5"):
        open_ledger("train.epochs=5")


def test_a_trial_held_without_its_measurements_starts_again(open_ledger):
    """Catches: a trial that ends with an epoch missing from its record."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    lane.advance(referee.exchange)
    answer = referee.exchange(lane.name, lane.incarnation, [Held(0, 1, 1)], (), 0)
    assert [d.verdict for d in answer.decisions] == ["drop"]
    assert [(lease.trial, lease.attempt) for lease in answer.leases] == [(0, 2)]
