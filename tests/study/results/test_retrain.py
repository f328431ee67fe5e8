"""A model that is trained again from its key equals its record, or is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from study.record.ledger import Ledger
from study.record.rows import Point
from study.results.export import export
from study.results.retrain import card_of, exported, fold_of, source, trained
from study.runtime.run import run
from study.spec import StudySpec
from trainable.artifact import load_model
from trainable.contract import METRICS, StudyError
from trainable.metrics import Ranking, mean_squared_error

SPEC = """
name = "two"
[data]
source = "synthetic"
[train]
epochs = 5
dim = 4
hidden = 8
learning_rate = 0.02
average = 0.7
negatives = "unseen"
[search]
sampler = "random"
replicates = 2
[budget]
trials = 2
[confirm]
points = 1
replicates = 2
[runtime]
address = "inline"
"""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A study of two configurations with two seeds each, run to its end, a point of it confirmed."""
    return Ledger.read(run(StudySpec.from_text(SPEC, where="test"), tmp_path_factory.mktemp("home")).folder)


@pytest.fixture(scope="module")
def fold(ledger):
    return fold_of(ledger)


def test_users_of_confirmed_models_add_up_to_the_confirmed_metrics(ledger, tmp_path):
    """Every user of the test set is counted once, under the confirmed point."""
    export(ledger, tmp_path)
    users, confirmed = (pd.read_parquet(tmp_path / "tables" / f"{n}.parquet") for n in ("users", "confirmed"))
    keys, confirmation = ["trial", "epoch", "replicate"], ledger.confirmation()
    target = fold_of(confirmation).target
    grouped = users.groupby(keys)
    made = pd.DataFrame(
        {
            "mrr": grouped["reciprocal_rank"].mean(),
            "mrr_all": grouped["reciprocal_rank_all"].mean(),
            "mse": grouped["squared_error"].sum() / grouped["ratings"].sum(),
        }
    )
    assert len(confirmed) == 2 * len(confirmation.plan.points)
    assert (grouped["ratings"].sum() == len(target)).all()
    assert set(users["user"]) == set(target.user_ids[np.unique(target.users)])
    pd.testing.assert_frame_equal(
        made, confirmed.set_index(keys)[list(METRICS)].sort_index(), check_exact=False, rtol=1e-12
    )


@pytest.mark.parametrize("replicate", [0, 1])
def test_retrained_metrics_equal_the_record_bit_for_bit(ledger, fold, replicate):
    """Epochs, streams of the seed and configuration are those of the record."""
    card = card_of(ledger, 1, 3, replicate=replicate)
    assert (card.trial, card.epochs, card.replicate, card.config.epochs) == (1, 3, replicate, 5)
    assert card.config == ledger.records()[1].config
    assert trained(card, fold).card == card


def test_a_confirmed_point_has_the_model_of_its_confirmation(ledger):
    """Seed, fold and record are those of the confirmation; known items are not recommended."""
    confirmation = ledger.confirmation()
    (planned, *_), validation = confirmation.plan.points, fold_of(ledger).target
    record, number = source(ledger, Point(planned.trial, planned.epoch, 0, 0, 0))
    assert (record.stage, number) == ("confirm", 0)
    card, fold = card_of(record, number, planned.epoch), fold_of(record)
    assert (card.trial, card.epochs, card.trained_on, card.measured_on) == (
        planned.trial,
        planned.epoch,
        "train + validation",
        "test",
    )
    assert card.seed == confirmation.spec.search.seed != ledger.spec.search.seed
    model = trained(card, fold)
    assert model.card == card
    for user, item in zip(validation.users[:50], validation.items[:50], strict=True):
        assert model.items[item] in model.seen(model.users[user])


def test_any_other_point_has_the_model_of_the_search(ledger):
    planned = ledger.confirmation().plan.points
    other = Point(planned[0].trial, 1 if planned[0].epoch != 1 else 2, 0, 0, 0)
    assert (other.trial, other.epoch) not in {(p.trial, p.epoch) for p in planned}
    assert source(ledger, other) == (ledger, other.trial)
    card = card_of(ledger, other.trial, other.epoch)
    assert (card.trained_on, card.measured_on) == ("train", "validation")


def test_the_model_itself_has_the_metrics_of_its_card(ledger, fold):
    """The parameters are those of the measured epoch and member."""
    model = trained(card_of(ledger, 1, 3), fold)

    def scores(users):
        rows = [dict(model.recommend(model.users[u], len(model.items), include_seen=True)) for u in users]
        return np.array([[row[item] for item in model.items] for row in rows])

    target = fold.target
    rated = [
        model.rate(model.users[u], [model.items[i]])[0]
        for u, i in zip(target.users, target.items, strict=True)
    ]
    again = Ranking(fold).metrics(scores) | {"mse": mean_squared_error(rated, target.ratings)}
    assert again == pytest.approx(dict(model.card.metrics), rel=1e-5)


def test_other_engine_is_within_rounding_and_its_card_has_its_metrics(ledger, fold):
    card = card_of(ledger, 1, 3)
    other = trained(card, fold, engine="plain").card
    assert other.metrics == pytest.approx(dict(card.metrics), rel=0.02)
    assert replace(other, metrics=card.metrics) == card


@pytest.mark.parametrize(
    "change", [{"epochs": 1}, {"seed": 5, "epochs": 5}, {"metrics": dict.fromkeys(METRICS, float("nan"))}]
)
def test_model_that_differs_from_the_record_is_not_saved(ledger, fold, change, tmp_path: Path):
    card = replace(card_of(ledger, 1, 3), **change)
    with pytest.raises(StudyError, match=r"trained again it has mrr 0\.\d{4}, .* recorded is mrr"):
        exported(card, tmp_path / "it", lambda: fold)
    assert not list(tmp_path.iterdir())


def test_fitting_model_is_kept_and_any_other_is_trained_again(ledger, fold, tmp_path: Path):
    card, place, asked = card_of(ledger, 1, 3), tmp_path / "it", []

    def data():
        asked.append(True)
        return fold

    def export(card):
        asked.clear()
        exported(card, place, data)
        assert load_model(place).card == card
        return bool(asked)

    assert export(card)
    assert not export(card)
    assert export(card_of(ledger, 1, 4))
    assert export(card)
    (place / "model.json").write_text("{}")
    assert export(card)


def test_changed_ratings_make_no_model(ledger, monkeypatch):
    other = ledger.spec.data.model_copy(update={"split_seed": 1})
    monkeypatch.setattr(ledger, "spec", ledger.spec.model_copy(update={"data": other}))
    with pytest.raises(StudyError, match="the ratings of 'synthetic' are not those that two began with"):
        fold_of(ledger)
