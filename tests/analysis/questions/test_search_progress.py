"""The hypervolume history against hypervolumes computed anew; and curves that fit their frame."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analysis import text
from analysis.front import hypervolume
from analysis.objective import to_losses
from analysis.questions.hypervolume_history import drawn_at_random, growth
from analysis.report.sections.curves import curves
from analysis.report.sections.search import search as section
from analysis.tables import Tables

BEGAN = datetime(2025, 1, 1, tzinfo=UTC)


def searched(study, *, trials=20, **changes):
    """A study whose trials ended in another order than they began, a minute apart, with 1 to 3 epochs."""
    rng = np.random.default_rng(3)
    order = rng.permutation(trials)
    rows = [
        {
            "trial": t,
            "started": BEGAN.isoformat(),
            "finished": (BEGAN + timedelta(minutes=int(order[t]) + 1)).isoformat(),
        }
        for t in range(trials)
    ]
    measured = [
        {
            "trial": t,
            "replicate": 0,
            "epoch": e,
            "mrr": 0.2 + 0.3 * rng.random(),
            "mse": 0.7 + 0.3 * rng.random(),
        }
        for t in range(trials)
        for e in range(1, 2 + t % 3)
    ]
    epochs = sum(1 + t % 3 for t in range(trials))
    return Tables.load(study(rows, measured, **{"member_epochs": 2 * epochs} | changes)), order


def test_hypervolume_is_that_of_all_trials_that_had_ended(study):
    tables, order = searched(study)
    grown = growth(tables)
    corner = to_losses(tables.reference, tables.goals)
    for at, value in zip(grown["trials"], grown["hypervolume"], strict=True):
        rows = tables.evaluated[order[tables.evaluated["trial"].astype(int)] < at]
        assert value == pytest.approx(hypervolume(tables.losses(rows), corner))
    assert grown["hypervolume"].iloc[-1] == pytest.approx(tables.hypervolume)
    assert grown["wall_s"].tolist() == [60.0 * at for at in range(1, 21)]


def test_the_trials_drawn_at_random_have_a_line_of_their_own(study):
    tables, _ = searched(study)
    assert drawn_at_random(tables) is None
    drawn = tables.trials["trial"] % 4 == 0
    tables.trials["origin"] = np.where(drawn, "explore", "tpe")
    random = drawn_at_random(tables)
    assert set(random["trial"]) == set(tables.trials.loc[drawn, "trial"])
    rows = tables.evaluated[tables.evaluated["trial"] % 4 == 0]
    corner = to_losses(tables.reference, tables.goals)
    assert random["hypervolume"].iloc[-1] == pytest.approx(hypervolume(tables.losses(rows), corner))
    assert random["epochs"].iloc[-1] == tables.trials.loc[drawn, "epochs"].sum()
    figure = section(tables).blocks[1]
    assert "drawn at random" in figure.caption
    lines = [len(axes.lines) for axes in figure.figure.axes]
    assert lines == [4, 4, 3]
    tables.trials["origin"] = "random"
    assert drawn_at_random(tables) is None


def test_section_numbers_are_those_of_the_history(study):
    tables, _ = searched(study)
    grown, made = growth(tables), section(tables)
    half, end = grown["epochs"].iloc[-1] / 2, grown["hypervolume"].iloc[-1]
    before = grown.loc[grown["epochs"] <= half, "hypervolume"].iloc[-1]
    assert made.numbers["at_half"] == pytest.approx(before / end)
    assert f"reached {text.percent(before / end)} of the final hypervolume, {end:.5f}" in made.blocks[0].text


def test_the_data_name_the_trials_that_raised_the_hypervolume(study):
    """One raised it, and the end, which did not, is shown too."""
    trials = [
        {"trial": t, "finished": (BEGAN + timedelta(minutes=t)).isoformat(), "started": BEGAN.isoformat()}
        for t in range(3)
    ]
    measured = [
        {"trial": t, "replicate": 0, "epoch": 1, "mrr": 0.4 - t / 100, "mse": 0.8 + t / 100} for t in range(3)
    ]
    grid = section(Tables.load(study(trials, measured))).blocks[2]
    assert [row[0] for row in grid.rows] == ["0", "2"]
    assert "at 1 trial that raised it, and at the end" in grid.caption


@pytest.mark.parametrize(
    ("trials", "answer"),
    [(0, "No trial has ended"), (2, "of the final hypervolume"), (20, "of the final hypervolume")],
)
def test_answer_depends_on_the_number_of_trials(study, trials, answer):
    if trials:
        tables, _ = searched(study, trials=trials, reference={"mrr": 0.1, "mse": 1.2})
    else:
        tables = Tables.load(study([], []))
    assert answer in section(tables).blocks[0].text


def test_a_rise_is_not_called_a_trend(study):
    """Where all trials draw from one distribution the hypervolume rises too: the report promises nothing."""
    tables, _ = searched(study)
    assert growth(tables)["hypervolume"].is_monotonic_increasing
    said = " ".join(block.text for block in section(tables).blocks if block.form == "text")
    assert "rising" not in said
    assert "its rise does not show that a longer search would find more" in said


def test_points_before_the_last_epoch_are_no_reason_to_stop_there(study):
    """Epochs of 20 trials are exchangeable here, and yet nearly every point lies before the last of 30."""
    rng = np.random.default_rng(0)
    measured = [
        {"trial": t, "replicate": 0, "epoch": e,
         "mrr": 0.3 + 0.1 * rng.random(), "mse": 0.8 + 0.1 * rng.random()}
        for t in range(20) for e in range(1, 31)
    ]  # fmt: skip
    tables = Tables.load(study([{"trial": t} for t in range(20)], measured))
    assert (tables.front["epoch"] < 30).mean() > 0.8
    answer = curves(tables).blocks[0].text
    first, last = int(tables.front["epoch"].min()), int(tables.front["epoch"].max())
    assert answer.startswith(
        f"The points of the front lie at epochs {first} to {last}, and its trials have 30"
    )
    assert "does not show that stopping there helps" in answer
    assert "trade-off" not in answer


def test_nothing_better_than_the_trivial_models_is_no_progress(study):
    tables, _ = searched(study, reference={"mrr": 0.9, "mse": 0.1})
    assert "stays 0" in section(tables).blocks[0].text


def test_trials_that_run_have_no_end_yet(study):
    rows = [{"trial": 0, "state": "running", "finished": None}]
    tables = Tables.load(study(rows, [{"trial": 0, "replicate": 0, "epoch": 1, "mrr": 0.3, "mse": 0.8}]))
    assert not len(growth(tables))


def test_curves_of_the_front_lie_in_the_frame_where_they_matter(search):
    tables = Tables.load(search)
    drawing = next(block for block in curves(tables).blocks if block.form == "drawing")
    for axes, goal, reference in zip(drawing.figure.axes, tables.goals, tables.reference, strict=True):
        low, high = axes.get_ylim()
        assert low < reference < high
        for line in axes.lines[1:]:
            assert low < line.get_ydata()[-1] < high
        drawn = {tuple(at) for marks in axes.collections for at in marks.get_offsets().tolist()}
        assert drawn <= set(zip(tables.front["epoch"], tables.front[goal.name], strict=True))


def test_one_epoch_has_no_curves(study):
    tables = Tables.load(
        study([{"trial": 0}], [{"trial": 0, "replicate": 0, "epoch": 7, "mrr": 0.3, "mse": 0.8}])
    )
    assert "no curves to show" in curves(tables).blocks[0].text
