"""The laws of a study, on every runtime: the record is the same as if each trial was trained alone."""

import os
from contextlib import contextmanager
from threading import Thread

import numpy as np
import pandas as pd
import pytest
import ray
from alone import recorded, trained_alone
from command import ratings

from study.loop.budget import complete
from study.record.ledger import Ledger
from study.results.export import export
from study.runtime import tune
from study.runtime.run import confirm, run
from study.spec import StudySpec
from trainable.contract import LaneReport, StudyError
from trainable.data.registry import load

SPEC = """
name = "laws"
[data]
source = "synthetic"
[train]
epochs = 4
dim = 8
hidden = 8
[space]
weight = { logit = [0.5, 0.999] }
sharing = ["none", "users", "items", "both"]
learning_rate = { log = [1e-3, 3e-2] }
batch_size = [128, "full"]
average = [0.0, 0.8]
negatives = ["all", "unseen"]
[search]
sampler = "random"
replicates = 2
[budget]
trials = 8
"""


@pytest.fixture(scope="module")
def a_ray():
    """One local Ray for the module: a start takes longer than the studies."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(
    scope="module",
    params=["inline", pytest.param("local", marks=[pytest.mark.ray, pytest.mark.long])],
)
def runtime(request):
    """The runtime: `make test` checks the laws inline, `make long` on Ray too."""
    if request.param == "local":
        request.getfixturevalue("a_ray")
    return request.param


def spec(*overrides):
    return StudySpec.from_text(SPEC, where="test", overrides=overrides)


@pytest.fixture(scope="module")
def study(runtime, tmp_path_factory):
    """Run a whole study on the runtime: two lanes of two slots, two replicates per trial."""
    home = tmp_path_factory.mktemp(runtime)
    asked = spec(
        f"runtime.address={runtime}", "runtime.lanes=2", "runtime.slots=2", "runtime.cpus_per_lane=1.0"
    )
    outcome = run(asked, home)
    assert outcome.reason == "trials: 8 of 8"
    return Ledger.read(outcome.folder)


def test_law_1_a_neighbour_never_changes_a_result(study):
    """Bit for bit. Catches: a stream shared by two members, an optimiser step counted across members."""
    found = recorded(study)
    assert set(found) == {(trial, replicate) for trial in range(8) for replicate in range(2)}
    for (trial, replicate), numbers in found.items():
        assert numbers == trained_alone(study, trial, replicate)


def test_law_3_order_never_matters(study, tmp_path):
    """One lane of one slot has the same result. Catches: a sampler or stream consumed in order."""
    alone = Ledger.read(run(spec("runtime.address=inline"), tmp_path).folder)
    assert [r.config for r in study.records()] == [r.config for r in alone.records()]
    assert recorded(study) == recorded(alone)


def test_law_4_front_points_are_as_measured(study, tmp_path):
    """A point is the mean over all replicates at its own epoch."""
    export(study, tmp_path)
    points = pd.read_parquet(tmp_path / "tables" / "points.parquet").set_index(["trial", "epoch"])
    measured = pd.read_parquet(tmp_path / "tables" / "measurements.parquet").groupby(["trial", "epoch"])
    for name in ("mrr", "mrr_all", "mse"):
        np.testing.assert_allclose(points[name], measured[name].mean(), rtol=1e-12)
        np.testing.assert_allclose(points[f"{name}_sd"], measured[name].std(), rtol=1e-9, atol=1e-12)
    assert (measured.size() == 2).all()
    assert points["candidate"].all()
    assert list(points.index[points["front"]]) == brute_front(points)


def brute_front(points):
    """Indices of the non-dominated points, by comparing all pairs."""
    rows = [(key, row["mrr"], row["mse"]) for key, row in points.iterrows()]

    def dominated(mrr, mse):
        return any(m >= mrr and e <= mse and (m, e) != (mrr, mse) for _, m, e in rows)

    return [key for key, mrr, mse in rows if not dominated(mrr, mse)]


def test_law_4_with_last_only_whole_trials_have_a_point(tmp_path, runtime):
    """No intermediate epoch counts as the trial's end."""
    overrides = (f"runtime.address={runtime}", "train.candidates=last", "budget.trials=3")
    folder = run(spec(*overrides), tmp_path).folder
    export(Ledger.read(folder), folder)
    points = pd.read_parquet(folder / "tables" / "points.parquet")
    assert sorted(points.loc[points["candidate"], "epoch"]) == [4, 4, 4]
    assert set(points["epoch"]) == {1, 2, 3, 4}


def test_law_5_a_stopped_study_resumes_to_the_same_record(runtime, tmp_path):
    """No trial is lost, doubled or left running by a stop, and resumed trials have the same results."""
    long = ("train.epochs=150", "train.evaluate_every=10", "search.replicates=1", "space.batch_size=64")
    asked = spec(f"runtime.address={runtime}", "runtime.lanes=2", *long)
    outcome = run(asked, tmp_path, watch=stop_after(3))
    assert outcome.reason == "stopped on request"
    assert not outcome.complete
    outcome = run(asked, tmp_path)
    ledger = Ledger.read(outcome.folder)
    assert {r.state for r in ledger.records()} == {"completed"}
    undisturbed = run(spec("runtime.address=inline", *long), tmp_path / "undisturbed")
    assert recorded(ledger) == recorded(Ledger.read(undisturbed.folder))
    assert run(asked, tmp_path).trained is False


def stop_after(measurements):
    """A watch that asks the study to stop after a number of measurements."""

    @contextmanager
    def watch(folder, _interrupt):
        def wait():
            ledger = Ledger.read(folder)
            while len(list(ledger.measurements())) < measurements:
                os.sched_yield()
            ledger.request_stop()
            ledger.close()

        thread = Thread(target=wait)
        thread.start()
        yield lambda _line: None
        thread.join()

    return watch


def test_law_6_direction_is_stated_once(study, tmp_path):
    """The front does not depend on the order of the objectives. Catches: a sign at one of two places."""
    turned = run(spec("runtime.address=inline", 'objectives=["mse", "mrr"]'), tmp_path)
    ledger = Ledger.read(turned.folder)
    fronts = []
    for each in (study, ledger):
        export(each, tmp_path / "out")
        fronts.append(pd.read_csv(tmp_path / "out" / "front.csv"))
    pd.testing.assert_frame_equal(*fronts)
    assert len(fronts[0]) > 0


def test_law_7_the_weight_does_nothing_where_nothing_is_shared(tmp_path):
    """No gradient of one task reaches the other's tables when they are separate."""
    initial = 'search.initial=[{ weight = 0.5, sharing = "none" }, { weight = 0.99, sharing = "none" }]'
    fixed = ("learning_rate=1e-3", "batch_size=128", "average=0.8", "negatives=unseen")
    overrides = (*(f"space.{value}" for value in fixed), "budget.trials=2", "search.replicates=1")
    folder = run(spec("runtime.address=inline", initial, *overrides), tmp_path).folder
    found = recorded(Ledger.read(folder))
    for epoch, numbers in found[0, 0].items():
        assert numbers["mrr"] == pytest.approx(found[1, 0][epoch]["mrr"], abs=1e-3)
        assert numbers["mse"] == pytest.approx(found[1, 0][epoch]["mse"], abs=2e-3)


def test_law_8_search_never_sees_the_test_set(runtime, tmp_path):
    """A different test set gives the same study. Catches: a reference, mask or metric that uses test rows."""
    split = load("synthetic", split="per-user", split_seed=0)
    rows = split.train + split.validation + split.test
    table = pd.DataFrame({"user": rows.users, "item": rows.items, "rating": rows.ratings})
    table.to_csv(tmp_path / "ratings.csv", index=False)
    tested = load(str(tmp_path / "ratings.csv"), split="per-user", split_seed=0).test
    keys = set(
        zip(tested.user_ids[tested.users].astype(int), tested.item_ids[tested.items].astype(int), strict=True)
    )
    poison = [key in keys for key in zip(table["user"], table["item"], strict=True)]
    assert sum(poison) == len(tested)
    table.loc[poison, "rating"] = 99.0
    (tmp_path / "poisoned").mkdir()
    table.to_csv(tmp_path / "poisoned" / "ratings.csv", index=False)
    studies = []
    for folder in (tmp_path, tmp_path / "poisoned"):
        asked = spec("runtime.address=inline", f"data.source='{folder / 'ratings.csv'}'", "budget.trials=3")
        studies.append(Ledger.read(run(asked, folder).folder))
    clean, poisoned = studies
    assert recorded(clean) == recorded(poisoned)
    assert clean.baseline.reference == poisoned.baseline.reference
    assert complete(clean) == complete(poisoned)


def test_law_8_confirmation_reports_from_the_test_set(runtime, tmp_path):
    """Each point with fresh seeds, for its epochs, trained on train and validation, measured on test.

    Catches: a confirmation with the search's seeds, fold or epochs; a run that opens the test set twice.
    """
    asked = spec(f"runtime.address={runtime}", "budget.trials=4", "confirm.points=3", "confirm.replicates=2")
    outcome = run(asked, tmp_path)
    assert outcome.complete
    confirmation = Ledger.read(outcome.folder, stage="confirm")
    found = recorded(confirmation)
    planned = confirmation.plan.points
    assert set(found) == {(number, replicate) for number in range(len(planned)) for replicate in range(2)}
    for (number, replicate), numbers in found.items():
        assert set(numbers) == {planned[number].epoch}
        assert numbers == trained_alone(confirmation, number, replicate)
    assert len(confirmation.by_user()) == len(found) * len({row["user"] for row in confirmation.by_user()})
    assert Ledger.read(outcome.folder).by_user() == []
    before = recorded(Ledger.read(outcome.folder))
    fresh = Ledger.read(outcome.folder, stage="fresh")
    seeds = {record.spec.search.seed for record in (Ledger.read(outcome.folder), fresh, confirmation)}
    assert len(seeds) == 3
    assert not run(asked, tmp_path).trained
    assert not confirm(outcome.folder).trained
    assert recorded(confirmation) == found
    assert recorded(Ledger.read(outcome.folder)) == before


def test_law_8_fresh_seeds_are_measured_on_validation(runtime, tmp_path):
    """Each configuration with fresh seeds, trained on train, measured on validation after each epoch.

    Catches: a fresh-seed stage with the seeds of the search, and one that trains or measures on other data.
    """
    asked = spec(f"runtime.address={runtime}", "budget.trials=4", "confirm.points=3", "confirm.fresh=2")
    outcome = run(asked, tmp_path)
    fresh = Ledger.read(outcome.folder, stage="fresh")
    found, planned = recorded(fresh), fresh.plan.points
    assert set(found) == {(number, replicate) for number in range(len(planned)) for replicate in range(2)}
    for (number, replicate), numbers in found.items():
        assert set(numbers) == set(range(1, planned[number].epoch + 1))
        assert numbers == trained_alone(fresh, number, replicate)
    assert fresh.by_user() == []
    assert fresh.baseline == Ledger.read(outcome.folder).baseline
    opened = Ledger.read(outcome.folder, stage="confirm").plan.opened
    assert all(record.finished[:19] <= opened[:19] for record in fresh.records())


def test_a_confirmation_of_other_data_is_refused(tmp_path):
    """Search and confirmation have the same ratings."""
    source = tmp_path / "ratings.csv"
    source.write_text(ratings(), encoding="utf-8")
    asked = spec("runtime.address=inline", f"data.source='{source}'", "budget.trials=2")
    folder = run(asked, tmp_path).folder
    source.write_text(ratings(each=11), encoding="utf-8")
    with pytest.raises(StudyError, match="are not those that 'laws' began with"):
        confirm(folder)
    assert Ledger.read(folder).confirmation() is None


@pytest.mark.long
@pytest.mark.ray
def test_two_studies_of_one_question_run_on_one_ray(a_ray, tmp_path):
    """The names of the two referees differ."""
    referees = []
    for name in ("one", "two"):
        folder = run(spec("runtime.address=inline", f"name={name}"), tmp_path).folder
        ledger = Ledger.read(folder)
        referees.append(tune._start_referee(ledger, folder, ledger.claim(), lease_s=60.0))
    answers = [ray.get(r.exchange.remote(LaneReport("0.0", -1, free=1))) for r in referees]
    assert [answer.over for answer in answers] == [True, True]
    for referee in referees:
        ray.kill(referee)
