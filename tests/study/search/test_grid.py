"""A grid runs every distinct configuration once, the initial ones first, and then the study is complete."""

from itertools import product

import pytest
from asking import LISTS, run, spec_with
from formula import FormulaLane

from study.loop.budget import complete
from study.loop.referee import Referee
from study.search.distinct import space_size
from study.status.snapshot import snapshot
from trainable.contract import Config

GRID = ("search.sampler=grid", *LISTS)
EVERY = {
    (sharing, weight, rate, dim)
    for sharing, weight, rate, dim in product(
        ("none", "users", "items", "both"), (None, 0.5, 0.9, 0.99), (1e-3, 2e-3), (16, 32)
    )
    if (sharing == "none") == (weight is None)
}
"""By hand: where nothing is shared there is no weight."""


def values(config: Config) -> tuple[str, float | None, float, int]:
    return config.sharing, config.weight, config.learning_rate, config.dim


def test_every_distinct_configuration_comes_once() -> None:
    spec = spec_with(*GRID)
    configs = run(spec, 40)
    assert space_size(spec) == len(EVERY) == 40
    assert set(map(values, configs)) == EVERY


def test_the_seed_decides_the_order_and_nothing_else() -> None:
    one, other = (run(spec_with(*GRID, f"search.seed={seed}"), 40) for seed in (0, 1))
    assert one != other
    assert set(one) == set(other)


def test_half_a_grid_is_a_fair_part_of_it() -> None:
    """Not the first sharings alone: over seeds, each comes as often as chance has it."""
    counts = [
        sum(c.sharing == "both" for c in run(spec_with(*GRID, f"search.seed={seed}"), 20))
        for seed in range(20)
    ]
    assert sum(counts) == pytest.approx(20 * 6, abs=25)  # hypergeometric: sd 1.5 each, 6.6 in all


@pytest.mark.parametrize(
    ("named", "first"),
    [
        ("{ weight = 0.9, sharing = 'both', learning_rate = 2e-3, dim = 16 }", ("both", 0.9, 2e-3, 16)),
        ("{ weight = 0.9, dim = 32 }", (None, 0.9, None, 32)),
        ("{ sharing = 'none', learning_rate = 1e-3 }", ("none", None, 1e-3, None)),
        ("{}", (None, None, None, None)),
    ],
)
def test_an_initial_configuration_is_not_repeated(named: str, first: tuple[object, ...]) -> None:
    spec = spec_with(*GRID, f"search.initial=[{named}]")
    configs = run(spec, 40)
    assert set(map(values, configs)) == EVERY
    assert all(w in (None, v) for v, w in zip(values(configs[0]), first, strict=True))


def test_initial_configurations_that_leave_all_open_are_different_ones() -> None:
    spec = spec_with(*GRID, "search.initial=[{ sharing = 'both' }, { sharing = 'both' }]")
    one, other, *_ = configs = run(spec, 40)
    assert one.sharing == other.sharing == "both"
    assert set(map(values, configs)) == EVERY


def test_initial_weights_without_sharing_make_distinct_configurations() -> None:
    """They are trained as named, as in the preset ps1; no sampler draws a third."""
    twice = "search.initial=[{ sharing='none', weight=0.5, dim=16, learning_rate=1e-3 }, "
    spec = spec_with(*GRID, twice + "{ sharing='none', weight=0.9, dim=16, learning_rate=1e-3 }]")
    configs = run(spec, 41)
    assert [c.weight for c in configs[:2]] == [0.5, 0.9]
    assert len({(c.sharing, c.weight, c.learning_rate, c.dim) for c in configs[2:]} & EVERY) == 39


def test_a_weight_that_nothing_uses_may_stay_a_range() -> None:
    spec = spec_with(*GRID, "space.sharing=['none']", "space.weight={ logit = [0.5, 0.9] }")
    assert len(set(run(spec, 4))) == space_size(spec) == 4


@pytest.mark.parametrize(
    ("budget", "reason", "trials"),
    [
        ("trials=100", "all 7 distinct configurations were tried", 7),
        ("trials=7", "all 7 distinct configurations were tried", 7),
        ("trials=5", "trials: 5 of 5", 5),
        ("member_epochs=9", "member-epochs: 12 of 9", 3),
    ],
)
def test_a_study_is_complete_when_its_grid_is_or_its_budget(
    budget: str, reason: str, trials: int, open_ledger
) -> None:
    space = ("space.weight=[0.5, 0.9]", "search.sampler=grid", "search.explore=0")
    ledger = open_ledger(*space, *(() if "trials" in budget else ("budget.trials=50",)), f"budget.{budget}")
    referee, lane = Referee(ledger, ledger.claim()), FormulaLane("a", slots=2)
    while not lane.advance(referee.exchange).over:
        pass
    assert referee.over == complete(ledger) == reason
    records = ledger.records()
    assert [r.state for r in records] == ["completed"] * trials
    assert len({r.config for r in records}) == trials
    ledger.release(referee.run, reason)
    assert snapshot(ledger).share == 1.0
