"""What stopping rules promise: who goes on, told by brute force and by Optuna; the best always, NaN never."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
from formula import FormulaLane
from hypothesis import given, settings
from hypothesis import strategies as st

from study.parts import Stopping
from study.referee import Referee
from study.rules import RULES, Candidate, rule

CORNER = (4.0, 4.0)


@st.composite
def arrivals(draw, most=14):
    """Losses in the order in which trials reach a rung: on a coarse grid, where ties abound and sums are
    exact, some inside the reference and some not.
    """
    return draw(st.lists(st.tuples(*[st.integers(-2, 6).map(float)] * 2), min_size=1, max_size=most))


def judged(stopping, losses, corner=CORNER, epoch=9):
    """The rule's Decisions on trials 0, 1, … that reach one rung in this order, each with a past as good."""
    judge, rung, decisions = rule(stopping).judge, [], []
    for trial, row in enumerate(losses):
        candidate = Candidate(trial, epoch, tuple(row))
        own = [replace(candidate, epoch=e) for e in range(1, epoch)]
        decisions.append(judge(corner, tuple(rung), own, candidate))
        rung.append(candidate)
    return decisions


def halving(factor=3, min_epochs=9):
    return Stopping(rule="pareto-asha", min_epochs=min_epochs, reduction_factor=factor)


# --- an oracle: halving as one would do it by hand -------------------------------------------------------


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def area(losses, corner):
    """What these losses dominate up to the corner: unit squares, counted."""
    low, high = -2, int(max(corner))
    return sum(
        any(a <= x and b <= y for a, b in losses)
        for x in range(low, min(high, int(corner[0])))
        for y in range(low, min(high, int(corner[1])))
    )


def best_first(losses, corner):
    """The trials from best to worst, by peeling layer after layer; of equals the earlier is ahead."""
    inside = [i for i, row in enumerate(losses) if all(x < c for x, c in zip(row, corner, strict=True))]
    order = []
    for group in (inside, [i for i in range(len(losses)) if i not in inside]):
        left = list(group)
        while left:
            layer = [i for i in left if not any(dominates(losses[j], losses[i]) for j in left)]
            whole = area([losses[i] for i in layer], corner)
            alone = {i: whole - area([losses[j] for j in layer if j != i], corner) for i in layer}
            order += sorted(layer, key=lambda i: (-alone[i], i))
            left = [i for i in left if i not in layer]
    return order


@given(arrivals(), st.integers(2, 4))
def test_a_trial_stops_where_it_is_not_among_the_best_of_those_that_came(losses, factor):
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
def test_a_rung_does_not_care_for_units(losses, a, b):
    scaled = [(a * x, b * y) for x, y in losses]
    assert judged(halving(), scaled, (a * 4, b * 4)) == judged(halving(), losses)


def test_of_equal_trials_the_earlier_is_ahead():
    decisions = judged(halving(2), [(1.0, 1.0)] * 6)
    assert [d.verdict for d in decisions] == ["go", "stop", "stop", "stop", "stop", "stop"]
    assert decisions[-1].reason == "rung 9 epochs: rank 6 of 6, places 3"


# --- with one objective ----------------------------------------------------------------------------------


@st.composite
def falling_curves(draw, rungs=3, most=9):
    """Different losses (trials, rungs); each trial's fall from one rung to the next."""
    trials = draw(st.integers(1, most))
    values = draw(st.permutations(range(trials * rungs)))
    return [sorted(values[i::trials], reverse=True) for i in range(trials)]


@settings(max_examples=60)
@given(falling_curves(), st.integers(2, 4), st.integers(-1, 30), st.randoms(use_true_random=False))
def test_with_one_objective_it_is_successive_halving_as_optuna_does_it(curves, factor, reference, chance):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
    optuna_study = optuna.create_study(pruner=pruner)
    trials = [optuna_study.ask() for _ in curves]
    mine, rungs, own = rule(halving(factor, min_epochs=1)), {}, {t.number: [] for t in trials}
    running, epoch = list(trials), dict.fromkeys(range(len(trials)), 0)
    while running:
        trial = chance.choice(running)
        number = trial.number
        epoch[number] += 1
        step = epoch[number]
        passed = sum(mine.judges(e) for e in range(1, step + 1))
        if passed > len(curves[number]):
            running.remove(trial)
            continue
        loss = float(curves[number][passed - 1])
        trial.report(loss, step)
        candidate, pruned = Candidate(number, step, (loss, loss)), trial.should_prune()
        if mine.judges(step):
            rung = rungs.setdefault(step, [])
            decision = mine.judge((float(reference), float(reference)), rung, own[number], candidate)
            rung.append(candidate)
            assert (decision.verdict == "stop") == pruned
        own[number].append(candidate)
        if pruned:
            running.remove(trial)


def test_rungs_lie_at_powers_of_the_factor():
    assert [e for e in range(250) if rule(halving()).judges(e)] == [9, 27, 81, 243]
    assert [e for e in range(20) if rule(halving(2, min_epochs=1)).judges(e)] == [1, 2, 4, 8, 16]


# --- the simple rules ------------------------------------------------------------------------------------


@given(arrivals())
def test_the_median_rule_stops_what_is_worse_than_half(losses):
    """By counting: a trial stops where more than half of those that came are better than it is."""
    assert [e for e in range(40) if rule(Stopping(rule="median")).judges(e)] == [0, 9, 18, 27, 36]

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
    """Catches: the smallest MRR taken for the best, as one would who minimises whatever it is given."""
    base = {"mrr": 0.4, "mse": 0.8}
    ledger = open_ledger(*RUNG_AT_1, f"objectives={objectives}")
    decisions = answers(ledger, [base, base | better, base | worse])
    assert [d.reason for d in decisions] == [
        "rung 1 epochs: rank 1 of 1, places 1",
        "rung 1 epochs: rank 1 of 2, places 1",
        "rung 1 epochs: rank 3 of 3, places 1",
    ]
    assert [d.verdict for d in decisions] == ["go", "go", "stop"]
    assert [said.decision for said in ledger.judgements()] == decisions


@pytest.mark.parametrize("name", [name for name in RULES if name != "never"])
@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_what_is_not_finite_neither_goes_on_nor_counts(open_ledger, name, bad):
    """Catches: a NaN that compares as neither better nor worse, and so survives or pushes others out."""
    ledger = open_ledger(*RUNG_AT_1, f"stopping.rule={name}")
    fine = {"mrr": 0.4, "mse": 0.8}
    decisions = answers(ledger, [{"mrr": 0.5, "mse": bad}, fine])
    assert [d.verdict for d in decisions] == ["fail", "go"]
    assert [said.decision for said in ledger.judgements()] == decisions[1:]
