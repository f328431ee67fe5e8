"""Outcomes of a confirmation on points with known answers, and the page that shows them."""

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from scipy import stats

from analysis.figures.confirmation import confirmed as draw
from analysis.questions import decision
from analysis.questions.confirmation import confirmation
from analysis.questions.resampling import draws
from analysis.report.html import page
from analysis.report.sections.confirmed import confirmed as section
from analysis.report.sections.reproduce import reproduce
from analysis.report.sections.verdict import verdict
from analysis.tables import Tables

SEARCH = {0: (0.30, 0.80), 1: (0.38, 0.82), 2: (0.40, 0.865), 3: (0.34, 0.86)}
"""Trial → MRR and MSE in the search, after 5 epochs."""

NOISE = np.array([-0.002, 0.001, 0.0, -0.001, 0.002])


@pytest.fixture
def confirmed(study):
    """Writes a study of four points and their fresh seeds at `means`, with common noise and a wobble."""

    def made(means, *, seeds=5, wobble=1e-4, **changes):
        trials = [{"trial": t, "weight": 0.9 + t / 100} for t in SEARCH]
        searched = [
            {"trial": t, "replicate": 0, "epoch": 5, "mrr": mrr, "mse": mse}
            for t, (mrr, mse) in SEARCH.items()
        ]
        again = [
            {"trial": t, "replicate": r, "epoch": 5, "mrr": mrr + NOISE[r] + wobble * (-1) ** (r + t),
             "mse": mse - NOISE[r] + wobble * (-1) ** (r // 2 + t)}
            for t, (mrr, mse) in means.items() for r in range(seeds)
        ]  # fmt: skip
        return study(trials, searched, again, **changes)

    return made


def words_of(folder, section=section):
    tables = Tables.load(folder)
    (main,) = ElementTree.fromstring(page("made-up", [section(tables)])).iter("main")
    return " ".join(" ".join(main.itertext()).split())


def test_means_and_intervals_are_students(confirmed):
    found = confirmation(Tables.load(confirmed(SEARCH)))
    assert found.points["trial"].tolist() == [2, 1, 3, 0]
    for values, mean, half in zip(found.values, found.means, found.halves, strict=True):
        for i in range(2):
            low, high = stats.ttest_1samp(values[:, i], 0).confidence_interval()
            assert (mean[i] - half[i], mean[i] + half[i]) == pytest.approx((low, high))


def probabilities(folder):
    """P(non-dominated) and P(knee) of each trial."""
    tables = Tables.load(folder)
    found = confirmation(tables)
    drawn = draws(tables, found)
    trials = found.points["trial"].iloc[drawn.rows]
    return dict(zip(trials, np.column_stack(decision.probabilities(drawn)).tolist(), strict=True))


def test_differences_beyond_the_noise_are_certain(confirmed):
    found = confirmation(Tables.load(confirmed(SEARCH)))
    assert found.non_dominated.tolist() == [True, True, False, True]
    assert probabilities(confirmed(SEARCH)) == {2: [1, 0], 1: [1, 1], 3: [0, 0], 0: [1, 0]}


def test_pairing_by_seed_decides_where_single_intervals_do_not(confirmed):
    """Neighbours differ by less than the seeds' noise, which they share."""
    near = {0: (0.340, 0.850), 1: (0.341, 0.851), 2: (0.342, 0.852), 3: (0.339, 0.853)}
    folder = confirmed(near)
    assert (confirmation(Tables.load(folder)).halves > 0.0015).all()
    assert {trial: round(shares[0], 1) for trial, shares in probabilities(folder).items()} == {
        0: 1, 1: 1, 2: 1, 3: 0
    }  # fmt: skip


def test_differences_within_the_noise_are_undecided(confirmed):
    found = probabilities(confirmed(dict.fromkeys(SEARCH, (0.34, 0.85)), wobble=0.003))
    assert all(0.1 < share < 0.9 for share, _ in found.values())


def test_equal_points_do_not_hold_one_another_back(confirmed):
    found = probabilities(confirmed(SEARCH | {3: SEARCH[1]}, wobble=0.0))
    assert [share for share, _ in found.values()] == [1] * 4


def test_seeds_that_are_not_finite_are_left_out(confirmed):
    folder = confirmed(SEARCH | {1: (np.nan, 0.85)})
    assert confirmation(Tables.load(folder)).points["trial"].tolist() == [2, 3, 0]
    assert list(probabilities(folder)) == [2, 3, 0]


def test_shifts_are_between_means_over_points_and_the_one_search_seed_has_noise_too(confirmed):
    moved = {t: (mrr + 0.02, mse + 0.01) for t, (mrr, mse) in SEARCH.items()}
    mrr, mse = confirmation(Tables.load(confirmed(moved))).shifts
    assert (mrr.effect, mse.effect) == (pytest.approx(0.02), pytest.approx(0.01))
    noise = NOISE.std(ddof=1) * np.sqrt(1 / 5 + 1)
    assert mrr.high - mrr.effect == pytest.approx(stats.t.ppf(0.975, 4) * noise)
    assert (mrr.n, mrr.scope) == (5, "4 points, validation to test")


def test_a_search_with_several_seeds_has_its_own_noise(confirmed):
    """As Student's two-sample test of the means over points, for seeds of both."""
    folder = confirmed(SEARCH)
    path = folder / "tables" / "measurements.parquet"
    rows = pd.read_parquet(path)
    noises = (0.004, -0.001, 0.003)
    again = [rows.assign(replicate=r, mrr=rows["mrr"] + noise) for r, noise in enumerate(noises)]
    pd.concat(again).to_parquet(path, index=False)
    found = confirmation(Tables.load(folder))
    assert found.earlier.values.shape == (4, 3, 2)
    after, before = found.values.mean(axis=0)[:, 0], found.earlier.values.mean(axis=0)[:, 0]
    np.testing.assert_allclose(before - before.mean(), noises - np.mean(noises))
    expected = stats.ttest_ind(after, before)
    assert found.shifts[0].p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval()
    assert (found.shifts[0].low, found.shifts[0].high) == (pytest.approx(low), pytest.approx(high))


def test_page_has_probabilities_shifts_and_trivial_models(confirmed):
    moved = {t: (mrr + 0.02, mse + 0.01) for t, (mrr, mse) in SEARCH.items()}
    words = words_of(confirmed(moved))
    assert "Trained again with 5 fresh seeds, 3 of 4 points are non-dominated on test by the means." in words
    assert "Over other seeds, 3 points are non-dominated with a probability of 0.95 or more." in words
    assert "The test set was opened 2025-02-03T04:05:06+00:00, once." in words
    assert "on test minus values on validation: MRR (first hit) +0.020 [+0.015, +0.025], MSE +0.010" in words
    assert "differ in the ratings that are predicted; in the training data" in words
    assert "in the items left out of a user's ranking" in words
    assert "cannot be assigned to one of these" in words
    assert "0.420 [0.418, 0.422]" in words
    assert "exploratory: fewer than 6 seeds" in words


def test_the_verdict_leads_with_the_answer_on_test(confirmed):
    words = words_of(confirmed(SEARCH), verdict)
    assert words.startswith(
        "Verdict At the knee (trial 1 after 5 epochs) MRR (first hit) 0.380 [0.378, 0.382], MSE 0.820 "
        "[0.818, 0.822] on test; 3 points are distinguishable. Trained again with 5 fresh seeds"
    )
    assert "Trained again with 5 fresh seeds" in words
    assert "One seed per configuration" not in words


def test_a_split_without_validation_says_so(confirmed):
    data = {"source": "ml-100k", "split": "ps1", "sha256": "0", "users": 1, "items": 1, "train": 1,
            "validation": 0, "test": 1, "has_validation": False, "warnings": []}  # fmt: skip
    words = words_of(confirmed(SEARCH, data=data, split="test"))
    assert "no validation part: the points were selected on the test set" in words
    assert "Values on test minus values in the search" in words
    assert "differ only in the seeds, of which the earlier ones selected the points" in words


def test_one_seed_has_no_interval(confirmed):
    words = words_of(confirmed(SEARCH, seeds=1))
    assert "One seed gives no interval and no probability." in words
    assert "none from one seed" in words
    assert "∞" not in words


def test_planned_points_without_a_value_are_counted(confirmed):
    folder = confirmed(SEARCH)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["confirmation"]["points"] += [
        {"trial": 3, "epoch": 4, "why": "on the front", "state": "failed"},
        {"trial": 2, "epoch": 4, "why": "on the front", "state": "not begun"},
    ]
    manifest["confirmation"]["replicates"] = 6
    path.write_text(json.dumps(manifest))
    words = words_of(folder)
    assert "2 of 6 points lack a value (1 failed, 1 not begun)." in words
    assert "4 of 6 planned points have test values. Trained again with" in words
    assert "Not every point has all 6 seeds" in words


def test_points_found_after_the_test_set_was_opened_are_not_confirmed(confirmed):
    folder = confirmed(SEARCH)
    assert "Not confirmed" not in words_of(folder)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["confirmation"]["found_later"] = 2
    path.write_text(json.dumps(manifest))
    assert "found after the points to confirm were chosen. A study chooses them once." in words_of(folder)


def test_a_study_not_confirmed_names_the_command(search):
    assert "Not confirmed yet. Run study confirm made-up" in words_of(search)


def test_page_says_if_the_opened_test_set_has_no_values(search):
    path = search / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test_opened": "2025-02-03T04:05:06+00:00"}))
    assert "opened 2025-02-03T04:05:06+00:00; no point has been measured on it yet" in words_of(search)


def test_the_figure_shows_every_mean_with_its_bars_and_where_it_came_from(confirmed):
    tables = Tables.load(confirmed(SEARCH))
    found = confirmation(tables)
    axes = draw(tables, found, draws(tables, found), 1).figure.axes[0]
    bars = [path for c in axes.collections if isinstance(c, LineCollection) for path in c.get_segments()]
    for mean, half, (_, point) in zip(found.means, found.halves, found.points.iterrows(), strict=True):
        (y, x), (up, right) = mean, half
        for path in (
            ([x - right, y], [x + right, y]),
            ([x, y - up], [x, y + up]),
            ([point["mse"], point["mrr"]], [x, y]),
        ):
            assert any(np.allclose(path, bar) for bar in bars)
    assert axes.get_xlabel() == "← better    MSE, test (rating steps²)"


def test_the_figure_is_the_same_twice_and_draws_one_point_of_one_seed(confirmed):
    tables = Tables.load(confirmed({1: (0.35, 0.85)}, seeds=1))
    drawing = draw(tables, confirmation(tables), None)
    assert drawing.svg() == draw(tables, confirmation(tables), None).svg()
    assert "Bars" not in drawing.caption


@pytest.mark.parametrize("asked", [True, False])
def test_the_commands_confirm_where_a_run_does_not(confirmed_search, asked):
    path = confirmed_search / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"spec": {"confirm": {"points": 2}} if asked else {}}))
    commands = reproduce(Tables.load(confirmed_search)).blocks[0].text.splitlines()
    assert commands[0].startswith("study run ")
    assert ("study confirm made-up" in commands) != asked
