"""Display of a study: its state, its line, and a live view that fits the terminal."""

import subprocess
from datetime import UTC, datetime
from io import StringIO
from itertools import count

import pytest
import sqlalchemy as sa
from formula import FormulaLane, measure
from rich.console import Console
from typer.testing import CliRunner

import study.record.process
from study.cli import local
from study.cli.app import app
from study.cli.inspect import MOST_LISTED
from study.loop.referee import Referee
from study.record.tables import runs
from study.results.export import manifest, tables
from study.status import text
from study.status.estimate import KNOWN
from study.status.front_table import FrontTable
from study.status.snapshot import as_dict, snapshot


def train(ledger, *, trials=None):
    """Train to the end of the budget, or until so many trials are recorded, in a run that stays open."""
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0")
    while referee.over is None and (trials is None or len(ledger.records()) <= trials):
        lane.advance(referee.exchange)
    return run


def test_state_and_progress_of_a_study(open_ledger):
    ledger = open_ledger()
    assert (snapshot(ledger).state, snapshot(ledger).share) == ("not begun", 0)

    run = train(ledger, trials=2)
    seen = snapshot(ledger)
    assert (seen.state, seen.lanes, seen.counts["running"]) == ("running", 1, 1)
    assert 0 < seen.share < 1

    ledger.release(run, "stopped on request")
    seen = snapshot(ledger)
    assert (seen.state, seen.reason, seen.left_s, seen.lanes) == ("stopped", "stopped on request", None, 0)

    ledger.release(train(ledger), "trials: 6 of 6")
    seen = snapshot(ledger)
    assert (seen.state, seen.reason, seen.share) == ("complete", "trials: 6 of 6", 1)
    assert seen.counts == {"completed": 6, "stopped": 0, "failed": 0, "running": 0, "unfinished": 0}
    assert seen.member_epochs == 6 * 4


def test_a_run_that_failed_or_died_says_so(open_ledger, monkeypatch):
    ledger = open_ledger()
    ledger.release(train(ledger, trials=1), "failed: no space left")
    assert (snapshot(ledger).state, snapshot(ledger).reason) == ("failed", "failed: no space left")

    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.setattr(study.record.process.os, "getpid", lambda: gone.pid)
    ledger.claim()
    assert snapshot(ledger).state == "died"
    assert str(gone.pid) in snapshot(ledger).reason


@pytest.mark.parametrize(
    ("address", "words"), [("local", "starting Ray"), ("auto", "waiting for lanes"), ("inline", "starting")]
)
def test_run_without_lanes_shows_its_wait(open_ledger, address, words):
    ledger = open_ledger(f"runtime.address={address}")
    run = ledger.claim()
    seen = snapshot(ledger)
    assert seen.stage.name == "starting"
    assert text.line(seen).startswith(f"formula: {words}, 0% in ")
    FormulaLane(f"{run}.0").advance(Referee(ledger, run).exchange)
    assert text.line(snapshot(ledger)).startswith("formula: searching 0 of 6 trials, 0% in ")


def test_progress_of_a_search_is_that_of_its_nearest_limit(open_ledger):
    ledger = open_ledger("budget.member_epochs=12")
    assert snapshot(ledger).stage.words == "searching 0 of 6 trials"
    ledger.release(train(ledger, trials=2), "stopped on request")
    seen = snapshot(ledger)
    assert (seen.stage.words, seen.stage.planned) == (
        f"searching {seen.member_epochs} of 12 member-epochs",
        12,
    )
    assert as_dict(seen)["stage"] == {
        "name": "searching", "done": seen.member_epochs, "planned": 12, "unit": "member-epochs",
        "words": seen.stage.words,
    }  # fmt: skip


def begun(ledger, *, started_s):
    """Age the run of a ledger as if Ray had taken that many seconds to start."""
    query = sa.update(runs).values(started=runs.c.started - started_s)
    with ledger._engine.begin() as connection:
        connection.execute(query)


def test_the_time_left_rests_on_training_alone(open_ledger):
    """The formula takes 0.01 s an epoch. Catches: an estimate that takes the start of Ray for training."""
    ledger = open_ledger("budget.trials=101", "train.epochs=10")
    train(ledger, trials=2)
    before = snapshot(ledger)
    assert before.left_s == pytest.approx(0.01 * (101 * 10 - before.member_epochs))
    begun(ledger, started_s=1000)
    assert snapshot(ledger).left_s == before.left_s


def test_the_time_left_counts_what_lanes_wait_for(open_ledger, monkeypatch):
    """Ends come 20 s apart, of trials that train 4 epochs of 0.01 s. Catches: an estimate that
    ignores waits for the sampler.
    """
    clock = (datetime.fromtimestamp(at, UTC).isoformat() for at in count(1_000_000, 10))
    monkeypatch.setattr("study.record.ledger.Ledger._now", lambda _self: next(clock))
    ledger = open_ledger("budget.trials=101")
    train(ledger, trials=40)
    seen = snapshot(ledger)
    left = 101 - seen.member_epochs / 4
    assert seen.left_s == pytest.approx(20 * left, rel=0.05)


def test_time_left_is_unknown_after_few_epochs(open_ledger):
    ledger = open_ledger("budget.trials=100", "budget.wall_time_s=3600")
    train(ledger, trials=1)
    seen = snapshot(ledger)
    assert 0 < seen.member_epochs < KNOWN
    assert seen.left_s is None
    assert "left" not in text.line(seen)


def test_a_search_by_wall_time_alone_ends_with_it(open_ledger):
    ledger = open_ledger("budget={ wall_time_s = 3600 }")
    train(ledger, trials=1)
    seen = snapshot(ledger)
    assert seen.left_s == pytest.approx(3600 - seen.wall_s)
    assert seen.stage.planned == 3600


def test_unended_trial_is_running_only_while_its_study_is_driven(open_ledger, tmp_path):
    """A stopped study lists no "running" trial."""
    ledger = open_ledger()
    run = train(ledger, trials=2)
    seen = snapshot(ledger)
    assert (seen.counts["running"], seen.counts["unfinished"]) == (1, 0)
    assert "running" in set(tables(ledger).trials["state"])
    ledger.release(run, "stopped on request")
    seen = snapshot(ledger)
    assert (seen.counts["running"], seen.counts["unfinished"]) == (0, 1)
    assert text.line(seen).endswith("; trials: 2 completed, 1 unfinished; " + text.lines(seen)[1])
    assert set(tables(ledger).trials["state"]) == {"completed", "unfinished"}
    assert manifest(ledger, ledger.records(), 0.0)["counts"] == seen.counts
    ledger.release(train(ledger), "trials: 6 of 6")
    assert snapshot(ledger).counts["completed"] == 6


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
    Console(file=out, width=width).print(text.view(seen))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    header = ["trial", "epoch", "λ", "sharing", "lr", "decay", "batch", "mrr", "mse"]
    assert header in [line.split() for line in lines]
    assert set(lines[0].strip()) <= set("━╸╺")
    assert [line for line in lines if "…" in line] == []
    assert len(lines) <= 24 - 1


def test_front_shows_only_searched_values(open_ledger):
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
    for verdict in ("fail", *["stop"] * (MOST_LISTED + 9)):
        number, config = ledger.ask()
        ledger.record([measure(config, number, 0, 4)])
        ledger.end(number, verdict, f"why {number}", epochs=4, point=None)
    monkeypatch.setattr(local, "STUDIES_FOLDER", tmp_path)
    lines = CliRunner().invoke(app, ["status", "formula"]).output.splitlines()
    early = [line for line in lines if line.startswith("trial ") and "why" in line]
    assert early[:2] == ["trial 0 failed: why 0", f"trial {MOST_LISTED + 9} stopped: why {MOST_LISTED + 9}"]
    assert len(early) == MOST_LISTED
    assert lines[-1] == "and 10 more that ended early; `study export formula` writes them all"


def test_a_front_that_spans_nothing_says_so(open_ledger):
    ledger = open_ledger("data.split_seed=1")
    assert "front: none yet" in text.line(snapshot(ledger))
    train(ledger)
    seen = snapshot(ledger)
    phrase = "none beats both trivial models" if seen.front.hypervolume == 0 else "hypervolume"
    assert phrase in text.line(seen)
