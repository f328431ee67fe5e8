"""The fresh-seed stage: points of the front again, on validation, before the test set is opened."""

from contextlib import closing
from dataclasses import replace

import formula
import numpy as np
import optuna
import pandas as pd
import pytest
from formula import BASELINE, SPEC, FormulaLane
from typer.testing import CliRunner

from analysis.front import hypervolume, knee
from study.cli import local
from study.cli.app import app
from study.loop.budget import complete, done
from study.loop.choice import FRESH_SHARE, Searched, confirmed, direct, landmarks, picked, trained_again
from study.loop.confirmation import begin, begin_fresh
from study.loop.referee import Referee
from study.record.front import candidates, front, losses, reference
from study.record.ledger import Ledger
from study.record.rows import Point
from study.results.export import export, manifest
from study.runtime import inline
from study.runtime.run import confirm, run
from study.spec import StudySpec
from study.spec.sections import Confirm
from study.status.snapshot import as_dict, snapshot
from study.status.text import line, lines
from trainable.contract import METRICS, StudyError

OVERRIDES = ("budget.trials=24", "space.learning_rate={ log = [2e-3, 2e-2] }")
ASKED = Confirm(points=4, replicates=5, fresh=3)
INLINE = ("runtime.address=inline", "train.epochs=2", "train.dim=4", "train.hidden=4", "budget.trials=2")
CORNER = np.array([-0.3, 0.9])


def drive(ledger, *, turns=10_000):
    """Train the rest of the record with one lane of two slots, for `turns` turns."""
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", 2)
    for _ in range(turns):
        lane.advance(referee.exchange)
        if referee.over is not None:
            break
    ledger.release(run, referee.over or "killed")


@pytest.fixture
def searched(open_ledger):
    """A complete search of 24 trials."""
    ledger = open_ledger(*OVERRIDES)
    drive(ledger)
    return ledger


def fresh_of(ledger, asked=ASKED):
    """The fresh-seed stage of a search, planned."""
    fresh = begin_fresh(ledger, asked)
    fresh.fix(ledger.baseline)
    return fresh


def lucky(config, trial, replicate, epoch):
    """Values with which the search's best ranking is the worst, and its last epoch is no longer the best."""
    usual = formula_measure(config, trial, replicate, epoch)
    return replace(usual, mrr=0.62 - usual.mrr, mse=usual.mse + 0.002 * epoch)


formula_measure = formula.measure


def on_front(ledger):
    """The search's front."""
    records = {r.trial: r for r in ledger.records()}
    points = candidates(ledger.points(), records, ledger.spec)
    return front(points, ledger.spec, reference(ledger.baseline, ledger.spec))


def test_each_configuration_of_the_front_is_trained_once_for_all_its_points(searched):
    plan = fresh_of(searched).plan
    best = on_front(searched)
    last = {n: max(p.epoch for p in best.points if p.trial == n) for n in {p.trial for p in best.points}}
    named = {p.trial: p for p in plan.points if p.reason == "on the front"}
    assert len(named) > 1
    assert len(plan.points) == len({p.trial for p in plan.points})
    corner = reference(searched.baseline, searched.spec)
    needed = [*landmarks(best, searched.spec, corner), *picked(best, searched.spec, corner)]
    assert {p.trial for p in needed} <= named.keys()
    for number, p in named.items():
        assert (p.epoch, p.config.epochs) == (last[number], last[number])
        assert p.config.evaluate_every == searched.spec.train.evaluate_every
    assert [p.epoch for p in plan.points] == sorted((p.epoch for p in plan.points), reverse=True)


def test_its_seeds_are_fresh_and_every_epoch_is_measured(searched):
    """The three stages have different seeds, and each point of a configuration gets a fresh value."""
    fresh = fresh_of(searched)
    drive(fresh)
    planned = len(fresh.plan.points)
    assert complete(fresh) == f"trials: {planned} of {planned}"
    keys = {(m.trial, m.replicate, m.epoch) for m in fresh.measurements()}
    plan = fresh.plan.points
    assert keys == {(n, r, e + 1) for n, p in enumerate(plan) for r in range(3) for e in range(p.epoch)}
    seeds = {record.spec.search.seed for record in (searched, fresh, begin(searched, ASKED))}
    assert len(seeds) == 3
    assert fresh.by_user() == []


def test_fresh_values_alone_choose_the_confirmed_points(searched, monkeypatch):
    """With fresh values that turn the search's order round. Catches: a choice by the search's values."""
    fresh = fresh_of(searched)
    monkeypatch.setattr(formula, "measure", lucky)
    drive(fresh)
    spec, corner = searched.spec, reference(searched.baseline, searched.spec)
    names = [p.trial for p in fresh.plan.points]
    keys = {(p.trial, p.epoch) for p in on_front(searched).points}
    keys |= {(p.trial, p.epoch) for p in fresh.plan.points}
    again = [p._replace(trial=names[p.trial]) for p in fresh.points()]
    best = front([p for p in again if (p.trial, p.epoch) in keys], spec, corner)
    plan = begin(searched, ASKED).plan
    by_reason = {p.reason: (p.trial, p.epoch) for p in plan.points}
    on_fresh_front = {(p.trial, p.epoch) for p in best.points}
    (pick,) = picked(on_front(searched), spec, corner)
    assert {(p.trial, p.epoch) for p in plan.points} <= on_fresh_front | {(pick.trial, pick.epoch)}
    inside = [p for p, beats in zip(best.points, best.beats_trivial, strict=True) if beats]
    kept = {(p.trial, p.epoch) for p in plan.points}
    for p in (inside[0], inside[-1], inside[knee(losses(inside, spec), corner)], pick):
        assert (p.trial, p.epoch) in kept
    assert by_reason["the knee of the fresh-seed front"] != (pick.trial, pick.epoch)
    assert kept != {(p.trial, p.epoch) for p in direct_plan(searched)}


def direct_plan(ledger):
    """The points that a confirmation without a fresh-seed stage has."""
    points = candidates(ledger.points(), ledger.trial_summaries(), ledger.spec)
    corner = reference(ledger.baseline, ledger.spec)
    found = Searched(ledger.spec, corner, points, front(points, ledger.spec, corner), np.zeros(2))
    return direct(found, ASKED)


def test_a_point_that_failed_with_fresh_seeds_is_not_confirmed(searched, monkeypatch):
    fresh = fresh_of(searched)
    bad = fresh.plan.points[0]

    def failing(config, trial, replicate, epoch):
        usual = formula_measure(config, trial, replicate, epoch)
        return replace(usual, mse=np.nan) if config == bad.config else usual

    with monkeypatch.context() as patch:
        patch.setattr(formula, "measure", failing)
        drive(fresh)
    assert [r.state for r in fresh.records()].count("failed") == 1
    assert bad.trial not in {p.trial for p in begin(searched, ASKED).plan.points}


def test_a_front_that_failed_with_fresh_seeds_is_refused(searched, monkeypatch):
    fresh = fresh_of(searched)
    with monkeypatch.context() as patch:
        patch.setattr(formula, "measure", lambda *key: replace(formula_measure(*key), mse=np.nan))
        drive(fresh)
    with pytest.raises(StudyError, match="configurations of its front failed with fresh seeds"):
        begin(searched, ASKED)
    assert searched.confirmation() is None


# --- what it costs ---------------------------------------------------------------------------------------


def noisy_search(seed, *, trials=60, epochs=81):
    """The points of a search like one on MovieLens-100K: its long trials trade MRR for MSE, with noise."""
    rng = np.random.default_rng(seed)
    spec = StudySpec.from_text(SPEC, where="test")
    at = np.arange(1, epochs + 1)
    points = []
    for trial in range(trials):
        length, trade = (epochs, rng.uniform()) if trial % 5 == 0 else (27, 0.5)
        mrr = 0.36 + 0.06 * trade - 0.2 * np.exp(-at / 12) + rng.normal(0, 0.004, epochs)
        mse = 0.79 + 0.06 * trade + 0.3 * np.exp(-at / 12) + rng.normal(0, 0.004, epochs)
        points += [Point(trial, int(e), mrr[e - 1], 0.05, mse[e - 1]) for e in at[:length]]
    return Searched(spec, CORNER, points, front(points, spec, CORNER), np.array([0.006, 0.008]))


@pytest.mark.parametrize("asked", [Confirm(), Confirm(points=6)])
def test_both_stages_train_at_most_as_much_as_one_did(asked):
    """The fresh-seed stage takes its training from that of the confirmation."""
    for seed in range(20):
        search = noisy_search(seed)
        whole = sum(p.epoch for p in direct(search, asked)) * asked.replicates
        again = trained_again(search, asked)
        fresh = sum(p.epoch for p in again) * asked.fresh
        assert fresh <= FRESH_SHARE * whole
        trials = {p.trial for p in again}
        values = [p for p in search.best.points if p.trial in trials]
        points = confirmed(search, values, fresh, asked)
        tested = sum(p.epoch for p in points) * asked.replicates
        assert fresh + tested <= whole
        assert fresh + tested > 0.8 * whole
        assert len(points) >= asked.points - 2
        assert len(again) >= 5


def test_the_landmarks_come_in_whatever_they_cost():
    """No limit of the training leaves out the knee, an end or the picked point."""
    asked = Confirm(points=4, replicates=2, fresh=9)
    for seed in range(20):
        search = noisy_search(seed)
        needed = [*landmarks(search.best, search.spec, CORNER), *picked(search.best, search.spec, CORNER)]
        again = trained_again(search, asked)
        assert {p.trial for p in needed} <= {p.trial for p in again}
        points = confirmed(search, search.best.points, 10**9, asked)
        assert set(needed) == set(points)


def test_the_other_points_add_the_most_hypervolume():
    """The one point beside the landmarks is the best of all by joint hypervolume, not by its own."""
    for seed in range(20):
        search = noisy_search(seed)
        needed = [*landmarks(search.best, search.spec, CORNER), *picked(search.best, search.spec, CORNER)]
        asked = Confirm(points=len(set(needed)) + 1)
        points = list(confirmed(search, search.best.points, 0, asked))
        ways = [[*needed, p] for p in search.best.points]
        volumes = [hypervolume(losses(way, search.spec), CORNER) for way in ways]
        assert hypervolume(losses(points, search.spec), CORNER) == pytest.approx(max(volumes))


def test_few_points_are_the_knee_first():
    search = noisy_search(0)
    inside = [p for p, beats in zip(search.best.points, search.best.beats_trivial, strict=True) if beats]
    (only,) = confirmed(search, search.best.points, 0, Confirm(points=1))
    assert only == inside[knee(losses(inside, search.spec), CORNER)]


def test_a_front_outside_the_reference_is_measured_all_the_same():
    search = noisy_search(0)
    corner = np.array([-0.9, 0.1])
    outside = replace(search, corner=corner, best=front(search.candidates, search.spec, corner))
    points = confirmed(outside, outside.best.points, 0, ASKED)
    ends = {outside.best.points[0], outside.best.points[-1]}
    assert ends <= set(points)
    assert len(points) <= 3
    assert trained_again(outside, ASKED)


# --- once, and again after a kill ------------------------------------------------------------------------


def test_it_is_planned_once_and_resumes(searched, tmp_path):
    """A changed question does not change the plan, and no measurement is made twice."""
    fresh = fresh_of(searched)
    drive(fresh, turns=2)
    assert complete(fresh) is None
    with closing(Ledger.read(tmp_path / "formula", stage="fresh")) as again:
        assert again.plan == fresh.plan
        assert again.spec.search.replicates == 3
        drive(again)
    assert complete(fresh) is not None
    for asked in (Confirm(points=9, fresh=7), Confirm(fresh=0)):
        assert begin_fresh(searched, asked).plan == fresh.plan
    assert len(list(fresh.measurements())) == 3 * sum(p.epoch for p in fresh.plan.points)


def test_a_kill_before_its_plan_leaves_none(searched, monkeypatch):
    """The record of a stage without its plan is none, so the plan is written last."""
    write = optuna.Study.set_user_attr

    def dies(study, key, value):
        if key == "plan":
            raise KeyboardInterrupt
        write(study, key, value)

    with monkeypatch.context() as patched:
        patched.setattr("optuna.Study.set_user_attr", dies)
        with pytest.raises(KeyboardInterrupt):
            begin_fresh(searched, ASKED)
    assert searched.fresh() is None
    assert snapshot(searched).fresh is None
    assert fresh_of(searched).plan.points


def test_a_confirmation_that_began_without_it_stays_without_it(searched):
    """As in records of before: there is no fresh-seed stage after the test set was opened."""
    begun = begin(searched, ASKED)
    assert {p.reason for p in begun.plan.points} <= {"on the front", "within the noise of the front"}
    assert begin_fresh(searched, ASKED) is None
    assert begin(searched, ASKED).plan == begun.plan


def test_without_seeds_or_validation_data_there_is_none(searched, monkeypatch):
    assert begin_fresh(searched, replace_fresh(0)) is None
    data = BASELINE.data | {"has_validation": False}
    searched.fix(replace(BASELINE, data=data))
    assert begin_fresh(searched, ASKED) is None


def replace_fresh(seeds):
    return ASKED.model_copy(update={"fresh": seeds})


def test_nothing_measured_is_nothing_to_train_again(open_ledger):
    with pytest.raises(StudyError, match="has no point to confirm yet"):
        begin_fresh(open_ledger(), ASKED)


# --- what is shown ---------------------------------------------------------------------------------------


def test_every_view_shows_the_stage(open_ledger, tmp_path):
    """State, stage, lanes, share and time left include the stage, and none says that it confirms."""
    ledger = open_ledger(*OVERRIDES, "confirm={ points = 4, replicates = 5 }")
    drive(ledger)
    before = snapshot(ledger)
    fresh = fresh_of(ledger, ledger.spec.confirm)
    planned = len(fresh.plan.points)
    seen = snapshot(ledger)
    assert (seen.state, seen.stage.name, seen.stage.unit) == ("stopped", "validating", "configurations")
    assert seen.stage.words == f"validating 0 of {planned} configurations with fresh seeds"
    assert seen.reason.endswith(f"search complete, 0 of {planned} configurations validated with fresh seeds")
    assert seen.share == pytest.approx(before.share)

    run = ledger.claim()
    referee, lane = Referee(fresh, run), FormulaLane(f"{run}.0")
    for _ in range(3):
        lane.advance(referee.exchange)
    seen = snapshot(ledger)
    (occupant,) = seen.occupants
    assert (occupant.trial, occupant.of) == (fresh.plan.points[0].trial, fresh.plan.points[0].epoch)
    assert 0 < occupant.epoch < occupant.of
    assert line(seen).startswith(f"formula: validating 0 of {planned} configurations with fresh seeds, ")
    assert seen.left_s > 0
    ledger.release(run, "killed")

    drive(fresh)
    seen = snapshot(ledger)
    assert (seen.state, seen.stage.words) == ("stopped", "confirming the front")
    assert f"validated: {planned} of {planned} configurations of the front with 3 fresh seeds" in lines(seen)
    assert before.share < seen.share < 1
    assert as_dict(seen)["fresh"] == {
        "begun": fresh.plan.opened, "planned": planned, "ended": planned, "replicates": 3,
    }  # fmt: skip
    assert as_dict(seen)["confirmation"] is None

    confirmation = begin(ledger, ledger.spec.confirm)
    confirmation.fix(BASELINE)
    drive(confirmation)
    assert (snapshot(ledger).state, snapshot(ledger).stage) == ("complete", None)


def test_a_stage_that_began_counts_where_no_confirmation_is_asked_for(searched):
    """As `study confirm` of a spec without [confirm]. Catches: a study that no run resumes."""
    fresh_of(searched)
    assert snapshot(searched).state == "stopped"
    assert done(complete(searched), None, asked=searched.fresh() is not None) is None


def test_the_table_has_the_points_of_the_search(searched, tmp_path):
    fresh = fresh_of(searched)
    drive(fresh)
    export(searched, tmp_path)
    table = pd.read_parquet(tmp_path / "tables" / "fresh.parquet")
    assert list(table) == ["trial", "replicate", "split", "epoch", *METRICS]
    assert set(table["split"]) == {"validation"}
    assert set(table["trial"]) == {p.trial for p in fresh.plan.points}
    points = pd.read_parquet(tmp_path / "tables" / "points.parquet")
    assert set(zip(table["trial"], table["epoch"], strict=True)) <= set(
        zip(points["trial"], points["epoch"], strict=True)
    )
    assert len(table) == len(list(fresh.measurements()))
    facts = manifest(searched, searched.records(), 0.0)
    assert facts["test_opened"] is None
    assert facts["fresh"]["planned"] == len(fresh.plan.points)
    assert [stage["stage"] for stage in facts["stages"]] == ["search", "fresh"]
    assert facts["stages"][1]["member_epochs"] == 3 * sum(p.epoch for p in fresh.plan.points)


def test_an_interrupted_stage_resumes_and_the_confirmation_follows(tmp_path):
    """A kill right after its plan. Catches: a test set that is opened before fresh seeds are measured."""
    spec = StudySpec.from_text(SPEC, where="test", overrides=INLINE)
    folder = run(spec, tmp_path).folder
    with closing(Ledger.read(folder)) as ledger:
        begin_fresh(ledger, Confirm())
    outcome = run(spec, tmp_path)
    assert (outcome.trained, outcome.complete) == (True, True)
    with closing(Ledger.read(folder)) as ledger:
        assert complete(ledger.fresh()) is not None
        assert snapshot(ledger).state == "complete"
        assert ledger.confirmation().plan.opened >= ledger.fresh().plan.opened
        reasons = {p.reason for p in ledger.confirmation().plan.points}
        assert all("fresh-seed front" in reason or "study pick" in reason for reason in reasons)
    assert not run(spec, tmp_path).trained
    assert not confirm(folder).trained


def test_the_command_resumes_a_stage_of_an_unfinished_search(open_ledger, tmp_path, monkeypatch):
    """`study confirm` needs --unfinished only to begin; here it goes on until it finds other ratings."""
    ledger = open_ledger(*OVERRIDES)
    drive(ledger, turns=20)
    monkeypatch.setattr(local, "STUDIES_FOLDER", tmp_path)
    refused = CliRunner().invoke(app, ["confirm", "formula"])
    assert "--unfinished confirms the present front" in str(refused.exception)
    begin_fresh(ledger, ASKED)
    resumed = CliRunner().invoke(app, ["confirm", "formula"])
    assert "are not those that 'formula' began with" in str(resumed.exception)


def test_a_run_that_stops_in_the_stage_opens_nothing(tmp_path, monkeypatch):
    """The test set stays closed until all fresh seeds are measured."""
    train = inline.drive

    def stopping(record, *work):
        return "stopped on request" if record.stage == "fresh" else train(record, *work)

    spec = StudySpec.from_text(SPEC, where="test", overrides=(*INLINE, "confirm.points=2"))
    with monkeypatch.context() as patch:
        patch.setattr(inline, "drive", stopping)
        outcome = run(spec, tmp_path)
    assert (outcome.reason, outcome.complete) == ("stopped on request", False)
    with closing(Ledger.read(outcome.folder)) as ledger:
        assert ledger.confirmation() is None
        assert snapshot(ledger).stage.name == "validating"
    assert run(spec, tmp_path).complete
