"""Each configuration is trained once, and a study whose space is used up ends with that reason."""

from contextlib import closing
from dataclasses import replace
from itertools import count

import optuna
import pandas as pd
import pytest
from formula import BASELINE, SPEC, FormulaLane, measure
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.questions.hypervolume_history import growth
from analysis.tables import Tables
from study.loop.budget import complete
from study.loop.confirmation import begin
from study.loop.referee import Referee
from study.record.front import candidates, front, reference
from study.record.ledger import Ledger
from study.record.rows import Holder, Plan, Planned
from study.results.export import export
from study.runtime.prefetch import PrefetchingReferee
from study.runtime.run import run
from study.search.samplers.registry import SAMPLERS
from study.service.serialize import growth as told
from study.spec import StudySpec
from study.spec.sections import Budget, Confirm
from study.status.snapshot import snapshot

FOUR = ("space.sharing=['none', 'both']", "space.weight=[0.5, 0.9, 0.99]", "budget.trials=40")
"""Two sharings, one without λ and one with three."""

ALL_FOUR = "all 4 distinct configurations were tried"


def drive(answering, lanes, most=400):
    """Let the lanes take turns until the study is over; fails the test if it never ends."""
    for turn in range(most):
        if answering.over is not None:
            return answering.over
        lanes[turn % len(lanes)].advance(answering.exchange)
    pytest.fail(f"not over after {most} turns")


def even(sampler):
    return f"search.explore={0 if sampler in ('grid', 'qmc') else 0.33}"


# --- a space that is used up -----------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("lanes", "slots"), [(1, 1), (3, 2)])
def test_a_study_ends_when_all_was_tried(open_ledger, sampler, lanes, slots):
    """With fewer configurations than slots too. Catches: lanes that wait for a fifth."""
    ledger = open_ledger(*FOUR, f"search.sampler={sampler}", even(sampler))
    number = ledger.claim()
    over = drive(Referee(ledger, number), [FormulaLane(f"{number}.{n}", slots) for n in range(lanes)])
    ledger.release(number, over)
    assert over == complete(ledger) == ALL_FOUR
    records = ledger.records()
    assert [r.state for r in records] == ["completed"] * 4
    assert len({r.config for r in records}) == 4
    assert (snapshot(ledger).share, snapshot(ledger).state) == (1.0, "complete")


def test_the_study_is_not_over_while_the_last_are_trained(open_ledger):
    """All four are leased: the fifth slot is parked, the study runs. Catches: an end that is too early."""
    ledger = open_ledger(*FOUR)
    number = ledger.claim()
    referee = Referee(ledger, number)
    busy, idle = FormulaLane(f"{number}.0", 4), FormulaLane(f"{number}.1")
    busy.advance(referee.exchange)
    answer = idle.advance(referee.exchange)
    assert (len(busy.leases), idle.leases, answer.park, answer.over) == (4, {}, True, False)
    assert drive(referee, [busy, idle]) == ALL_FOUR


def test_asks_ahead_end_with_the_space(open_ledger):
    """No draw waits for a missing configuration, and none is counted twice."""
    ledger = open_ledger(*FOUR)
    number = ledger.claim()
    answering = PrefetchingReferee(Referee(ledger, number, prefetch=True))
    over = drive(answering, [FormulaLane(f"{number}.{n}", 2) for n in range(2)], most=100_000)
    answering.close()
    assert over == ALL_FOUR
    assert len({r.config for r in ledger.records()}) == len(ledger.records()) == 4


def test_a_configuration_that_is_being_drawn_is_promised(open_ledger):
    """One is leased and three are being drawn: no fifth is wanted, though slots are empty."""
    ledger = open_ledger(*FOUR)
    referee = Referee(ledger, ledger.claim(), prefetch=True, lease_s=1e9, clock=count(0, 2).__next__)
    lane = FormulaLane("a", 9)
    lane.advance(referee.exchange)
    assert len(lane.leases) == 1
    for _ in range(3):
        assert referee.wanting
        referee.reserve()
    assert not referee.wanting
    assert referee.over is None


def test_the_only_configuration_is_trained_once(open_ledger):
    ledger = open_ledger("space.sharing=none")
    assert drive(Referee(ledger, ledger.claim()), [FormulaLane("a", 3)]) == "the only configuration was tried"
    assert len(ledger.records()) == 1


def test_all_initial_weights_without_sharing_are_trained(open_ledger):
    """The four cells of ps1, though three of its four configurations differ where λ changes nothing."""
    named = "{ sharing='none', weight=0.5 }, { sharing='none', weight=0.99 }, { sharing='both', weight=0.5 }"
    ledger = open_ledger(*FOUR, "space.weight=[0.5, 0.99]", f"search.initial=[{named}]")
    assert drive(Referee(ledger, ledger.claim()), [FormulaLane("a", 2)]) == ALL_FOUR
    assert [r.config.weight for r in ledger.records()[:2]] == [0.5, 0.99]


def test_neighbouring_real_numbers_end_the_study(open_ledger):
    """Nothing is trained twice where a range has two numbers. Catches: trials without end."""
    ledger = open_ledger("space.sharing=both", "space.weight={ uniform=[0.5, 0.5000000000000001] }")
    assert drive(Referee(ledger, ledger.claim()), [FormulaLane("a", 2)]).endswith("tried")
    *trained, last = ledger.records()
    assert len({r.config for r in trained}) == len(trained)
    assert (last.state, last.epochs) == ("stopped", 0)
    assert last.reason == "the same configuration as trial 0; each is trained once"


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(["random", "grid", "qmc", "tpe"]),
    st.integers(0, 99),
    st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=3),
)
def test_kills_leave_each_configuration_trained_once(tmp_path_factory, sampler, seed, kills):
    """Between calls and in the middle of an ask. Catches: a repeat that a resumed run does not know."""
    overrides = [*FOUR, f"search.sampler={sampler}", f"search.seed={seed}", even(sampler), "train.epochs=2"]
    spec = StudySpec.from_text(SPEC, where="test", overrides=overrides)
    folder = tmp_path_factory.mktemp("kills") / "formula"
    for turns, in_an_ask in [*kills, (100, False)]:
        with closing(Ledger.open(spec, folder, BASELINE)) as ledger:
            number = ledger.claim()
            referee, lanes = Referee(ledger, number), [FormulaLane(f"{number}.{n}", 2) for n in range(2)]
            for turn in range(turns):
                lanes[turn % 2].advance(referee.exchange)
            if in_an_ask and len(ledger.records()) < 4:
                ledger._optuna.ask().suggest_categorical("sharing", ("none", "both"))
            ledger.release(number, "died")
            assert referee.over == (ALL_FOUR if complete(ledger) else None)
    with closing(Ledger.read(folder)) as ledger:
        assert complete(ledger) == ALL_FOUR
        assert [r.state for r in ledger.records()] == ["completed"] * 4
        assert len({r.config for r in ledger.records()}) == 4


def test_late_recorded_ask_is_not_trained_twice(open_ledger):
    """A killed referee drew the last of four when the next had read. Catches: a fifth trial that is trained,
    asks without end.
    """
    ledger = open_ledger(*FOUR)
    referee, lane = Referee(ledger, ledger.claim()), FormulaLane("a")
    lane.advance(referee.exchange)
    ledger.ask()
    assert drive(referee, [lane]) == ALL_FOUR
    trained = [r for r in ledger.records() if r.epochs]
    assert len({r.config for r in trained}) == len(trained) == 4
    assert complete(ledger) == ALL_FOUR


def test_inline_a_minimal_study_trains_what_there_is(tmp_path):
    """End to end, with real training."""
    small = ("train.epochs=1", "train.dim=2", "train.hidden=2", "runtime.address=inline", "runtime.lanes=2")
    spec = StudySpec.from_text(SPEC, where="test", overrides=[*FOUR, "search.sampler=tpe", *small])
    outcome = run(spec, tmp_path)
    assert (outcome.reason, outcome.complete) == (ALL_FOUR, True)
    assert run(spec, tmp_path).trained is False
    export(Ledger.read(outcome.folder), outcome.folder)
    trials = Tables.load(outcome.folder).trials
    assert len(trials.drop_duplicates(["sharing", "weight"])) == len(trials) == 4


# --- records of earlier versions -------------------------------------------------------------------------


class Told(optuna.samplers.RandomSampler):
    """Draws given parameters for each trial, as earlier versions might have."""

    def __init__(self, drawn):
        super().__init__()
        self.drawn = drawn

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self.drawn[trial.number][param_name]


COUNTS = ("users", "items", "train", "validation", "test")
DATA = {"sha256": "0", "has_validation": True, "source": "synthetic", "split": "per-user", "warnings": []}
DATA |= dict.fromkeys(COUNTS, 9)
NONE, HALF = {"sharing": "none"}, {"sharing": "both", "weight": 0.5}


def repeated(ledger, drawn, *, epochs=4, left=0):
    """Put trials on record that have these parameters, all but the last `left` of them trained."""
    ledger._optuna.sampler = Told(drawn)
    holder = Holder(1, "old", 1)
    for number in range(len(drawn)):
        _, config = ledger.ask()
        ledger.lease(number, config, holder, attempt=1)
        done = epochs if isinstance(epochs, int) else epochs[number]
        ledger.record([measure(config, number, 0, epoch) for epoch in range(1, done + 1)])
        if number < len(drawn) - left:
            verdict = "complete" if done == config.epochs else "stop"
            ledger.end(number, verdict, "as before", epochs=done, point=ledger.points(trial=number)[-1])


def configuration(table, trials):
    """The points of a table by configuration and epochs."""
    joined = table.merge(trials[["trial", "sharing", "weight"]], on="trial")
    return [(r.sharing, None if pd.isna(r.weight) else r.weight, r.epoch) for r in joined.itertuples()]


@pytest.fixture
def old(open_ledger):
    """A record with one configuration three times and another twice: first stopped, then trained on."""
    ledger = open_ledger(*FOUR)
    ledger.fix(replace(BASELINE, data=DATA))
    repeated(ledger, [NONE, HALF, NONE, HALF, NONE], epochs=[4, 2, 4, 4, 4])
    return ledger


def test_tables_hold_a_point_once(old, tmp_path):
    export(old, tmp_path)
    tables = Tables.load(tmp_path)
    points = configuration(tables.points, tables.trials)
    assert sorted(points, key=str) == sorted(
        [(s, w, e) for s, w in (("none", None), ("both", 0.5)) for e in range(1, 5)], key=str
    )
    assert {(int(r.trial), int(r.epoch)) for r in tables.points.itertuples()} == {
        *((0, e) for e in range(1, 5)),
        *((1, e) for e in (1, 2)),
        *((3, e) for e in (3, 4)),
    }
    written = pd.read_csv(tmp_path / "front.csv")
    assert len(configuration(written[["trial", "epoch"]], tables.trials)) == len(
        set(configuration(written[["trial", "epoch"]], tables.trials))
    )
    assert [bool(f) for f in tables.trials["front"]] == [n in set(written["trial"]) for n in range(5)]


def test_nothing_is_deleted_from_the_record_or_the_table_of_trials(old, tmp_path):
    export(old, tmp_path)
    tables = Tables.load(tmp_path)
    assert len(old.points()) == len(tables.measurements) == 4 + 2 + 4 + 4 + 4
    assert len(tables.trials) == 5
    assert tables.trials["mrr"].notna().all()


def test_the_front_and_the_snapshot_hold_a_point_once(old):
    seen = snapshot(old)
    shown = [(seen.trials[p.trial].config, p.epoch) for p in seen.points]
    assert len(shown) == len(set(shown)) == 8
    best = [(seen.trials[p.trial].config, p.epoch) for p in seen.front.points]
    assert len(best) == len(set(best)) > 0
    assert seen.member_epochs == 18
    whole = front(old.points(), old.spec, reference(BASELINE, old.spec))
    assert seen.front.hypervolume == whole.hypervolume
    assert len(whole.points) > len(seen.front.points)


def test_a_hypervolume_history_holds_a_point_once(old, tmp_path):
    """A repeat is a trial, and adds nothing to the front."""
    export(old, tmp_path)
    records = {r.trial: r for r in old.records()}
    for volumes in (
        growth(Tables.load(tmp_path))["hypervolume"].tolist(),
        [step.hypervolume for step in told(snapshot(old), records)],
    ):
        assert len(volumes) == 5
        assert volumes[1] == volumes[2] <= volumes[3] == volumes[4] == snapshot(old).front.hypervolume


def test_the_first_that_did_not_fail_has_the_point(open_ledger):
    ledger = open_ledger(*FOUR)
    repeated(ledger, [HALF, HALF], left=2)
    ledger.end(0, "fail", "loss not finite", epochs=4, point=None)
    ledger.end(1, "complete", "as before", epochs=4, point=ledger.points(trial=1)[-1])
    records = {r.trial: r for r in ledger.records()}
    assert {p.trial for p in candidates(ledger.points(), records, ledger.spec)} == {1}
    assert {p.trial for p in snapshot(ledger).points} == {1}


def test_equal_metrics_of_two_configurations_are_two_points(open_ledger):
    """A point is a configuration and its epochs: here dim changes no metric."""
    ledger = open_ledger("space.sharing=none", "space.dim=[8, 16]")
    drive(Referee(ledger, ledger.claim()), [FormulaLane("a", 2)])
    assert len(snapshot(ledger).points) == 8
    assert {p.trial for p in snapshot(ledger).front.points} == {0, 1}


def test_an_old_record_goes_on_with_what_it_lacks(open_ledger):
    """Five trials of two configurations: two are left of four, and no repeat is trained to its end."""
    ledger = open_ledger(*FOUR)
    repeated(ledger, [NONE, HALF, NONE, HALF, HALF], epochs=[4, 4, 4, 4, 2], left=1)
    ledger = open_ledger(*FOUR)
    assert complete(ledger) is None
    assert snapshot(ledger).share < 1
    number = ledger.claim()
    over = drive(Referee(ledger, number), [FormulaLane(f"{number}.0")])
    ledger.release(number, over)
    assert over == complete(ledger) == ALL_FOUR
    records = ledger.records()
    assert [r.state for r in records] == [*["completed"] * 4, "stopped", "completed", "completed"]
    assert records[4].reason == "the same configuration as trial 1; each is trained once"
    assert len({r.config for r in records}) == 4
    assert snapshot(ledger).share == 1.0


@pytest.mark.parametrize(("trials", "share"), [(2, 1.0), (4, 0.5), (40, 0.5)])
def test_the_share_is_of_what_can_be_reached(open_ledger, trials, share):
    """Of 40 trials in a space of four, two are half."""
    ledger = open_ledger(*FOUR, f"budget.trials={trials}")
    repeated(ledger, [NONE, HALF])
    assert snapshot(ledger).share == share


def test_a_confirmation_trains_whatever_was_planned(open_ledger):
    """A plan may name one configuration at more epochs than the space has members."""
    ledger = open_ledger("space.sharing=none")
    repeated(ledger, [{}])
    assert complete(ledger) == "the only configuration was tried"

    confirmation = begin(ledger, Confirm(points=4))
    confirmation.fix(BASELINE)
    planned = len(confirmation.plan.points)
    over = drive(Referee(confirmation, ledger.claim()), [FormulaLane("a", 2)])
    assert over == complete(confirmation) == f"trials: {planned} of {planned}"
    assert [r.state for r in confirmation.records()] == ["completed"] * planned


def test_a_confirmation_of_repeats_has_each_point_once(old, tmp_path):
    """As an earlier version planned it: one point by three trials, one by a trial that is not the first."""
    config = {r.trial: r.config for r in old.records()}
    planned = [(0, 4), (2, 4), (4, 3), (3, 2)]
    points = tuple(Planned(n, e, "on the front", replace(config[n], epochs=e)) for n, e in planned)
    again = old.spec.model_copy(
        update={"search": old.spec.search.model_copy(update={"replicates": 2}), "budget": Budget(trials=4)}
    )
    confirmation = old.add_stage("confirm", again, Plan("2026-01-01T00:00:00+00:00", points))
    confirmation.fix(replace(BASELINE, data=DATA))
    drive(Referee(confirmation, old.claim()), [FormulaLane("a", 4)])
    export(old, tmp_path)
    tables = Tables.load(tmp_path)
    named = [(0, 4), (0, 3), (1, 2)]
    confirmed = tables.confirmed[["trial", "epoch", "replicate"]].to_numpy(dtype=int).tolist()
    assert sorted(confirmed) == sorted([t, e, r] for t, e in named for r in range(2))
    assert [(p["trial"], p["epoch"]) for p in tables.manifest["confirmation"]["points"]] == named
    assert set(snapshot(old).tested) == set(named)
