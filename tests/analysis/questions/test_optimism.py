"""The optimism of a front on studies with known answers, and the section that reports it."""

from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.front import non_dominated
from analysis.objective import objectives, to_losses
from analysis.questions.optimism import optimism
from analysis.report.html import page
from analysis.report.sections.optimism import flattered
from analysis.tables import Tables

SEARCH = {0: (0.30, 0.80), 1: (0.35, 0.83), 2: (0.40, 0.86), 3: (0.29, 0.85)}
"""Trial → MRR and MSE in the search, after 5 epochs; trial 3 is dominated."""

LOST = np.array([[-0.012, 0.013], [-0.010, 0.010], [-0.008, 0.007]])
"""What each fresh seed changes, in MRR and MSE, for every point."""


@pytest.fixture
def again(study):
    """Writes a study whose points 0 to 3 were measured again; `extra` is added to the changes of a trial."""

    def made(*, extra=None, leave_out=()):
        trials = [{"trial": t, "weight": 0.9 + t / 100} for t in SEARCH]
        searched = [
            {"trial": t, "replicate": 0, "epoch": 5, "mrr": mrr, "mse": mse}
            for t, (mrr, mse) in SEARCH.items()
        ]
        fresh = [
            {"trial": t, "replicate": r, "epoch": 5, "mrr": mrr + LOST[r, 0] + (extra or {}).get(t, 0.0),
             "mse": mse + LOST[r, 1]}
            for t, (mrr, mse) in SEARCH.items() for r in range(3) if (t, r) not in leave_out
        ]  # fmt: skip
        return Tables.load(study(trials, searched, fresh=fresh))

    return made


def text_of(tables):
    (main,) = ElementTree.fromstring(page("made-up", [flattered(tables)])).iter("main")
    return " ".join(" ".join(main.itertext()).split())


def test_shifts_are_those_of_the_front_with_students_interval(again):
    """Only points of the front count, and seeds are the replicates, not points."""
    found = optimism(again())
    assert found.points["trial"].tolist() == [2, 1, 0]
    assert found.front == 3
    for i, shift in enumerate(found.shifts):
        low, high = stats.ttest_1samp(LOST[:, i], 0).confidence_interval()
        assert (shift.effect, shift.low, shift.high) == pytest.approx((LOST[:, i].mean(), low, high))
        assert shift.n == 3


def test_the_section_says_how_much_the_search_flatters_itself(again):
    text = text_of(again())
    assert "The search's values are too good in MRR (first hit) and MSE." in text
    assert (
        "With 3 fresh seeds on the same data, 3 of 3 points of the front moved on average by −0.0100" in text
    )
    before, fresh = optimism(again()).volumes
    assert before / fresh > 1
    assert f"make it look {before / fresh:.2f} times as large" in text
    assert "3 of 3 points stay non-dominated" in text


def test_a_point_that_fresh_seeds_dominate_does_not_stay(again):
    """Fresh means decide, not the values of the search."""
    tables = again(extra={1: -0.09})
    assert optimism(tables).staying.tolist() == [True, False, True]
    assert "2 of 3 points stay non-dominated" in text_of(tables)


def test_better_values_with_fresh_seeds_are_no_optimism(again):
    text = text_of(again(extra=dict.fromkeys(SEARCH, 0.05)))
    assert "too good in MSE." in text


def test_points_without_every_seed_are_left_out(again):
    found = optimism(again(leave_out={(1, 2)}))
    assert found.points["trial"].tolist() == [2, 0]
    assert found.values.shape == (2, 3, 2)
    assert "2 of 3 points of the front moved" in text_of(again(leave_out={(1, 2)}))


def test_a_study_without_fresh_seeds_has_no_such_section(search):
    assert flattered(Tables.load(search)) is None


# --- calibration -----------------------------------------------------------------------------------------


def simulated(rng, *, trials=20, epochs=12, seeds=3):
    """A study by its tables, and the true values of its front: a seed shifts all points of an epoch together,
    as common draws do, and each point by itself.
    """
    goals = objectives(["mrr", "mse"])
    trade = rng.uniform(size=trials)[:, None]
    at = np.linspace(0.0, 1.0, epochs)
    truth = np.stack([0.36 + 0.05 * trade + 0.02 * at, 0.80 + 0.05 * trade - 0.02 * at], axis=2)

    def measured():
        common, own = (rng.normal(0.0, 0.005, (n, epochs, 2)) for n in (1, trials))
        return truth + common + own

    searched, fresh = measured(), [measured() for _ in range(seeds)]
    flat = searched.reshape(-1, 2)
    best = np.flatnonzero(non_dominated(to_losses(flat, goals)))
    keys = {"trial": best // epochs, "epoch": best % epochs}
    front = pd.DataFrame({**keys, "mrr": flat[best, 0], "mse": flat[best, 1]})
    again = [
        pd.DataFrame(
            {**keys, "replicate": r, "mrr": v.reshape(-1, 2)[best, 0], "mse": v.reshape(-1, 2)[best, 1]}
        )
        for r, v in enumerate(fresh)
    ]
    tables = SimpleNamespace(
        fresh=pd.concat(again), front=front, names=["mrr", "mse"], goals=goals,
        reference=np.array([0.3, 0.9]), split="validation",
    )  # fmt: skip
    return tables, truth.reshape(-1, 2)[best].mean(axis=0) - flat[best].mean(axis=0)


def test_the_optimism_is_unbiased_and_its_interval_covers_the_truth():
    """Over studies whose front was selected by noise. Catches: an interval over points instead of seeds."""
    rng, runs = np.random.default_rng(4), 600
    covered, errors, optimistic = np.zeros(2), [], []
    for _ in range(runs):
        tables, truth = simulated(rng)
        shifts = optimism(tables).shifts
        covered += [s.low <= t <= s.high for s, t in zip(shifts, truth, strict=True)]
        errors.append([s.effect - t for s, t in zip(shifts, truth, strict=True)])
        optimistic.append(truth)
    bias, error = np.mean(errors, axis=0), np.std(errors, axis=0) / np.sqrt(runs)
    print(f"covered {covered / runs} of {runs}; bias {bias} ± {error}")
    assert ((covered / runs > 0.93) & (covered / runs < 0.97)).all()
    assert (np.abs(bias) < 3 * error).all()
    assert np.mean(optimistic, axis=0)[0] < -0.003 < 0.003 < np.mean(optimistic, axis=0)[1]
