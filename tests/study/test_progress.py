"""How a study is shown: its state, its line, and a live view that fits the terminal."""

import subprocess
from io import StringIO

import pytest
from formula import FormulaLane, measure
from rich.console import Console
from typer.testing import CliRunner

import study.owner
from study import view
from study.cli import app, here
from study.cli.looking import SHOWN
from study.front_table import FrontTable
from study.progress import snapshot
from study.referee import Referee


def train(ledger, *, trials=None):
    """Train to the end of the budget, or until so many trials are recorded, in a run that stays open."""
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    while referee.over is None and (trials is None or len(ledger.records()) <= trials):
        lane.advance(referee.exchange)
    return run


def test_how_a_study_stands(open_ledger):
    ledger = open_ledger()
    assert (snapshot(ledger).state, snapshot(ledger).share) == ("not begun", 0)

    run = train(ledger, trials=2)
    seen = snapshot(ledger)
    assert (seen.state, seen.lanes, seen.counts["running"]) == ("running", 1, 1)
    assert 0 < seen.share < 1
    assert seen.left_s is not None

    ledger.release(run, "stopped on request")
    seen = snapshot(ledger)
    assert (seen.state, seen.reason, seen.left_s, seen.lanes) == ("stopped", "stopped on request", None, 0)

    ledger.release(train(ledger), "trials: 6 of 6")
    seen = snapshot(ledger)
    assert (seen.state, seen.reason, seen.share) == ("complete", "trials: 6 of 6", 1)
    assert seen.counts == {"completed": 6, "stopped": 0, "failed": 0, "running": 0}
    assert seen.member_epochs == 6 * 4


def test_a_run_that_failed_or_died_says_so(open_ledger, monkeypatch):
    ledger = open_ledger()
    ledger.release(train(ledger, trials=1), "failed: no space left")
    assert (snapshot(ledger).state, snapshot(ledger).reason) == ("failed", "failed: no space left")

    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.setattr(study.owner.os, "getpid", lambda: gone.pid)
    ledger.claim()
    assert snapshot(ledger).state == "died"
    assert str(gone.pid) in snapshot(ledger).reason


def test_a_run_without_lanes_says_what_it_waits_for(open_ledger):
    ledger = open_ledger()
    ledger.claim()
    assert "trials: none yet, waiting for lanes" in view.line(snapshot(ledger))


SEARCHED = (
    "space.weight_decay={log=[1e-2,1.0]}",
    "space.learning_rate={log=[1e-4,1e-1]}",
    "space.batch_size=[128,'full']",
)


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_view_fits_the_terminal(open_ledger, width):
    ledger = open_ledger(*SEARCHED, "budget.trials=40")
    train(ledger, trials=30)
    seen = snapshot(ledger)
    out = StringIO()
    Console(file=out, width=width).print(view.view(seen))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    header = ["trial", "epoch", "λ", "sharing", "lr", "decay", "batch", "mrr", "mse"]
    assert header in [line.split() for line in lines]
    assert set(lines[0].strip()) <= set("━╸╺")
    assert [line for line in lines if "…" in line] == []
    assert len(lines) <= 24 - 1


def test_the_front_shows_what_is_searched_and_nothing_else(open_ledger):
    ledger = open_ledger("space.dim=[4,8]")
    train(ledger)
    seen = snapshot(ledger)
    out = StringIO()
    Console(file=out, width=80).print(FrontTable(seen))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["trial", "epoch", "λ", "sharing", "dim", "mrr", "mse"] in lines
    assert sum(len(line) >= 7 and line[-7].isdigit() for line in lines) == len(seen.front.points) > 0


def test_status_shows_a_long_record_in_part(open_ledger, tmp_path, monkeypatch):
    ledger = open_ledger("budget.trials=100")
    for verdict in ("fail", *["stop"] * (SHOWN + 9)):
        number, config = ledger.ask()
        ledger.record([measure(config, number, 0, 4)])
        ledger.end(number, verdict, f"why {number}", epochs=4, point=None)
    monkeypatch.setattr(here, "STUDIES", tmp_path)
    said = CliRunner().invoke(app, ["status", "formula"]).output.splitlines()
    early = [line for line in said if line.startswith("trial ") and "why" in line]
    assert early[:2] == ["trial 0 failed: why 0", f"trial {SHOWN + 9} stopped: why {SHOWN + 9}"]
    assert len(early) == SHOWN
    assert said[-1] == "and 10 more that ended early; `study export formula` writes them all"


def test_a_front_that_spans_nothing_says_so(open_ledger):
    ledger = open_ledger("data.split_seed=1")
    assert "front: none yet" in view.line(snapshot(ledger))
    train(ledger)
    seen = snapshot(ledger)
    said = "none beats both trivial models" if seen.front.hypervolume == 0 else "hypervolume"
    assert said in view.line(seen)
