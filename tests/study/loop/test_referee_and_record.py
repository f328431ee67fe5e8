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

from study.loop.budget import complete
from study.loop.referee import FRUITLESS_STARTS, Referee
from study.loop.retries import STARTS
from study.record.front import candidates
from study.record.ledger import Ledger
from study.record.tables import ATTRIBUTES_TABLE, runs
from study.status.snapshot import snapshot
from trainable.contract import Fault, Held, LaneReport, StudyError


def some(few, all_):
    """Seeds: `make test` has the first few of them, `make long` the others."""
    return [*range(few), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(few, all_))]


class Clock:
    """A monotonic clock that a test advances."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.001
        return self.now


def drive(referee, lanes, most=500):
    """Let the lanes take turns until the study is over; fail the test if it never ends."""
    for turn in range(most):
        lanes[turn % len(lanes)].advance(referee.exchange)
        if referee.over is not None:
            return referee.over
    pytest.fail(f"not over after {most} turns")


def check(ledger: Ledger):
    """Assert law 5: every budgeted trial occurs once, ended, and measured as if trained alone."""
    records = ledger.records()
    spec = ledger.spec
    assert [r.trial for r in records] == list(range(spec.budget.trials))
    stopped = {j.decision.trial: j for j in ledger.judgements() if j.decision.verdict == "stop"}
    for r in records:
        if r.trial in stopped:
            judgement = stopped[r.trial]
            assert (r.state, r.epochs, r.reason) == ("stopped", judgement.epoch, judgement.decision.reason)
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
    """Every end is on record, and the budget is met."""
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
        self.chance, self.clock, self.judged = random.Random(seed), Clock(), []
        self.ledger = self.open_ledger()
        self.begin()

    def begin(self):
        """Start a new run after a killed one."""
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
        """Kill a lane before it gets its answer."""
        i = self.chance.randrange(len(self.lanes))
        self.lanes[i].call(self.judge.exchange)
        self.lanes[i] = self.lanes[i].reborn()

    def repeat(self):
        """Repeat a call, as Ray may."""
        lane = self.chance.choice(self.lanes)
        lane.call(self.judge.exchange)
        lane.advance(self.judge.exchange)

    def silence(self):
        self.clock.now += 61

    def rage(self, events):
        for name in self.chance.choices(list(self.EVENTS), list(self.EVENTS.values()), k=events):
            getattr(self, name)()
            before, self.judged = self.judged, self.ledger.judgements()
            assert self.judged[: len(before)] == before
            if (self.judge.over or "").startswith("failed"):
                self.begin()
        if self.judge.over is None:
            self.silence()
            drive(self.judge, self.lanes)


@pytest.mark.parametrize("seed", some(4, 12))
def test_whatever_is_killed_the_record_ends_as_budgeted(open_ledger, seed):
    """Lost trials are leased again, repeated calls count once, and no call waits for a silent lane."""
    storm = Storm(open_ledger, seed)
    storm.rage(events=150)
    check(storm.ledger)


HALVING = (
    "stopping.rule=pareto-asha",
    "stopping.min_epochs=1",
    "stopping.reduction_factor=2",
    "budget.trials=10",
)


@pytest.mark.parametrize("seed", some(2, 4))
def test_whatever_is_killed_what_the_rule_said_stands(open_ledger, seed):
    """Each trial is judged once at a rung, rungs keep their order, and a resumed run keeps the stops."""
    storm = Storm(open_ledger, seed, *HALVING)
    storm.rage(events=150)
    check(storm.ledger)
    decisions = [judgement.decision for judgement in storm.ledger.judgements()]
    assert len({(j.epoch, j.decision.trial) for j in storm.ledger.judgements()}) == len(decisions)
    assert {decision.verdict for decision in decisions} == {"go", "stop"}
    assert list(judged_again(storm.ledger)) == decisions


def test_a_repeated_call_changes_nothing(open_ledger):
    """Attempts and trials are counted per lease, not per call."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", slots=2)
    lane.advance(referee.exchange)
    first = lane.call(referee.exchange)
    before = ledger.records()
    assert lane.call(referee.exchange) == first
    assert ledger.records() == before


def test_an_answer_that_was_lost_is_given_again(open_ledger):
    """A lane that missed an answer keeps its attempt; a new lane gets a new one."""
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
    """Trials that no longer fit return to the queue, and lost slots get no lease."""
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
    """A lane that was cut off cannot train a trial that its successor trains."""
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
    old.incarnation = FormulaLane("another").incarnation
    answer = old.call(referee.exchange)
    assert [d.verdict for d in answer.decisions] == ["drop"]
    assert [(lease.trial, lease.attempt) for lease in answer.leases] == [(0, 3)]


def test_a_silent_lane_loses_its_trial_to_another(open_ledger):
    """Leases expire, and no two lanes train one trial."""
    ledger, clock = open_ledger(), Clock()
    run = ledger.claim()
    referee = Referee(ledger, run, clock=clock)
    silent, other = FormulaLane(f"{run}.0"), FormulaLane(f"{run}.1")
    silent.advance(referee.exchange), silent.advance(referee.exchange)
    clock.now += 61
    (lease,) = other.advance(referee.exchange).leases
    assert (lease.trial, lease.attempt) == (0, 2)
    (decision,) = silent.advance(referee.exchange).decisions
    assert (decision.verdict, decision.reason) == ("drop", "no longer leased to this lane")


def test_trial_fails_after_too_many_lost_lanes(open_ledger):
    """A trial kills each of its lanes. Catches: a poison trial that is leased for ever."""
    ledger = open_ledger("budget.trials=1")
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    for _ in range(STARTS["lane"]):
        assert [lease.trial for lease in lane.advance(referee.exchange).leases] == [0]
        lane.advance(referee.exchange)  # a measurement: it is not the lane that fails
        lane = lane.reborn()
    lane.advance(referee.exchange)
    assert referee.over == "trials: 1 of 1"
    (record,) = ledger.records()
    assert (record.state, record.faults) == ("failed", {"lane": STARTS["lane"]})
    assert record.reason.startswith(f"its lane was lost, failure {STARTS['lane']} of {STARTS['lane']}: ")
    assert candidates(ledger.points(), {0: record}, ledger.spec) == []


@pytest.mark.parametrize("kind", ["memory", "error"])
def test_a_fault_is_tried_again_counted_and_capped(open_ledger, kind):
    """Also in a new run. Catches: a count in memory only."""
    ledger = open_ledger("budget.trials=1")
    run = ledger.claim()
    lane, starts = FormulaLane(f"{run}.0"), []
    for start in range(STARTS[kind]):
        referee = Referee(ledger, run)
        (lease,) = lane.advance(referee.exchange).leases
        starts.append((lease.trial, lease.attempt))
        fault = Held(lease.trial, lease.attempt, 1, Fault(kind, "Boom: too much"))
        answer = Referee(ledger, run).exchange(LaneReport(lane.name, lane.incarnation, (fault,)))
        (decision,) = answer.decisions
        assert decision.verdict == ("fail" if start + 1 == STARTS[kind] else "drop")
        assert decision.reason.endswith(": Boom: too much")
        lane.leases.clear()
    assert starts == [(0, attempt) for attempt in range(1, STARTS[kind] + 1)]
    (record,) = ledger.records()
    assert (record.state, record.reason) == ("failed", decision.reason)
    assert complete(ledger) == "trials: 1 of 1"


def test_a_faulty_trial_frees_no_second_slot(open_ledger):
    """A lane with one slot has one lease after a fault."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    (lease,) = lane.advance(referee.exchange).leases
    fault = Held(lease.trial, lease.attempt, 1, Fault("error", "Boom"))
    answer = referee.exchange(LaneReport(lane.name, lane.incarnation, (fault,), free=1))
    assert [(x.trial, x.attempt) for x in answer.leases] == [(0, 2)]


def test_slow_epochs_stretch_the_lease(open_ledger):
    """A lease is longer for an epoch of a minute than for a short one."""
    ledger, clock = open_ledger(), Clock()
    run = ledger.claim()
    referee = Referee(ledger, run, clock=clock)
    slow, other = FormulaLane(f"{run}.0"), FormulaLane(f"{run}.1")
    slow.epoch_s = 20.0
    slow.advance(referee.exchange), slow.advance(referee.exchange)
    clock.now += 150
    other.advance(referee.exchange)
    assert [d.verdict for d in slow.advance(referee.exchange).decisions] == ["go"]


def test_a_lane_that_starts_in_vain_ends_the_study_with_its_reason(open_ledger):
    """The number of starts is limited."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    for _ in range(FRUITLESS_STARTS):
        lane.advance(referee.exchange)
        lane = lane.reborn()
    assert referee.over is None
    lane.advance(referee.exchange)
    assert referee.over == f"failed: lane {run}.0 started 9 times without progress"


class DyingLane(FormulaLane):
    """A lane that dies of each trial in `kills`, after the epoch given there, and of more than `room`
    trials at once; with `saves` it resumes from its checkpoint.
    """

    def __init__(self, name, slots, kills, *, room=100, saves=False):
        super().__init__(name, slots)
        self._kills, self._room, self._saves = kills, room, saves

    def advance(self, exchange):
        answer = self.call(exchange)
        trains = {d.trial: self.epochs[d.trial] for d in answer.decisions if d.verdict == "go"}
        trains |= {lease.trial: 0 for lease in answer.leases}
        if len(trains) > self._room or any(self._kills.get(n) == epoch for n, epoch in trains.items()):
            self.incarnation = self.reborn().incarnation
            if not self._saves:
                self.leases, self.epochs, self.unsent = {}, {}, []
        else:
            self.obey(answer)
        return answer


@pytest.mark.parametrize(
    ("lanes", "slots", "killers"),
    [
        pytest.param(1, 1, {0}, marks=pytest.mark.long),
        (1, 1, {3, 4}),
        pytest.param(1, 2, {0, 1}, marks=pytest.mark.long),
        (1, 4, {2, 3, 7}),
        (1, 12, {11}),
        pytest.param(2, 4, {6}, marks=pytest.mark.long),
        (3, 2, {2, 5, 7}),
    ],
)
def test_poison_trial_in_its_first_epoch_fails_alone(open_ledger, lanes, slots, killers):
    """For example one too large for the machine. Catches: other trials that fail with it; an ended run."""
    ledger = open_ledger("budget.trials=16" if slots < 12 else "budget.trials=12")
    run = ledger.claim()
    dying = [DyingLane(f"{run}.{i}", slots, dict.fromkeys(killers, 0)) for i in range(lanes)]
    assert drive(Referee(ledger, run), dying) == complete(ledger)
    failed = [r for r in ledger.records() if r.trial in killers]
    assert {(r.state, r.faults["deadly"], r.epochs) for r in failed} == {("failed", STARTS["deadly"], 0)}
    assert all(r.reason.startswith("it killed its lane, failure 3 of 3: ") for r in failed)
    others = [r for r in ledger.records() if r.trial not in killers]
    assert {(r.state, "deadly" in r.faults) for r in others} == {("completed", False)}
    assert max(r.faults.get("lane", 0) for r in others) < STARTS["lane"] / 2
    assert {(m.trial, m.epoch) for m in ledger.measurements()} == {
        (r.trial, epoch) for r in others for epoch in range(1, r.epochs + 1)
    }


@pytest.mark.parametrize("saves", [False, True])
@pytest.mark.parametrize(("lanes", "slots"), [(1, 1), (1, 6), (2, 3)])
def test_poison_trial_after_its_first_epoch_fails_alone(open_ledger, lanes, slots, saves):
    """The lane is not restored for ever, and trials that started with the poison trial do not fail."""
    ledger = open_ledger()
    run = ledger.claim()
    dying = [DyingLane(f"{run}.{i}", slots, {1: 2}, saves=saves) for i in range(lanes)]
    assert drive(Referee(ledger, run), dying, most=2000) == "trials: 6 of 6"
    failed, others = ledger.records()[1], [r for r in ledger.records() if r.trial != 1]
    assert (failed.state, failed.faults, failed.epochs) == ("failed", {"lane": STARTS["lane"]}, 2)
    assert {r.state for r in others} == {"completed"}


@pytest.mark.parametrize("room", [1, pytest.param(5, marks=pytest.mark.long)])
def test_lane_with_more_slots_than_memory_still_trains(open_ledger, room):
    """For example too little memory. Catches: sound trials that are quarantined one after the other."""
    ledger = open_ledger("budget.trials=20")
    run = ledger.claim()
    assert drive(Referee(ledger, run), [DyingLane(f"{run}.0", 8, {}, room=room)], most=2000) == complete(
        ledger
    )
    assert {r.state for r in ledger.records()} == {"completed"}


def test_early_and_late_poison_trials_are_distinguished(open_ledger):
    """Newcomers are not blamed for the fault of an older trial."""
    ledger = open_ledger("budget.trials=8")
    run = ledger.claim()
    drive(Referee(ledger, run), [DyingLane(f"{run}.0", 8, {7: 0, 0: 1})], most=2000)
    assert complete(ledger) == "trials: 8 of 8"
    assert [r.state for r in ledger.records()] == ["failed", *["completed"] * 6, "failed"]


def test_unproven_poison_trials_end_the_run_and_fail_in_the_next(open_ledger):
    """The last two trials, in a lane of one slot. Catches: a study that never completes."""
    ledger, ends = open_ledger("budget.trials=6"), []
    while ends[-1:] != ["trials: 6 of 6"]:
        run = ledger.claim()
        ends.append(drive(Referee(ledger, run), [DyingLane(f"{run}.0", 1, {4: 0, 5: 0})]))
        ledger.release(run, ends[-1])
        assert [r.state for r in ledger.records()][:4] == ["completed"] * 4
    assert all(end.startswith("failed: lane ") for end in ends[:-1])
    assert len(ends) <= 3
    assert [r.state for r in ledger.records()][4:] == ["failed"] * 2


@pytest.mark.parametrize("slots", [1, 4])
def test_lane_that_dies_with_every_trial_is_at_fault_itself(open_ledger, slots):
    """A broken machine does not fail one trial after the other."""
    ledger = open_ledger("budget.trials=12")
    run = ledger.claim()
    over = drive(Referee(ledger, run), [DyingLane(f"{run}.0", slots, dict.fromkeys(range(12), 0))])
    assert over == f"failed: lane {run}.0 started 9 times without progress"
    assert {r.state for r in ledger.records()} == {"running"}


def test_a_lane_that_breaks_is_not_what_it_trains(open_ledger):
    """The lane was sound before. Catches: a broken machine that fails the remaining trials."""
    ledger = open_ledger("budget.trials=3")
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    while 2 not in lane.leases:
        lane.advance(referee.exchange)
    over = drive(referee, [DyingLane(lane.name, 1, {2: 0})])
    assert over == f"failed: lane {run}.0 started 9 times without progress"
    assert [r.state for r in ledger.records()] == ["completed", "completed", "running"]


def test_quarantined_trial_runs_its_first_epoch_alone(open_ledger):
    """Also by the next referee. Catches: a trial that is tried for ever, or that blocks new ones."""
    ledger = open_ledger("budget.trials=9")
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", 2)
    for _ in range(2):
        assert [lease.trial for lease in lane.call(referee.exchange).leases] == [0, 1]
        lane = lane.reborn()
    referee = Referee(ledger, run, prefetch=True)
    assert [lease.trial for lease in lane.advance(referee.exchange).leases] == [2]  # proves the lane
    assert referee.wanting
    lane.slots = 4
    assert [lease.trial for lease in lane.advance(referee.exchange).leases] == [0]
    assert [lease.trial for lease in lane.advance(referee.exchange).leases] == [1]
    assert drive(Referee(ledger, run), [lane]) == "trials: 9 of 9"
    assert {r.state for r in ledger.records()} == {"completed"}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_fails_its_trial_alone(open_ledger, bad):
    """NaN is not on record, neighbours continue, and the diverged trial is not on the front."""
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
    """A request to stop ends one run, and only that one."""
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
    """A trial with its outcome on record does not stay running in Optuna's tables."""
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
    """A study has one driver, and the row of the owner ends with its run."""
    ledger = open_ledger()
    run = ledger.claim()
    with pytest.raises(StudyError, match="already being run by process"):
        open_ledger().claim()
    ledger.release(run, "done")
    assert open_ledger().claim() == run + 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_driver_that_was_killed_and_not_reaped_is_dead(open_ledger):
    """As in a container that reaps no zombies. Catches: an owner row that no run can take over."""
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
    """The reason for an end is computed from the budget, not stored."""
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
    """No trial, held or not, stays running when the time is spent."""
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


def test_waiting_for_a_lane_spends_no_wall_time(open_ledger):
    """Another study has all CPUs. Catches: a budget that is spent by waiting in the queue."""
    ledger, clock = open_ledger("budget.wall_time_s=600"), Clock()
    for _ in range(2):
        run = ledger.claim()
        referee = Referee(ledger, run, clock=clock)
        ledger._skew += 3600
        clock.now += 3600
        ledger.renew(run)
        assert snapshot(ledger).wall_s == 0
        if run == 1:
            ledger.release(run, "interrupted")
    assert drive(referee, [FormulaLane(f"{run}.0")]) == "trials: 6 of 6"
    ledger._skew += 60
    ledger.release(run, "trials")
    assert 60 <= sum(r.wall_s for r in ledger.runs()) < 600


def test_a_referee_that_is_replaced_goes_on_with_the_clock(open_ledger):
    """The wall time does not restart with the referee."""
    ledger, clock = open_ledger("budget.wall_time_s=600", "train.epochs=1000"), Clock()
    run = ledger.claim()
    lane = FormulaLane(f"{run}.0")
    lane.advance(Referee(ledger, run, clock=clock).exchange)
    ledger._skew += 700
    ledger.renew(run)
    assert drive(Referee(ledger, run, clock=clock), [lane]).startswith("wall time: 7")


def test_a_run_of_an_earlier_version_began_at_its_start(open_ledger):
    """Its record has no clock. Catches: a record whose wall time is lost."""
    ledger = open_ledger()
    run = ledger.claim()
    with ledger._engine.begin() as connection:
        connection.execute(sa.delete(ATTRIBUTES_TABLE).where(ATTRIBUTES_TABLE.c.key == f"clock/{run}"))
    ledger._skew += 60
    ledger.release(run, "trials")
    assert 60 <= ledger.runs()[0].wall_s < 600


def test_another_spec_under_the_same_name_is_refused(open_ledger):
    """A record has trials of one spec."""
    open_ledger()
    with pytest.raises(StudyError, match=r"train\.epochs: 4 → 5"):
        open_ledger("train.epochs=5")


def test_a_trial_held_without_its_measurements_starts_again(open_ledger):
    """No trial ends with an epoch missing from its record."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    lane.advance(referee.exchange)
    answer = referee.exchange(LaneReport(lane.name, lane.incarnation, [Held(0, 1, 1)]))
    assert [d.verdict for d in answer.decisions] == ["drop"]
    assert [(lease.trial, lease.attempt) for lease in answer.leases] == [(0, 2)]


def test_a_first_call_that_is_repeated_is_one_start(open_ledger):
    """A lane stops waiting while its call stays queued; also with a new referee.

    Catches: a study that ends because one lane's first answer was late.
    """
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    first = lane.call(referee.exchange)
    for _ in range(2 * FRUITLESS_STARTS):
        assert lane.call(referee.exchange) == first
    assert lane.call(Referee(ledger, run).exchange) == first
    assert ledger.lane(lane.name)["starts"] == 1
    assert [(r.attempt, r.faults) for r in ledger.records()] == [(1, {})]


def test_lane_without_a_timed_epoch_keeps_its_trials_longer(open_ledger):
    """The first epoch is long and not measured. Catches: a trial that is lost in each attempt."""
    ledger, clock = open_ledger("train.evaluate_every=4", "budget.trials=2"), Clock()
    run = ledger.claim()
    referee = Referee(ledger, run, clock=clock)
    lanes = [FormulaLane(f"{run}.{i}", epoch_s=300.0) for i in range(2)]
    while referee.over is None:
        for lane in lanes:
            lane.advance(referee.exchange)
            clock.now += 150
    assert [(r.state, r.attempt) for r in ledger.records()] == [("completed", 1)] * 2


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_lane_whose_process_is_gone_loses_its_trials_soon(open_ledger, epochs):
    """Also with long epochs. Catches: hours of waiting for a lane that died with its node."""
    ledger, clock = open_ledger(), Clock()
    run = ledger.claim()
    referee = Referee(ledger, run, clock=clock)
    lost, other = FormulaLane(f"{run}.0", epoch_s=1000.0), FormulaLane(f"{run}.1", slots=3)
    for _ in range(1 + 2 * epochs):
        lost.advance(referee.exchange)
    referee.lose(lost.name)
    clock.now += 59
    assert [lease.trial for lease in other.call(referee.exchange).leases] == [1, 2, 3]
    clock.now += 2
    assert [lease.trial for lease in other.call(referee.exchange).leases] == [1, 2, 3]
    other.slots = 4
    assert [lease.trial for lease in other.call(referee.exchange).leases] == [1, 2, 3, 0]


def test_a_lane_that_is_back_is_as_patiently_waited_for_as_before(open_ledger):
    """A lane that once lost its process keeps its trials at long epochs."""
    ledger, clock = open_ledger("budget.trials=1"), Clock()
    run = ledger.claim()
    referee = Referee(ledger, run, clock=clock)
    lane, other = FormulaLane(f"{run}.0", epoch_s=300.0), FormulaLane(f"{run}.1")
    lane.advance(referee.exchange)
    referee.lose(lane.name)
    lane = lane.reborn()
    lane.epoch_s = 300.0
    while referee.over is None:
        lane.advance(referee.exchange)
        clock.now += 150
        other.advance(referee.exchange)
    assert [(r.state, r.attempt) for r in ledger.records()] == [("completed", 2)]


def test_how_long_a_lane_may_be_silent_is_on_record(open_ledger):
    """A restarted referee does not take a lane with long epochs for a lost one."""
    ledger, clock = open_ledger(), Clock()
    run = ledger.claim()
    referee = Referee(ledger, run, clock=clock)
    slow, other = FormulaLane(f"{run}.0"), FormulaLane(f"{run}.1")
    slow.advance(referee.exchange), slow.advance(referee.exchange)
    slow.epoch_s = 1000.0
    slow.advance(referee.exchange)
    referee = Referee(ledger, run, clock=clock)
    other.advance(referee.exchange)
    clock.now += 1000
    other.advance(referee.exchange)
    assert [d.verdict for d in slow.advance(referee.exchange).decisions] == ["go"]


def test_a_referee_that_was_busy_takes_nobody_for_silent(open_ledger, monkeypatch):
    """The database is slow. Catches: trials that are taken from lanes whose calls were waiting."""
    ledger, clock = open_ledger(), Clock()
    run = ledger.claim()
    referee = Referee(ledger, run, clock=clock)
    lanes = [FormulaLane(f"{run}.{i}") for i in range(3)]
    for lane in [*lanes, *lanes]:
        lane.advance(referee.exchange)
    record = ledger.record

    def slowly(batch):
        clock.now += 100
        record(batch)

    monkeypatch.setattr(ledger, "record", slowly)
    lanes[0].advance(referee.exchange)
    monkeypatch.undo()
    for lane in lanes:
        assert [d.verdict for d in lane.advance(referee.exchange).decisions] == ["go"]
    assert {r.attempt for r in ledger.records()} == {1}


def test_a_lane_that_gets_further_each_time_is_no_lost_one(open_ledger):
    """A long trial is measured only at its end; its lane is killed and resumes from its checkpoint.

    Catches: a study that ends despite progress of its lanes, or never ends without progress; a trial that
    fails after many lost lanes, although it resumes from each.
    """
    ledger = open_ledger("train.epochs=20", "train.evaluate_every=20")
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    lane.advance(referee.exchange)
    for _ in range(2 * FRUITLESS_STARTS):
        lane.advance(referee.exchange)
        restored = lane.reborn()
        restored.obey(restored.call(referee.exchange))
        restored.epochs = dict(lane.epochs)  # of its checkpoint
        lane = restored
    assert referee.over is None
    (trial,) = ledger.records()
    assert (trial.attempt, trial.faults) == (2 * FRUITLESS_STARTS + 1, {"lane": 1})
    for _ in range(FRUITLESS_STARTS + 1):
        lane = lane.reborn()
        lane.advance(referee.exchange)
    assert referee.over.startswith("failed: lane ")


def test_a_lane_that_leaves_gives_its_trials_to_others(open_ledger):
    """Ray takes its node away. Catches: a fault, a trial that waits for the lane, a new trial for it."""
    ledger = open_ledger("budget.trials=1")
    run = ledger.claim()
    referee = Referee(ledger, run)
    leaving, other = FormulaLane(f"{run}.0"), FormulaLane(f"{run}.1")
    leaving.advance(referee.exchange), leaving.advance(referee.exchange)
    held = tuple(Held(n, x.attempt, leaving.epochs[n]) for n, x in leaving.leases.items())
    report = LaneReport(leaving.name, leaving.incarnation, held, tuple(leaving.unsent), 0, leaving=True)
    for _ in range(2):  # a repeated report changes nothing
        answer = referee.exchange(report)
        assert (answer.leases, answer.park, answer.over) == ((), True, False)
        assert [d.verdict for d in answer.decisions] == ["drop"]
    assert [(x.trial, x.attempt) for x in other.call(referee.exchange).leases] == [(0, 2)]
    assert ledger.records()[0].faults == {}


def test_a_run_that_has_lost_the_study_writes_nothing(open_ledger):
    """As after a pause of minutes. Catches: a measurement, an end or a draw beside the other's."""
    ledger, clock = open_ledger("budget.trials=2"), Clock()
    run = ledger.claim()
    referee, lane = Referee(ledger, run, clock=clock), FormulaLane(f"{run}.0", slots=2)
    for _ in range(3):
        lane.advance(referee.exchange)
    ledger.release(run, "died")
    other = open_ledger("budget.trials=2")
    other.claim()
    kept = other.records(), list(other.measurements())
    clock.now += 1
    answer = lane.call(referee.exchange)
    assert (answer.over, {d.verdict for d in answer.decisions}) == (True, {"drop"})
    assert referee.over == "failed: another run of this study took it over"
    assert not referee.wanting
    assert (other.records(), list(other.measurements())) == kept


def test_a_trial_that_a_killed_referee_was_drawing_is_trained(open_ledger):
    """Its ask was recorded after the next referee had read. Catches: a trial that is left running."""
    ledger = open_ledger("budget.trials=3")
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    lane.advance(referee.exchange)
    ledger.ask()
    drive(referee, [lane])
    assert {r.state for r in ledger.records()} == {"completed"}
    assert complete(ledger) is not None


def test_slots_that_were_given_up_are_not_filled_again(open_ledger):
    """A trial that ends makes no room beyond the present number of slots."""
    ledger = open_ledger("budget.trials=20")
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", slots=4)
    lane.advance(referee.exchange)
    lane.slots = 2
    for _ in range(10):
        lane.advance(referee.exchange)
    assert len(lane.leases) == 2


def test_each_start_that_failed_has_its_reason_on_record(open_ledger):
    """Reasons are recorded, not only counted."""
    ledger = open_ledger()
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    (lease,) = lane.advance(referee.exchange).leases
    fault = Held(lease.trial, lease.attempt, 1, Fault("error", "Boom: too much"))
    referee.exchange(LaneReport(lane.name, lane.incarnation, (fault,)))
    lane.leases.clear(), lane.epochs.clear(), lane.unsent.clear()
    lane.advance(Referee(ledger, run).exchange)
    lane.reborn().advance(Referee(ledger, run).exchange)
    (record,) = open_ledger().records()
    assert record.retries == (
        "its training raised an error, failure 1 of 3: Boom: too much",
        f"its lane was lost, failure 1 of 10: lane {run}.0 started again",
    )


def test_a_run_that_is_refused_changes_nothing_of_the_one_there_is(open_ledger, tmp_path):
    """A refused run's budget does not end the active run."""
    ledger = open_ledger("budget.trials=40")
    ledger.claim()
    ledger.adopt(tmp_path / "formula")
    other = open_ledger("budget.trials=3")
    with pytest.raises(StudyError, match="already being run"):
        other.claim()
    assert Ledger.read(tmp_path / "formula").spec.budget.trials == 40
    assert "trials = 40" in (tmp_path / "formula" / "study.toml").read_text(encoding="utf-8")
