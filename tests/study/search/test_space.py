"""Conversion of a spec's space to Optuna distributions, and of Optuna's parameters to a Config."""

import tomllib
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial
from scipy.stats import ks_2samp

from study.search.space import SearchSpace, value_at
from study.spec import StudySpec
from study.spec.sections import Space

BASE = 'name = "base"\n[data]\nsource = "synthetic"\n[budget]\ntrials = 3\n'


def space(*overrides: str) -> SearchSpace:
    return SearchSpace(StudySpec.from_text(BASE, where="base", overrides=overrides))


def fixed(parameters: dict[str, Any], number: int = 0) -> FixedTrial:
    return FixedTrial(parameters, number=number)


def test_each_form_has_its_distribution_in_its_own_unit() -> None:
    searched = space(
        "space.weight={ uniform = [0.1, 0.9] }",
        "space.learning_rate={ log = [1e-4, 1e-2] }",
        "space.weight_decay=[0.0, 0.1]",
        "space.dim={ int = [8, 64] }",
        "space.batch_size=[256, 'full']",
        "space.hidden=16",
    )
    assert dict(searched.distributions) == {
        "sharing": CategoricalDistribution(("none", "users", "items", "both")),
        "weight": FloatDistribution(0.1, 0.9),
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "weight_decay": CategoricalDistribution((0.0, 0.1)),
        "batch_size": CategoricalDistribution((256, "full")),
        "dim": IntDistribution(8, 64),
    }
    assert searched.searched == tuple(searched.distributions)


POSITIVE = ("{ uniform = [0.1, 0.9] }", "{ log = [0.1, 0.9] }", "[0.1, 0.9]", "0.3")
COUNT = ("{ int = [3, 9] }", "[3, 9]", "[5]", "5")
FORMS = {
    "weight": ("{ uniform = [0.1, 0.9] }", "{ logit = [0.1, 0.9] }", "[0.1, 0.9]", "0.3"),
    "sharing": ("['users', 'items']", "'users'"),
    "learning_rate": POSITIVE,
    "weight_decay": (*POSITIVE, "{ uniform = [0.0, 0.5] }", "0"),
    "average": ("{ uniform = [0.0, 0.95] }", "{ logit = [0.5, 0.99] }", "[0.0, 0.9]", "0.9"),
    "epochs": COUNT,
    "batch_size": (*COUNT, "[64, 'full']", "'full'"),
    "dim": COUNT,
    "hidden": COUNT,
    "ranking_loss": ("['bpr', 'one-minus-sigmoid']", "'bpr'"),
    "negatives": ("['unseen', 'all']", "'unseen'"),
}


@pytest.mark.parametrize(("key", "form"), [(key, form) for key, forms in FORMS.items() for form in forms])
def test_every_key_takes_every_form_that_suits_it(key: str, form: str) -> None:
    spec = StudySpec.from_text(BASE, where="base", overrides=["space.sharing=both", f"space.{key}={form}"])
    searched, written = SearchSpace(spec), tomllib.loads(f"form = {form}")["form"]
    optuna_study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = {getattr(searched.suggest(optuna_study.ask()), key) for _ in range(20)}
    match written:
        case dict():
            ((low, high),) = written.values()
            assert len(found) > 3
            assert all(low <= value <= high and type(value) is type(low) for value in found)
        case list():
            assert found == set(written)
        case _:
            assert found == {written}
            assert not any(key in parameter for parameter in searched.distributions)


def test_the_table_above_has_every_key() -> None:
    assert set(FORMS) == set(Space.model_fields)


@pytest.mark.parametrize("form", ["{ uniform = [0.1, 0.9] }", "{ log = [0.1, 0.9] }", "[0.1, 0.2, 0.9]"])
def test_equal_shares_of_a_range_are_equally_likely(form: str) -> None:
    """Values at even shares of a range equal the sorted draws of a random sampler."""
    distribution = space(f"space.weight_decay={form}").distributions["weight_decay"]
    optuna_study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = [optuna_study.ask({"weight_decay": distribution}) for _ in range(300)]
    drawn = [trial.params["weight_decay"] for trial in asked]
    even = [value_at((place + 0.5) / 300, distribution) for place in range(300)]
    assert ks_2samp(drawn, even).pvalue > 0.01
    assert sorted(even) == even


def test_what_is_not_searched_comes_from_the_space_then_from_train() -> None:
    config = space(
        "space.weight=0.25",
        "space.sharing=items",
        "space.hidden=16",
        "train.hidden=99",
        "train.dim=7",
        "train.evaluate_every=5",
    ).suggest(fixed({}))
    assert config.as_dict() == {
        "weight": 0.25,
        "sharing": "items",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "ranking_loss": "one-minus-sigmoid",
        "batch_size": 256,
        "dim": 7,
        "hidden": 16,
        "epochs": 20,
        "evaluate_every": 5,
        "average": 0.0,
        "negatives": "all",
    }


def test_the_weight_is_a_parameter_only_where_something_is_shared() -> None:
    searched = space()
    assert searched.suggest(fixed({"sharing": "none"})).weight is None
    for sharing in ("users", "items", "both"):
        with pytest.raises(ValueError, match=r"logit\(weight\)"):
            searched.suggest(fixed({"sharing": sharing}))
        assert searched.suggest(fixed({"sharing": sharing, "logit(weight)": 0.0})).weight == 0.5
    assert space("space.sharing=none").searched == ("weight",)
    assert space("space.sharing=none").parameters(lambda name, _: pytest.fail(name)) == {}


def test_a_fixed_weight_is_named_everywhere() -> None:
    assert space("space.weight=0.9").suggest(fixed({"sharing": "none"})).weight == 0.9


@given(
    st.integers(1, 10**6 - 1).map(lambda millionths: millionths / 10**6),
    st.floats(1e-6, 0.4),
    st.floats(0.6, 1 - 1e-6),
)
def test_a_weight_comes_back_from_its_logit_as_it_was_written(weight: float, low: float, high: float) -> None:
    low, high = min(low, weight), max(high, weight)
    searched = space(
        f"space.weight={{ logit = [{low!r}, {high!r}] }}", f"search.initial=[{{ weight = {weight!r} }}]"
    )
    distribution = searched.distributions["logit(weight)"]
    assert isinstance(distribution, FloatDistribution)
    initial = searched.initial(0)
    assert initial is not None
    assert distribution.low <= initial["logit(weight)"] <= distribution.high
    for logit, expected in [
        (initial["logit(weight)"], weight),
        (distribution.low, low),
        (distribution.high, high),
    ]:
        found = searched.config({"sharing": "both", "logit(weight)": logit}, number=9).weight
        assert found == pytest.approx(expected, rel=1e-12)
        assert found is not None
        assert low <= found <= high
    assert searched.config({"sharing": "both", **initial}, number=0).weight == weight


def test_an_initial_weight_is_kept_where_nothing_is_shared() -> None:
    searched = space("search.initial=[{ weight=0.01, sharing='none' }, { sharing='none' }]")
    assert searched.initial(0) == {"sharing": "none", "logit(weight)": pytest.approx(-4.59511985013459)}
    assert [searched.config({"sharing": "none"}, number).weight for number in range(3)] == [0.01, None, None]


def test_a_recorded_trial_gives_its_config_again() -> None:
    searched = space("space.learning_rate={ log = [1e-4, 1e-2] }", "space.batch_size=[64, 'full']")
    optuna_study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    configs = [searched.suggest(optuna_study.ask()) for _ in range(20)]
    assert [searched.suggest(trial) for trial in optuna_study.trials] == configs
    assert len(set(configs)) == 20
