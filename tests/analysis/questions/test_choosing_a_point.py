"""The page's choices are the points that `study pick` takes, for fronts of any shape."""

import shlex

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.objective import objectives, to_losses
from analysis.questions import pick_commands
from analysis.report.sections.choice import choice
from analysis.tables import Tables
from study.cli.app import app
from study.record.rows import Point
from study.results.pick import choose
from study.spec import StudySpec
from study.spec.sections import Budget, Data

ZEROS = {"mrr": 0.0, "mrr_all": 0.0, "mse": 0.0}


def fronted(study, values, goals=("mrr", "mse"), reference=(0.5, 0.5)):
    """A study whose trials have these values of the goals after 5 epochs."""
    trials = [{"trial": i} for i in range(len(values))]
    rows = [
        {"trial": i, "replicate": 0, "epoch": 5} | ZEROS | dict(zip(goals, pair, strict=True))
        for i, pair in enumerate(values)
    ]
    folder = study(trials, rows, objectives=list(goals), reference=dict(zip(goals, reference, strict=True)))
    return Tables.load(folder)


def taken(tables, command):
    """The point that a command takes, by the product's own choice among the front's points."""
    words = shlex.split(command)
    assert words[:3] == ["study", "pick", "made-up"]
    options = {
        "--knee": ("knee", lambda _: True),
        "--max-mse": ("max_mse", float),
        "--min-mrr": ("min_mrr", float),
    }
    name, read = options[words[3]]
    spec = StudySpec(
        name="made-up", objectives=tuple(tables.manifest["objectives"]), data=Data(source="synthetic"),
        budget=Budget(trials=1),
    )  # fmt: skip
    front = tables.front.sort_index()
    points = [
        Point(trial=int(p["trial"]), epoch=int(p["epoch"]), **{n: p[n] for n in ZEROS})
        for p in front.to_dict("records")
    ]
    losses = tables.losses(front)
    if tables.manifest["objectives"] != tables.names:
        losses = losses[:, ::-1]
    points = [points[i] for i in np.lexsort(losses.T[::-1])]
    goals = objectives(spec.objectives)
    corner = to_losses([tables.manifest["reference"][goal.name] for goal in goals], goals)
    return choose(points, spec, corner, **{name: read(words[-1])})


FRONTS = {
    "bulging": [(0.30, 0.80), (0.38, 0.82), (0.40, 0.95)],
    "straight": [(0.30, 0.80), (0.35, 0.85), (0.40, 0.90)],
    "near": [(0.3, 0.8), (np.nextafter(0.3, 1), np.nextafter(0.8, 1)), (0.31, 0.80001), (0.310001, 0.9)],
    "equal": [(0.3, 0.8), (0.3, 0.8), (0.4, 0.9)],
    "one": [(0.3, 0.8)],
}


@pytest.mark.parametrize("values", FRONTS.values(), ids=FRONTS)
@pytest.mark.parametrize("goals", [("mrr", "mse"), ("mse", "mrr"), ("mrr_all", "mse")])
def test_each_point_of_the_front_has_the_command_that_takes_it(study, values, goals):
    if goals[0] == "mse":
        values = [pair[::-1] for pair in values]
    tables = fronted(study, values, goals)
    commands = pick_commands.commands(tables)
    assert set(commands) == set(zip(tables.front["trial"], tables.front["epoch"], strict=True))
    by_trial = tables.front.set_index("trial")
    for (trial, _), command in commands.items():
        found = taken(tables, command)
        assert [found.metrics[n] for n in tables.names] == by_trial.loc[trial, tables.names].tolist()


def test_two_metrics_that_both_grow_have_commands_too(study):
    tables = fronted(study, [(0.3, 0.09), (0.35, 0.08), (0.4, 0.05)], ("mrr", "mrr_all"))
    for (trial, _), command in pick_commands.commands(tables).items():
        assert taken(tables, command).trial == trial


@pytest.mark.parametrize("name", FRONTS)
def test_each_command_takes_the_point_in_its_row(study, name):
    tables = fronted(study, FRONTS[name])
    grid = next(block for block in choice(tables).blocks if block.form == "grid")
    assert len(grid.rows) >= 2
    for row in grid.rows:
        shown = dict(zip(grid.columns, row, strict=True))
        found = taken(tables, shown["command"].strip("`"))
        own = tables.front.set_index("trial").loc[shown["trial"].raw]
        assert [found.metrics[n] for n in tables.names] == own[tables.names].tolist()


def test_a_front_without_a_knee_says_so(study):
    def advice(name):
        return choice(fronted(study, FRONTS[name])).blocks[0].text

    assert advice("straight").startswith("No clear knee")
    assert advice("one").startswith("The front is one point")
    assert advice("bulging").startswith("The knee, where the front bulges most, is trial 1 after 5 epochs")


def test_choices_are_points_that_beat_the_trivial_models_if_any_does(study):
    """The best MRR and the best MSE each lose to one trivial model; the knee is not scaled by them."""
    values = [(0.25, 0.70), (0.30, 0.80), (0.34, 0.81), (0.36, 0.85), (0.40, 1.20)]
    tables = fronted(study, values, reference=(0.26, 0.9))
    grid = next(block for block in choice(tables).blocks if block.form == "grid")
    rules = {row[0]: dict(zip(grid.columns, row, strict=True)) for row in grid.rows}
    assert rules["the knee"]["trial"].raw == 2
    assert rules["the best MRR (first hit)"]["trial"].raw == 3
    assert rules["the best MSE"]["trial"].raw == 1
    for shown in rules.values():
        assert shown["trial"].raw in (1, 2, 3)
        assert taken(tables, shown["command"].strip("`")).trial == shown["trial"].raw
    everything = fronted(study, values, reference=(0.9, 0.1))
    assert len(everything.useful) == len(everything.front) == 5


@given(low=st.floats(1e-6, 20) | st.floats(1e12, 1e38), gap=st.floats(1e-12, 1e6), decimals=st.integers(2, 5))
@example(low=1e-5, gap=1e-5, decimals=2)
@example(low=2.77e35, gap=1e34, decimals=3)
def test_a_bound_is_within_its_limits_and_as_short_as_can_be(low, gap, decimals):
    high = low + gap
    if not low < high:
        return
    bound = pick_commands.shortest(low, high, decimals)
    assert low <= float(bound) < high
    places = -bound.as_tuple().exponent
    if decimals < places < 16:
        shorter = np.ceil(low * 10 ** (places - 1)) / 10 ** (places - 1)
        assert shorter >= high or shorter == pytest.approx(high)


def test_the_options_are_those_of_the_command():
    (command,) = (c for c in app.registered_commands if c.callback.__name__ == "pick")
    options = {f"--{name.replace('_', '-')}" for name in command.callback.__annotations__}
    assert {"--knee", *pick_commands.BOUNDS.values()} <= options
