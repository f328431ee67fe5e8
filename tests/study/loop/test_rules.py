"""Stopping rules against brute force and Optuna: the best always continues, NaN never."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
from formula import FormulaLane
from hypothesis import example, given, settings
from hypothesis import strategies as st

from study.loop.referee import Referee
from study.loop.rules.registry import RULES, rule
from study.loop.rules.rule import Candidate
from study.spec.sections import Stopping

CORNER = (4.0, 4.0)


@st.composite
def arrivals(draw, most=14):
    """Losses in the order in which trials reach a rung: on a coarse grid, where ties abound and sums are
    exact, some inside the reference and some not.
    """
    return draw(st.lists(st.tuples(*[st.integers(-2, 6).map(float)] * 2), min_size=1, max_size=most))


def judged(stopping, losses, corner=CORNER, epoch=9):
    """The rule's Decisions on trials 0, 1, … that reach one rung in this order, each at its best."""
    judge, rung, decisions = rule(stopping).judge, [], []
    for trial, row in enumerate(losses):
        candidate = Candidate(trial, epoch, tuple(row))
        own = [replace(candidate, epoch=e, losses=(999.0, 999.0)) for e in range(1, epoch)]
        decisions.append(judge(corner, tuple(rung), own, candidate))
        rung.append(candidate)
    return decisions


def halving(factor=3, min_epochs=9):
    return Stopping(rule="pareto-asha", min_epochs=min_epochs, reduction_factor=factor)


# --- an oracle: halving as one would do it by hand -------------------------------------------------------


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def area(losses, corner):
    """Number of unit squares that these losses dominate up to the corner."""
    low, high = -2, int(max(corner))
    return sum(
        any(a <= x and b <= y for a, b in losses)
        for x in range(low, min(high, int(corner[0])))
        for y in range(low, min(high, int(corner[1])))
    )


def lack(row, corner):
    """Distance outside the reference, summed over the objectives as shares of it."""
    return sum(max(x - c, 0) / abs(c) for x, c in zip(row, corner, strict=True))


def best_first(losses, corner):
    """The trials from best to worst, by peeling layer after layer; of equals the earlier is ahead."""
    inside = [i for i, row in enumerate(losses) if all(x < c for x, c in zip(row, corner, strict=True))]
    order, left = [], list(inside)
    while left:
        layer = [i for i in left if not any(dominates(losses[j], losses[i]) for j in left)]
        whole = area([losses[i] for i in layer], corner)
        alone = {i: whole - area([losses[j] for j in layer if j != i], corner) for i in layer}
        order += sorted(layer, key=lambda i: (-alone[i], i))
        left = [i for i in left if i not in layer]
    outside = [i for i in range(len(losses)) if i not in inside]
    return order + sorted(outside, key=lambda i: (lack(losses[i], corner), i))


@given(arrivals(), st.integers(2, 4))
def test_trial_outside_the_places_of_a_rung_stops(losses, factor):
    for n, decision in enumerate(judged(halving(factor), losses), start=1):
        rank, places = best_first(losses[:n], CORNER).index(n - 1) + 1, max(1, n // factor)
        assert decision.verdict == ("go" if rank <= places else "stop")
        assert decision.reason == f"rung 9 epochs: rank {rank} of {n}, places {places}"


@given(arrivals(), st.sampled_from([name for name in RULES if name != "never"]))
def test_a_trial_that_dominates_all_before_it_goes_on(losses, name):
    best = (min(x for x, _ in losses) - 1, min(y for _, y in losses) - 1)
    assert judged(Stopping(rule=name), [*losses, best])[-1].verdict == "go"


@given(arrivals(), st.integers(2, 4))
def test_a_rung_does_not_care_which_objective_is_named_first(losses, factor):
    swapped = judged(halving(factor), [row[::-1] for row in losses])
    assert swapped == judged(halving(factor), losses)


@given(arrivals(), st.sampled_from([0.25, 8.0]), st.sampled_from([0.5, 16.0]))
@example([(0.0, 0.0), *[(0.0, 2.0)] * 4, (2.0, 1.0)], 8.0, 16.0)
def test_a_rung_does_not_care_for_units(losses, a, b):
    scaled = [(a * x, b * y) for x, y in losses]
    assert judged(halving(), scaled, (a * 4, b * 4)) == judged(halving(), losses)


def test_of_equal_trials_the_earlier_is_ahead():
    decisions = judged(halving(2), [(1.0, 1.0)] * 6)
    assert [d.verdict for d in decisions] == ["go", "stop", "stop", "stop", "stop", "stop"]
    assert decisions[-1].reason == "rung 9 epochs: rank 6 of 6, places 3"


# --- patience --------------------------------------------------------------------------------------------


@given(arrivals(), st.integers(1, 20))
def test_trial_without_improvement_in_a_sixth_of_its_epochs_stops(rows, idle):
    """By hand: the last epoch with a new minimum of either objective."""
    rows = [*rows, *[(9.0, 9.0)] * idle]
    lower = [e for e, row in enumerate(rows) if any(all(row[m] < r[m] for r in rows[:e]) for m in (0, 1))]
    *own, candidate = [Candidate(1, epoch, row) for epoch, row in enumerate(rows, start=1)]
    best, only_first_is_rung = lower[-1] + 1, rule(halving(factor=1000, min_epochs=1))
    behind = only_first_is_rung.judge(CORNER, [Candidate(0, len(rows), (-3.0, -3.0))], own, candidate)
    assert behind.verdict == ("stop" if 6 * best <= 5 * len(rows) else "go")
    if behind.verdict == "stop":
        assert behind.reason == f"{len(rows)} epochs: rank 2 of 2; no objective improved since epoch {best}"
    assert only_first_is_rung.judge(CORNER, [], own, candidate).verdict == "go"


# --- with one objective ----------------------------------------------------------------------------------


@st.composite
def falling_curves(draw, epochs=9, most=9):
    """Different losses (trials, epochs); each trial's fall from one epoch to the next."""
    trials = draw(st.integers(1, most))
    values = draw(st.permutations(range(trials * epochs)))
    return [sorted(map(float, values[i::trials]), reverse=True) for i in range(trials)]


@settings(max_examples=60)
@given(falling_curves(), st.integers(2, 4), st.integers(-1, 90), st.randoms(use_true_random=False))
def test_with_one_objective_it_is_successive_halving_as_optuna_does_it(curves, factor, reference, chance):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
    optuna_study = optuna.create_study(pruner=pruner)
    trials = [optuna_study.ask() for _ in curves]
    mine, rungs, own = rule(halving(factor, min_epochs=1)), {}, [[] for _ in curves]
    running = list(trials)
    while running:
        trial = chance.choice(running)
        epoch = len(own[trial.number]) + 1
        loss = curves[trial.number][epoch - 1]
        candidate = Candidate(trial.number, epoch, (loss, loss))
        trial.report(loss, epoch)
        rung, corner = rungs.setdefault(epoch, []), (float(reference),) * 2
        decision = mine.judge(corner, rung, own[trial.number], candidate)
        assert (decision.verdict == "stop") == trial.should_prune()
        rung.append(candidate)
        own[trial.number].append(candidate)
        if decision.verdict == "stop" or epoch == len(curves[trial.number]):
            running.remove(trial)


def test_rungs_lie_at_powers_of_the_factor_times_the_first():
    def rungs(stopping):
        """Epochs at which a trial stops that is worse than another but was never better itself."""
        judge, ahead = rule(stopping), (0.0, 0.0)
        for epoch in filter(judge.judges, range(250)):
            before, now = Candidate(1, epoch - 1, (2.0, 2.0)), Candidate(1, epoch, (1.0, 1.0))
            if judge.judge(CORNER, [Candidate(0, epoch, ahead)], [before], now).verdict == "stop":
                yield epoch

    assert list(rungs(halving(3))) == [9, 27, 81, 243]
    assert list(rungs(halving(2, min_epochs=1))) == [1, 2, 4, 8, 16, 32, 64, 128]
    assert [e for e in range(40) if rule(halving(3)).judges(e)] == [9, 18, 27, 36]


# --- the simple rules ------------------------------------------------------------------------------------


@given(arrivals())
def test_the_median_rule_stops_what_is_worse_than_half(losses):
    """By sorting: the middle of the boxes of those that came, or between the two in the middle."""

    def box(row):
        lack = [max(x - c, 0) / c for x, c in zip(row, CORNER, strict=True)]
        return -sum(lack) if any(lack) else float(np.prod([c - x for x, c in zip(row, CORNER, strict=True)]))

    boxes = [box(row) for row in losses]
    for n, decision in enumerate(judged(Stopping(rule="median"), losses), start=1):
        came, own = sorted(boxes[:n]), boxes[n - 1]
        middle = (came[(n - 1) // 2] + came[n // 2]) / 2
        assert decision.verdict == ("stop" if own < middle else "go")


def test_the_rule_never_stops_nothing():
    never = rule(Stopping(rule="never"))
    assert not any(never.judges(e) for e in range(100))
    assert {d.verdict for d in judged(Stopping(rule="never"), [(0.0, 0.0), (9.0, 9.0)])} == {"go"}


# --- through the referee ---------------------------------------------------------------------------------

RUNG_AT_1 = ("stopping.rule=pareto-asha", "stopping.min_epochs=1", "stopping.reduction_factor=2")


def answers(ledger, metrics):
    """The Decisions on trials 0, 1, … that measure these metrics after their first epoch, in turn."""
    run = ledger.claim()
    referee, lanes = Referee(ledger, run), [FormulaLane(f"{run}.{i}") for i in range(len(metrics))]
    for lane in lanes:
        lane.advance(referee.exchange)
    for lane, values in zip(lanes, metrics, strict=True):
        lane.unsent = [replace(m, **values) for m in lane.unsent]
    return [lane.advance(referee.exchange).decisions[0] for lane in lanes]


@pytest.mark.parametrize("objectives", ["['mrr', 'mse']", "['mse', 'mrr']"])
@pytest.mark.parametrize(("better", "worse"), [({"mrr": 0.5}, {"mrr": 0.35}), ({"mse": 0.7}, {"mse": 0.85})])
def test_each_objective_keeps_its_direction(open_ledger, objectives, better, worse):
    """MRR is maximised, MSE minimised."""
    base = {"mrr": 0.4, "mse": 0.8}
    ledger = open_ledger(*RUNG_AT_1, f"objectives={objectives}")
    decisions = answers(ledger, [base, base | better, base | worse])
    assert [d.reason for d in decisions] == [
        "rung 1 epochs: rank 1 of 1, places 1",
        "rung 1 epochs: rank 1 of 2, places 1",
        "rung 1 epochs: rank 3 of 3, places 1",
    ]
    assert [d.verdict for d in decisions] == ["go", "go", "stop"]
    assert [judgement.decision for judgement in ledger.judgements()] == decisions


@pytest.mark.parametrize("name", [name for name in RULES if name != "never"])
@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_what_is_not_finite_neither_goes_on_nor_counts(open_ledger, name, bad):
    """A NaN does not survive by comparing as neither better nor worse, and removes no other trial."""
    ledger = open_ledger(*RUNG_AT_1, f"stopping.rule={name}")
    fine = {"mrr": 0.4, "mse": 0.8}
    decisions = answers(ledger, [{"mrr": 0.5, "mse": bad}, fine])
    assert [d.verdict for d in decisions] == ["fail", "go"]
    assert [judgement.decision for judgement in ledger.judgements()] == decisions[1:]
