"""Views of the front: rows spread along it, marks for beaten trivial models, confirmed values."""

import csv
import json
import shutil
from contextlib import closing
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from documents import first_column, section
from formula import BASELINE, SPEC, FormulaLane
from rich.console import Console
from serving import served
from typer.testing import CliRunner

from study.cli import local
from study.cli.app import app
from study.loop.confirmation import begin
from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.results.export import export
from study.spec import StudySpec
from study.spec.sections import Confirm
from study.status.front_table import FrontTable
from study.status.snapshot import as_dict, snapshot
from trainable.contract import METRICS

SEARCHED = ("space.learning_rate={ log = [2e-3, 2e-2] }", "space.weight_decay={ log = [1e-2, 1.0] }")


def drive(ledger):
    """Train the rest of the record."""
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", 2)
    while referee.over is None:
        lane.advance(referee.exchange)
    ledger.release(run, referee.over)


def confirm(ledger, *, points=4, replicates=3):
    """Confirm the front to its end."""
    confirmation = begin(ledger, Confirm(points=points, replicates=replicates))
    confirmation.fix(BASELINE)
    drive(confirmation)
    return confirmation


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a complete search whose front has more points than a command shows."""
    folder = tmp_path_factory.mktemp("front") / "formula"
    overrides = ("budget.trials=80", "train.epochs=12", *SEARCHED)
    spec = StudySpec.from_text(SPEC, where="test", overrides=overrides)
    with closing(Ledger.open(spec, folder, BASELINE)) as ledger:
        drive(ledger)
        assert len(snapshot(ledger).front.points) > 30
    return folder


@pytest.fixture
def searched(made, tmp_path):
    """The search, in a copy of its folder."""
    with closing(Ledger.read(shutil.copytree(made, tmp_path / "formula"))) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def confirmed(made, tmp_path_factory):
    """A snapshot of the search once it is confirmed."""
    with closing(
        Ledger.read(shutil.copytree(made, tmp_path_factory.mktemp("confirmed") / "formula"))
    ) as ledger:
        confirm(ledger)
        return snapshot(ledger)


def shown(seen, *, width=120, most=None):
    out = StringIO()
    Console(file=out, width=width).print(FrontTable(seen, most=most))
    return out.getvalue().splitlines()


def rows(lines):
    """The rows of a table by trial and epoch: whether each is marked, and its cells."""
    found = {}
    for line in lines:
        cells = line.split()
        marked = cells[:1] == ["*"]
        cells = cells[1:] if marked else cells
        if len(cells) > 5 and cells[0].isdigit() and cells[1].isdigit():
            found[int(cells[0]), int(cells[1])] = marked, cells
    return found


def test_some_rows_are_spread_along_the_front_and_all_are_one_option_away(searched, tmp_path, monkeypatch):
    """The rows are not only those with the best MRR, which are one end of the front."""
    monkeypatch.setattr(local, "STUDIES_FOLDER", tmp_path)
    seen = snapshot(searched)
    points = seen.front.points
    keys = [(p.trial, p.epoch) for p in points]
    ends = {keys[0], keys[-1]}
    for lines in (shown(seen, most=8), CliRunner().invoke(app, ["front", "formula"]).output.splitlines()):
        some = rows(lines)
        assert ends <= some.keys() < set(keys)
        assert [*some] == sorted(some, key=keys.index)
        widest = max(np.diff([points[keys.index(key)].mse for key in some]), key=abs)
        assert abs(widest) < 0.5 * abs(points[0].mse - points[-1].mse)
        assert f"{len(some)} of {len(keys)} points, spread along the front; `study front formula --all`" in (
            " ".join(lines)
        )
    every = CliRunner().invoke(app, ["front", "formula", "--all"]).output.splitlines()
    assert [*rows(every)] == keys
    assert "spread along" not in " ".join(every)
    machine = json.loads(CliRunner().invoke(app, ["front", "formula", "--json"]).output)
    assert [(p["trial"], p["epoch"]) for p in machine] == keys


def test_what_beats_both_trivial_models_is_marked(searched, tmp_path):
    seen = snapshot(searched)
    expected = {
        (p.trial, p.epoch): p.mrr > BASELINE.reference["mrr"] and p.mse < BASELINE.reference["mse"]
        for p in seen.front.points
    }
    assert {*expected.values()} == {True, False}
    lines = shown(seen)
    assert {key: marked for key, (marked, _) in rows(lines).items()} == expected
    assert "* beats both trivial models: mrr 0.3000, mse 0.9000" in lines
    assert {(p["trial"], p["epoch"]): p["beats_trivial"] for p in as_dict(seen)["front"]} == expected
    export(searched, tmp_path)
    with (tmp_path / "front.csv").open(newline="") as file:
        told = {(int(r["trial"]), int(r["epoch"])): r["beats_trivial"] for r in csv.DictReader(file)}
    assert told == {key: str(beats) for key, beats in expected.items()}


def test_a_front_that_beats_nothing_says_so(open_ledger):
    ledger = open_ledger("space.sharing='none'")
    drive(ledger)
    seen = snapshot(ledger)
    assert not any(seen.front.beats_trivial)
    assert any(line.startswith("none beats both trivial models") for line in shown(seen))


def test_confirmed_points_have_their_test_values_everywhere(searched, tmp_path):
    """Means of the fresh seeds and their sample standard deviation, recomputed from the record."""
    assert all(point["test"] is None for point in as_dict(snapshot(searched))["front"])
    confirmation = confirm(searched)
    seeds = {}
    for m in confirmation.measurements():
        point = confirmation.plan.points[m.trial]
        seeds.setdefault((point.trial, point.epoch), []).append([getattr(m, name) for name in METRICS])

    seen = snapshot(searched)
    front = as_dict(seen)["front"]
    tested = {(p["trial"], p["epoch"]): p["test"] for p in front if p["test"] is not None}
    assert tested.keys() == seeds.keys() & {(p["trial"], p["epoch"]) for p in front}
    assert len(tested) == 4
    for key, test in tested.items():
        values = np.array(seeds[key])
        assert test["replicates"] == len(values) == 3
        np.testing.assert_allclose([test[name] for name in METRICS], values.mean(axis=0))
        spread = [test[f"{name}_sd"] for name in METRICS]
        np.testing.assert_allclose(spread, values.std(axis=0, ddof=1), atol=1e-15)

    export(searched, tmp_path)
    with (tmp_path / "front.csv").open(newline="") as file:
        table = {(int(row["trial"]), int(row["epoch"])): row for row in csv.DictReader(file)}
    for key, row in table.items():
        test = tested.get(key, {})
        for name in (*METRICS, *(f"{name}_sd" for name in METRICS), "replicates"):
            assert row[f"test_{name}"] == ("" if name not in test else str(test[name]))

    lines = shown(seen, most=25)
    assert tested.keys() <= rows(lines).keys()
    for key, test in tested.items():
        cells = " ".join(rows(lines)[key][1])
        assert f"{test['mrr']:.4f} ± {test['mrr_sd']:.4f} {test['mse']:.4f} ± {test['mse_sd']:.4f}" in cells
    assert any(f"4 of the {len(front)} points are confirmed" in line for line in lines)

    with served(tmp_path) as service, service.client() as client:
        assert client.get("/studies/formula").json()["front"] == front


def test_the_page_on_tables_names_every_column(searched, tmp_path):
    confirm(searched)
    export(searched, tmp_path)
    for path in (tmp_path / "tables").iterdir():
        documented = first_column(section("docs/tables.md", f"`{path.stem}`"))
        assert documented == list(pd.read_parquet(path).columns), path.stem
    with (tmp_path / "front.csv").open(newline="") as file:
        assert next(csv.reader(file)) == first_column(section("docs/tables.md", "`front.csv`"))


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_the_table_fits_the_terminal(confirmed, width):
    """No cell is cut to "0.4…"; in a narrow terminal columns are left out, and named."""
    lines = shown(confirmed, width=width, most=8)
    assert max(map(len, lines)) <= width
    header = next(line.split() for line in lines if "trial" in line.split())
    assert ("lr" in header) == ("too wide to show: lr, decay; --json has all" not in lines)
    if width >= 80:
        assert "…" not in "\n".join(lines)
        assert "±" in "\n".join(lines)
    if width >= 120:
        assert "lr" in header
