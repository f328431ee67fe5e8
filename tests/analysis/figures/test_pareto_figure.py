"""The Pareto figure: the same bytes, no touching labels, a staircase and nothing else, honest counts."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from analysis.figures.front import pareto
from analysis.figures.labels import Label, distances, place, segments
from analysis.figures.style import Shades, draw_staircase
from analysis.tables import Tables

NONE = np.empty((0, 2))

DRAW = """
import hashlib, sys
from pathlib import Path
from analysis.figures.front import pareto
from analysis.tables import Tables
drawing = pareto(Tables.load(Path(sys.argv[1])))
print(hashlib.sha256(drawing.svg().encode()).hexdigest())
"""


def test_svg_is_the_same_in_another_process(search):
    import hashlib

    here = hashlib.sha256(pareto(Tables.load(search)).svg().encode()).hexdigest()
    there = subprocess.run([sys.executable, "-c", DRAW, search], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_files_are_the_same_twice(search, tmp_path):
    tables = Tables.load(search)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        pareto(tables).save(tmp_path / name, Path.write_bytes)
    for kind in ("svg", "pdf", "png"):
        one, two = (tmp_path / name / f"front.{kind}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes(), kind


def test_the_staircase_touches_every_front_point_and_turns_only_squarely(search):
    tables = Tables.load(search)
    axes = Figure().add_subplot()
    axes.set(xlim=(0.7, 1.2), ylim=(0.2, 0.5))
    draw_staircase(axes, tables.losses(tables.front), tables.goals)
    edge = axes.lines[0].get_xydata()
    steps = np.diff(edge, axis=0)
    assert (np.isclose(steps, 0).sum(axis=1) >= 1).all()
    for _, point in tables.front.iterrows():
        assert (edge == [point["mse"], point["mrr"]]).all(axis=1).any()


def test_no_evaluated_point_lies_beyond_the_staircase(search):
    tables = Tables.load(search)
    axes = Figure().add_subplot()
    axes.set(xlim=(0.7, 1.2), ylim=(0.2, 0.5))
    draw_staircase(axes, tables.losses(tables.front), tables.goals)
    edge = axes.lines[0].get_xydata()
    for _, point in tables.evaluated.iterrows():
        reached = edge[edge[:, 0] <= point["mse"], 1]
        assert len(reached)
        assert point["mrr"] <= reached.max()


def test_labels_do_not_overlap():
    axes = Figure().add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    rng = np.random.default_rng(0)
    labels = [Label(x, y, f"label {i}") for i, (x, y) in enumerate(rng.random((60, 2)))]
    wall = segments(axes.transData.transform([[0.5, 0.0], [0.5, 1.0]]), width=4)
    placed = place(axes, labels, marks=NONE, clear=wall, dots=NONE, size=8, color="black")
    boxes = [text.get_window_extent() for text in axes.texts]
    assert placed == len(boxes)
    assert 5 < placed < 60
    assert not any(a.overlaps(b) for a, b in combinations([*boxes, *wall], 2))


@pytest.mark.parametrize("count", [12, 40])
def test_labels_of_a_crowded_front_are_nearest_to_their_own_marks(study, count):
    """Points along a narrow front, some hardly apart, and dominated ones just behind them."""
    rng = np.random.default_rng(count)
    mse = np.sort(rng.uniform(0.80, 0.86, count))
    mrr = 0.30 + mse / 10 - 0.004 * rng.integers(0, 2, count)
    weights = rng.uniform(0.5, 0.999, count)
    folder = study(
        [{"trial": i, "weight": weights[i]} for i in range(count)],
        [{"trial": i, "replicate": 0, "epoch": i + 1, "mrr": mrr[i], "mse": mse[i]} for i in range(count)],
    )
    tables = Tables.load(folder)
    axes = pareto(tables).figure.axes[0]
    rows = tables.evaluated[tables.evaluated["stands"]]
    spots = axes.transData.transform(rows[["mse", "mrr"]])
    corner = axes.transData.transform(tables.reference[None, ::-1])
    labels = [note for note in axes.texts if "ep." in note.get_text()]
    assert labels
    for note in labels:
        epoch = int(note.get_text().removesuffix(" ep.").rpartition("· ")[2])
        own = rows["epoch"].to_numpy() == epoch
        box = note.get_window_extent()
        near, others = distances(box, spots[own]), np.vstack([spots[~own], corner])
        assert (distances(box, others) > 1.4 * near).all(), note.get_text()


def test_a_label_that_would_stand_beside_another_mark_is_left_out():
    axes = Figure().add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    marks = axes.transData.transform([[0.5, 0.5], [0.51, 0.5], [0.49, 0.5], [0.5, 0.51], [0.5, 0.49]])
    pair = [Label(0.5, 0.5, "within a cluster"), Label(0.8, 0.8, "alone")]
    assert place(axes, pair, marks=marks, clear=[], dots=NONE, size=8, color="black") == 1
    assert [note.get_text() for note in axes.texts] == ["alone"]


def test_a_label_takes_the_place_that_covers_fewest_dots():
    axes = Figure().add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    left = axes.transData.transform(np.column_stack([np.linspace(0.3, 0.49, 200), np.full(200, 0.5)]))
    crowd = np.vstack([left + np.array((0, shift)) for shift in range(-20, 30, 5)])
    place(axes, [Label(0.5, 0.5, "label")], marks=NONE, clear=[], dots=crowd, size=8, color="black")
    (note,) = axes.texts
    box = note.get_window_extent()
    assert not ((crowd > box.min) & (crowd < box.max)).all(axis=1).any()


def test_fills_grow_with_the_weight():
    weights = np.array([0.5, 0.9, 0.99, 0.999])
    shades = Shades.over(weights)
    assert (np.diff(shades.alpha(weights)) > 0).all()
    assert shades.alpha(np.array([0.5, 0.999, np.nan])).tolist() == [0.0, 1.0, 1.0]
    assert shades.ticks.tolist() == [0.5, 0.9, 0.99, 0.999]
    assert len(Shades.over(np.array([np.nan])).ticks) == 0


def points_of(values, **trial):
    trials = [{"trial": i, **trial} for i in range(len(values))]
    measured = [
        {"trial": i, "replicate": 0, "epoch": 5, "mrr": a, "mse": b} for i, (a, b) in enumerate(values)
    ]
    return trials, measured


def test_far_points_leave_the_frame_readable_and_are_counted(study):
    values = [(0.30, 0.80), (0.35, 0.85), (0.1, 13.0), (0.5, 9.0), (0.29, 0.86)]
    drawing = pareto(Tables.load(study(*points_of(values))))
    low, high = drawing.figure.axes[0].get_xlim()
    assert 0.7 < low < 0.80
    assert 0.871 < high < 1.0
    assert "Outside the frame: 2 points, 1 of them on the front." in drawing.caption
    assert "The front has 3 of 5 evaluated points" in drawing.caption


def test_where_nothing_beats_the_reference_all_few_points_are_in_the_frame(study):
    values = [(0.05, 1.2), (0.1, 1.4), (0.2, 0.9)]
    drawing = pareto(Tables.load(study(*points_of(values))))
    (x0, x1), (y0, y1) = drawing.figure.axes[0].get_xlim(), drawing.figure.axes[0].get_ylim()
    assert all(x0 < mse < x1 and y0 < mrr < y1 for mrr, mse in [*values, (0.274, 0.871)])
    assert "Outside" not in drawing.caption


@pytest.mark.parametrize(
    "values", [[], [(0.3, 0.8)], [(0.3, 0.8)] * 4, [(0.274, 0.871)], [(0.3, 0.8), (0.3, 0.9)]],
    ids=["none", "one", "all equal", "on the reference", "one value of an objective"],
)  # fmt: skip
def test_few_or_equal_points_still_make_a_figure(study, values):
    drawing = pareto(Tables.load(study(*points_of(values))))
    ElementTree.fromstring(drawing.svg())
    assert f" of {len(values)} evaluated point" in drawing.caption


def test_objectives_that_both_grow_are_drawn_too(study):
    trials, measured = points_of([(0.3, 0.8), (0.35, 0.9)])
    folder = study(
        trials, [row | {"mrr_all": 0.06 - row["mrr"] / 10} for row in measured],
        objectives=["mrr", "mrr_all"], reference={"mrr": 0.2, "mrr_all": 0.01},
    )  # fmt: skip
    axes = pareto(Tables.load(folder)).figure.axes[0]
    assert axes.get_xlabel().endswith("better →")
    assert axes.get_ylabel().endswith("better →")


def test_front_labels_carry_weight_and_epochs(study):
    figure = pareto(Tables.load(study(*points_of([(0.3, 0.8)], weight=0.9931)))).figure
    words = [text.get_text() for text in figure.axes[0].texts if isinstance(text, Annotation)]
    assert "λ 0.9931 · 5 ep." in words


def crowd(count=6, gap=0.0008):
    """A front whose middle points lie within a mark of one another, far from its ends."""
    middle = [(0.34 + gap * i, 0.80 + gap * i) for i in range(count)]
    return [(0.28, 0.72), *middle, (0.40, 0.865)]


def test_an_inset_magnifies_marks_that_overlap(study):
    drawing = pareto(Tables.load(study(*points_of(crowd()))))
    (axes,) = drawing.figure.axes
    (within,) = axes.child_axes
    drawing.figure.draw_without_rendering()
    box = within.get_window_extent()
    places = axes.transData.transform([(mse, mrr) for mrr, mse in crowd()])
    assert not ((places > box.min) & (places < box.max)).all(axis=1).any()
    magnified = within.transData.transform([(mse, mrr) for mrr, mse in crowd()[1:-1]])
    assert ((magnified > box.min) & (magnified < box.max)).all()
    assert np.ptp(magnified, axis=0).min() > 1.8 * np.ptp(places[1:-1], axis=0).min()
    assert "The inset magnifies" in drawing.caption


def test_marks_apart_have_no_inset(study):
    drawing = pareto(Tables.load(study(*points_of([(0.28, 0.72), (0.34, 0.8), (0.40, 0.865)]))))
    assert drawing.figure.axes[0].child_axes == []
    assert "inset" not in drawing.caption


def test_the_knee_has_a_ring_and_a_key(study):
    tables = Tables.load(study(*points_of([(0.28, 0.72), (0.38, 0.74), (0.40, 0.865)])))
    figure = pareto(tables).figure
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    assert [line.get_xydata().tolist() for line in rings] == [[[0.74, 0.38]]]
    assert "knee" in [entry.get_text() for legend in figure.legends for entry in legend.get_texts()]
