"""Confirmation: the chosen points again, on fresh seeds, with the test set opened once."""

from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest
from formula import BASELINE, SPEC, FormulaLane, measure
from typer.testing import CliRunner

from study.cli import local
from study.cli.app import app
from study.loop.budget import complete, done
from study.loop.confirmation import begin, noise
from study.loop.referee import Referee
from study.record.front import candidates, front, reference
from study.record.ledger import Ledger
from study.record.process import Owner
from study.record.rows import Run
from study.results.export import _confirming, export, manifest
from study.runtime.run import run
from study.spec import StudySpec
from study.spec.sections import Confirm
from study.status.snapshot import as_dict, snapshot
from study.status.text import found_later, line, lines, state_line
from trainable.contract import METRICS, Config, StudyError

CONFIG = Config(
    weight=0.5,
    sharing="both",
    learning_rate=1e-3,
    weight_decay=0.0,
    ranking_loss="bpr",
    batch_size=256,
    dim=8,
    hidden=8,
    epochs=400,
)


def drive(ledger, *, turns=10_000):
    """Train the rest of the record with one lane of two slots, for `turns` turns."""
    run = ledger.claim()
    ledger.release(run, train(ledger, run, turns=turns) or "killed")


def train(ledger, run, *, turns=10_000):
    """Train the rest in that run; return the reason that the study is complete, or None."""
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", 2)
    for _ in range(turns):
        lane.advance(referee.exchange)
        if referee.over is not None:
            break
    return referee.over


INLINE = ("runtime.address=inline", "train.epochs=2", "train.dim=4", "train.hidden=4", "budget.trials=2")
OVERRIDES = ("budget.trials=24", "space.learning_rate={ log = [2e-3, 2e-2] }")


@pytest.fixture
def searched(open_ledger):
    """A complete search of 24 trials."""
    ledger = open_ledger(*OVERRIDES)
    drive(ledger)
    return ledger


def confirmed(ledger, asked):
    confirmation = begin(ledger, asked)
    confirmation.fix(BASELINE)
    return confirmation


def test_what_is_confirmed_is_of_the_front_and_near_it(searched):
    plan = begin(searched, Confirm(points=3, replicates=2)).plan
    spec, corner = searched.spec, reference(searched.baseline, searched.spec)
    records = {r.trial: r for r in searched.records()}
    points = candidates(searched.points(), records, spec)
    best = {(p.trial, p.epoch) for p in front(points, spec, corner).points}
    named = [(p.trial, p.epoch) for p in plan.points if p.reason == "on the front"]
    others = [p for p in plan.points if p.reason == "within the noise of the front"]
    assert len(named) == 3 < len(best)
    assert set(named) <= best
    assert len(others) <= 1
    assert {p.trial for p in others}.isdisjoint(trial for trial, _ in named)
    assert [p.epoch for p in plan.points] == sorted((p.epoch for p in plan.points), reverse=True)
    for p in plan.points:
        assert (p.config.epochs, p.config.evaluate_every) == (p.epoch, p.epoch)
        assert p.config.learning_rate == records[p.trial].config.learning_rate


def test_a_front_that_beats_nothing_is_confirmed_all_the_same(open_ledger):
    ledger = open_ledger()
    drive(ledger)
    corner = reference(ledger.baseline, ledger.spec)
    assert front(ledger.points(), ledger.spec, corner).hypervolume == 0
    assert len(begin(ledger, Confirm(points=2)).plan.points) >= 2


def test_each_point_is_trained_for_exactly_its_epochs_and_measured_once(searched):
    """A confirmation uses the epochs of the point and opens the test set at the end only."""
    confirmation = confirmed(searched, Confirm(points=3, replicates=4))
    drive(confirmation)
    plan = confirmation.plan.points
    assert complete(confirmation) == f"trials: {len(plan)} of {len(plan)}"
    expected = [measure(p.config, n, r, p.epoch) for n, p in enumerate(plan) for r in range(4)]
    assert list(confirmation.measurements()) == expected
    assert confirmation.spec.search.seed != searched.spec.search.seed
    assert complete(searched) == "trials: 24 of 24"


def test_it_is_planned_once_and_goes_on_where_it_was(searched, tmp_path):
    """A changed front, or a changed question, does not open the test set again."""
    confirmation = confirmed(searched, Confirm(points=3, replicates=4))
    drive(confirmation, turns=2)
    again = Ledger.read(tmp_path / "formula", stage="confirm")
    assert again.plan == confirmation.plan
    assert begin(searched, Confirm(points=9, replicates=2)).plan == confirmation.plan
    assert complete(again) is None
    drive(again)
    assert complete(again) is not None
    assert len(list(again.measurements())) == 4 * len(again.plan.points)
    again.close()


def test_a_kill_between_the_two_writes_opens_nothing(searched, monkeypatch):
    """The record of a confirmation without its plan is none. Catches: a plan that is not written last."""
    write = optuna.Study.set_user_attr

    def dies(study, key, value):
        if key == "plan":
            raise KeyboardInterrupt
        write(study, key, value)

    with monkeypatch.context() as patched:
        patched.setattr("optuna.Study.set_user_attr", dies)
        with pytest.raises(KeyboardInterrupt):
            begin(searched, Confirm())
    assert searched.confirmation() is None
    assert manifest(searched, searched.records(), 0.0)["test_opened"] is None
    assert begin(searched, Confirm()).plan.points


def test_study_is_readable_after_a_kill_before_the_confirmation_baseline(searched, tmp_path):
    plan = begin(searched, Confirm(points=2, replicates=2)).plan
    export(searched, tmp_path)
    facts = manifest(searched, searched.records(), 0.0)
    assert (facts["test_opened"], facts["confirmation"]) == (plan.opened, None)
    assert not (tmp_path / "tables" / "confirmed.parquet").exists()
    drive(confirmed(searched, Confirm(points=2, replicates=2)))
    export(searched, tmp_path)
    assert len(pd.read_parquet(tmp_path / "tables" / "confirmed.parquet")) == 2 * len(plan.points)


def test_the_table_names_points_of_the_search(searched, tmp_path):
    confirmation = confirmed(searched, Confirm(points=2, replicates=3))
    drive(confirmation)
    export(searched, tmp_path)
    table = pd.read_parquet(tmp_path / "tables" / "confirmed.parquet")
    assert list(table) == ["trial", "replicate", "split", "epoch", *METRICS]
    assert set(table["split"]) == {"test"}
    keys = list(dict.fromkeys(zip(table["trial"], table["epoch"], strict=True)))
    assert keys == [(p.trial, p.epoch) for p in confirmation.plan.points]
    facts = manifest(searched, searched.records(), 0.0)
    assert facts["test_opened"] == confirmation.plan.opened
    assert [p["state"] for p in facts["confirmation"]["points"]] == ["completed"] * len(keys)


def test_manifest_separates_search_and_confirmation(open_ledger, monkeypatch):
    """Three runs: one of both stages, one that resumes confirming, one that searches on and confirms."""
    values = ("space.learning_rate={ log = [2e-3, 2e-2] }",)
    clock = {"s": 1.7e9}
    monkeypatch.setattr(Ledger, "_time", lambda _: clock["s"])
    now = SimpleNamespace(now=lambda zone: datetime.fromtimestamp(clock["s"], zone))
    monkeypatch.setattr("study.loop.confirmation.datetime", now)
    ledger = open_ledger("budget.trials=4", *values)
    for search_s, confirm_s in ((100, 80), (0, 30), (50, 50)):
        run = ledger.claim()
        clock["s"] += search_s
        train(ledger, run)
        confirmation = confirmed(ledger, Confirm(points=2, replicates=3))
        train(confirmation, run)
        clock["s"] += confirm_s
        ledger.release(run, "killed")
        clock["s"] += 1000
        ledger = open_ledger(f"budget.trials={4 if search_s else 6}", *values)
    facts = manifest(ledger, ledger.records(), 0.0)
    spent = {stage["stage"]: stage for stage in facts["stages"]}
    assert spent["search"]["wall_s"] == pytest.approx(150, abs=2)
    assert spent["confirm"]["wall_s"] == pytest.approx(160, abs=2)
    assert sum(stage["wall_s"] for stage in spent.values()) == pytest.approx(facts["wall_s"])
    assert spent["search"]["configurations"] == 6
    assert spent["search"]["member_epochs"] == facts["member_epochs"]
    assert spent["confirm"]["member_epochs"] == 3 * sum(p.epoch for p in confirmation.plan.points)
    for stage, record in (("search", ledger), ("confirm", confirmation)):
        assert spent[stage]["trained_s"] == pytest.approx(sum(m.wall_s for m in record.measurements()))


def test_the_wait_for_a_first_lane_counts_for_no_stage():
    """Time of waiting before the confirmation does not count as time of the search."""
    run = Run(
        1, Owner.here(), started=0, renewed=200, stop=False, ended=200, reason="", silent_s=0, began=100
    )
    assert _confirming(run, 150, [130, 150]) == 50
    assert _confirming(replace(run, began=None), 150, []) == 0


def test_progress_says_how_far_it_is(searched):
    assert snapshot(searched).confirmation is None
    confirmation = confirmed(searched, Confirm(points=2, replicates=3))
    planned = len(confirmation.plan.points)
    assert lines(snapshot(searched))[-1].startswith(f"confirmed: 0 of {planned} points with 3 fresh seeds")
    drive(confirmation)
    assert lines(snapshot(searched))[-1].startswith(f"confirmed: {planned} of {planned} points")


@pytest.fixture
def confirming(open_ledger):
    """A complete search that asks for a confirmation, which has not begun."""
    ledger = open_ledger(*OVERRIDES, "confirm={ points = 3, replicates = 4 }")
    drive(ledger)
    return ledger


def test_a_study_is_complete_when_its_confirmation_is(confirming, tmp_path):
    """No view shows "complete 100 %" for a study whose confirmation was interrupted."""
    seen = snapshot(confirming)
    assert (seen.state, seen.stage.words) == ("stopped", "confirming the front")
    assert seen.reason == "trials: 24 of 24; search complete, its front not confirmed"
    assert 0 < seen.share < 0.9

    confirmation = confirmed(confirming, confirming.spec.confirm)
    planned = len(confirmation.plan.points)
    drive(confirmation, turns=2 + confirmation.plan.points[0].epoch)
    seen = snapshot(confirming)
    ended = seen.confirmation.ended
    assert 0 < ended < planned
    assert (seen.state, seen.stage.words) == ("stopped", f"confirming {ended} of {planned} points")
    assert seen.reason == f"killed; search complete, {ended} of {planned} points confirmed"
    assert state_line(seen).endswith("; `study run formula` resumes it")
    searched, whole = 24 * 4, 4 * sum(p.epoch for p in confirmation.plan.points)
    done = 4 * sum(p.epoch for p in confirmation.plan.points[:ended])
    assert seen.share == pytest.approx((searched + done) / (searched + whole))
    facts = manifest(confirming, confirming.records(), 0.0)
    assert (facts["complete"], facts["state"], facts["reason"]) == (False, "stopped", seen.reason)
    states = Counter(p["state"] for p in facts["confirmation"]["points"])
    assert states["completed"] == ended
    assert states["running"] == 0
    assert as_dict(seen)["state"] == "stopped"

    drive(confirmation)
    seen = snapshot(confirming)
    assert (seen.state, seen.reason) == ("complete", "trials: 24 of 24; confirmed")
    assert (seen.stage, seen.share, seen.left_s) == (None, 1, None)


def test_a_confirmation_that_began_counts_where_none_is_asked_for(searched):
    """As `study confirm` of a spec without [confirm]. Catches: a study that no run resumes."""
    assert snapshot(searched).state == "complete"
    begin(searched, Confirm(points=2))  # killed before the trivial models are measured again
    seen = snapshot(searched)
    assert (seen.state, seen.stage.name) == ("stopped", "confirming")
    assert done(complete(searched), searched.confirmation(), asked=False) is None


def test_interrupted_confirmation_resumes_without_training_twice(tmp_path):
    """A kill right after the plan. Catches: a stopped study that reports that nothing is left to do."""
    spec = StudySpec.from_text(SPEC, where="test", overrides=INLINE)
    folder = run(spec, tmp_path).folder
    with closing(Ledger.read(folder)) as ledger:
        begin(ledger, Confirm(points=1, replicates=2))
    outcome = run(spec, tmp_path)
    assert (outcome.trained, outcome.complete) == (True, True)
    with closing(Ledger.read(folder)) as ledger:
        assert snapshot(ledger).state == "complete"
        before = list(ledger.confirmation().measurements())
    assert not run(spec, tmp_path).trained
    further = run(StudySpec.from_text(SPEC, where="test", overrides=(*INLINE, "budget.trials=3")), tmp_path)
    assert (further.reason, further.complete) == ("trials: 3 of 3", True)
    with closing(Ledger.read(folder)) as ledger:
        assert list(ledger.confirmation().measurements()) == before


def test_a_running_confirmation_says_which_points_and_how_long(confirming):
    """Of 4 epochs, 4 replicates and 0.01 s each. Catches: "100 %" for half of the time, and no lanes."""
    confirmation = confirmed(confirming, confirming.spec.confirm)
    run = confirming.claim()
    seen = snapshot(confirming)
    assert (seen.state, seen.left_s) == ("running", None)
    referee, lane = Referee(confirmation, run), FormulaLane(f"{run}.0")
    lane.advance(referee.exchange)
    first = snapshot(confirming)
    points = confirmation.plan.points
    assert [(o.trial, o.of) for o in first.occupants] == [(points[0].trial, points[0].epoch)]
    assert line(first).startswith(f"formula: confirming 0 of {len(points)} points, ")
    whole = 4 * sum(p.epoch for p in points)
    assert 0 < first.left_s <= 0.01 * whole
    while snapshot(confirming).confirmation.ended == 0:
        lane.advance(referee.exchange)
    later = snapshot(confirming)
    assert first.share < later.share < 1
    assert later.left_s <= 0.01 * (whole - 4 * points[0].epoch)


def test_points_found_after_opening_the_test_set_are_not_confirmed(searched, open_ledger, monkeypatch):
    """A larger budget. Catches: a front that looks confirmed."""
    drive(confirmed(searched, Confirm(points=2, replicates=2)))
    assert snapshot(searched).confirmation.found_later == 0
    front_then = {(p.trial, p.epoch) for p in snapshot(searched).front.points}

    monkeypatch.setattr("study.record.ledger.Ledger._now", lambda _self: "2199-01-01T00:00:00.000+00:00")
    further = open_ledger("budget.trials=60", *OVERRIDES[1:])
    drive(further)
    seen = snapshot(further)
    found = [p for p in seen.front.points if (p.trial, p.epoch) not in front_then]
    assert len(found) == seen.confirmation.found_later > 0
    assert seen.state == "complete"
    (line,) = found_later(seen)
    assert line.startswith(f"not confirmed: {len(found)} of {len(seen.front.points)} points of the front")
    assert "`study run formula --set name=OTHER`, then `study confirm OTHER`" in line
    assert lines(seen)[-1] == line
    told = manifest(further, further.records(), 0.0)["confirmation"]
    assert told["found_later"] == len(found)


@pytest.mark.parametrize("command", ["status", "front"])
def test_commands_say_what_is_not_confirmed(searched, open_ledger, monkeypatch, tmp_path, command):
    drive(confirmed(searched, Confirm(points=2, replicates=2)))
    monkeypatch.setattr("study.record.ledger.Ledger._now", lambda _self: "2199-01-01T00:00:00.000+00:00")
    drive(open_ledger("budget.trials=60", *OVERRIDES[1:]))
    monkeypatch.setattr(local, "STUDIES_FOLDER", tmp_path)
    assert (
        "found after the points to confirm were chosen"
        in CliRunner().invoke(app, [command, "formula"]).output
    )


def test_commands_report_missing_work_and_how_to_resume(confirming, monkeypatch, tmp_path):
    planned = len(confirmed(confirming, confirming.spec.confirm).plan.points)
    monkeypatch.setattr(local, "STUDIES_FOLDER", tmp_path)
    output = CliRunner().invoke(app, ["status", "formula"]).output
    assert f"search complete, 0 of {planned} points confirmed; `study run formula` resumes it\n" in output
    listed = " ".join(CliRunner().invoke(app, ["list"]).output.split())
    assert "formula stopped" in listed
    assert f"confirming 0 of {planned} points" in listed


def test_nothing_measured_is_nothing_to_confirm(open_ledger):
    with pytest.raises(StudyError, match="has no point to confirm yet"):
        begin(open_ledger(), Confirm())


def test_noise_with_replicates_is_that_of_their_mean(open_ledger):
    """The formula spreads MRR by 0.001 a replicate, MSE by nothing: variance of 0, 1, 2 is 1."""
    ledger = open_ledger("search.replicates=3")
    drive(ledger)
    np.testing.assert_allclose(noise(ledger), [0.001 / np.sqrt(3), 0.0], atol=1e-12)


def test_noise_of_curves_is_what_was_put_in(open_ledger):
    """White noise of a known size on straight curves. Catches: a wrong factor for second differences."""
    ledger = open_ledger("train.epochs=400", "budget.trials=2")
    draw = np.random.default_rng(0)
    for trial in range(2):
        batch = [measure(CONFIG, trial, 0, epoch) for epoch in range(1, 401)]
        ledger.record(
            [
                replace(m, mrr=0.3 + 1e-4 * m.epoch + draw.normal(0, 0.01), mse=0.9 + draw.normal(0, 0.03))
                for m in batch
            ]
        )
    np.testing.assert_allclose(noise(ledger), [0.01, 0.03], rtol=0.1)


def test_a_confirmation_that_was_begun_runs_where_the_study_runs_now(searched, open_ledger):
    """A confirmation does not wait for the machine of its plan."""
    confirmed(searched, Confirm(points=1, replicates=2))
    now = open_ledger(
        *OVERRIDES,
        *("runtime.cpus_per_lane=0.5", "runtime.engine=plain"),
    )
    again = begin(now, Confirm())
    assert again.spec.runtime == now.spec.runtime != searched.spec.runtime
    assert again.spec.search.replicates == 2
