"""Improvement-based stopping: `[budget] plateau`."""

import pytest
from formula import FormulaLane

from study.loop.budget import complete
from study.loop.plateau import Plateau
from study.loop.referee import Referee
from study.record.front import candidates, front, reference

WIDE = "space.learning_rate={ log = [1e-3, 1e-2] }"
LIMIT = "budget.plateau={ trials = 5, gain = 0.01 }"


def finished(ledger):
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    while referee.over is None:
        lane.advance(referee.exchange)
    ledger.release(run, referee.over)
    return referee.over


def volume(ledger, trials):
    """Hypervolume of the first trials, computed from their front."""
    records = {r.trial: r for r in ledger.records()[:trials]}
    points = [p for p in ledger.points() if p.trial in records]
    corner = reference(ledger.baseline, ledger.spec)
    return front(candidates(points, records, ledger.spec), ledger.spec, corner).hypervolume


def test_the_search_ends_with_the_first_trials_that_bring_too_little(open_ledger):
    """One lane, so trials end in order. Catches: a look-back that is one short, a gain of the whole."""
    ledger = open_ledger("budget.trials=200", WIDE, LIMIT)
    over = finished(ledger)
    ended = len(ledger.records())
    assert over.startswith("plateau: the last 5 trials brought ")
    assert complete(ledger) == over
    assert 5 < ended < 200
    rests = [
        n
        for n in range(6, ended + 1)
        if volume(ledger, n - 5) > 0 and volume(ledger, n) < 1.01 * volume(ledger, n - 5)
    ]
    assert rests == [ended]


def test_it_goes_on_when_the_limit_moves(open_ledger):
    ledger = open_ledger("budget.trials=200", WIDE, LIMIT)
    finished(ledger)
    ended = len(ledger.records())
    wider = open_ledger("budget.trials=200", WIDE, LIMIT.replace("5", "20"))
    assert complete(wider) is None
    assert finished(wider).startswith("plateau: the last 20 trials")
    assert len(wider.records()) > ended


@pytest.mark.parametrize("overrides", [(), ("budget.plateau={ trials = 6, gain = 0.01 }",)])
def test_nothing_is_a_plateau_without_a_limit_or_before_enough_trials(open_ledger, overrides):
    ledger = open_ledger(*overrides)
    assert finished(ledger) == "trials: 6 of 6"
    assert Plateau.of(ledger).reached is None


def test_a_front_that_beats_nothing_is_no_plateau(open_ledger):
    """λ = 1 alone never beats the bias model here. Catches: 0 ≥ 0 × gain taken for rest."""
    useless = ("space.weight=1.0", "space.sharing=both", "space.learning_rate=1.0")
    ledger = open_ledger(*useless, "space.hidden={ int = [1, 99] }", LIMIT)
    assert finished(ledger) == "trials: 6 of 6"
