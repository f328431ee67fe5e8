"""No sampler draws a configuration twice: spaces are counted, and untried configurations are drawn."""

from dataclasses import replace
from itertools import product
from math import inf
from random import Random

import optuna
import pytest
from asking import go_on, losses, new_study, reopened, run, spec_with
from hypothesis import given, settings
from hypothesis import strategies as st

from study.search.distinct import Tried, Untried, space_size
from study.search.samplers import keyed
from study.search.samplers.registry import SAMPLERS
from study.search.space import SearchSpace
from study.spec import StudySpec
from trainable.contract import SHARINGS, Config

MINIMAL = 'name = "mine"\n[data]\nsource = "ml-100k"\n[budget]\ntrials = 40\n'
"""The keys that a spec needs; all others have defaults."""

FIXED = ("space.learning_rate=1e-3", "space.dim=8")
THIRTY = [n / 100 for n in range(1, 31)]
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS)


def even(sampler: str) -> str:
    return f"search.explore={0 if sampler in ('grid', 'qmc') else 0.33}"


@st.composite
def small(draw: st.DrawFn) -> dict[str, list[object]]:
    """The choices of a finite space of at most 4 × 3 × 2 × 2 configurations."""
    some = {
        "sharing": st.permutations(SHARINGS).flatmap(lambda s: st.integers(1, 4).map(lambda n: list(s[:n]))),
        "weight": st.sampled_from([[0.5], [0.5, 0.9], [0.9, 0.5, 0.99]]),
        "learning_rate": st.sampled_from([[1e-3], [2e-3, 1e-3]]),
        "dim": st.sampled_from([[8], [8, 16]]),
    }
    return {name: draw(values) for name, values in some.items()}


def spec_of(choices: dict[str, list[object]], *overrides: str) -> StudySpec:
    return spec_with(*(f"space.{name}={values}" for name, values in choices.items()), *overrides)


def listed(choices: dict[str, list[object]]) -> set[tuple[object, ...]]:
    """Every distinct configuration, by listing: where nothing is shared the weight is None."""
    every = product(*(choices[name] for name in ("sharing", "weight", "learning_rate", "dim")))
    return {(s, None if s == "none" else w, *others) for s, w, *others in every}


def values(config: Config) -> tuple[object, ...]:
    return config.sharing, config.weight, config.learning_rate, config.dim


# --- counted ---------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(small())
def test_the_size_of_a_space_is_that_of_its_list(choices: dict[str, list[object]]) -> None:
    assert space_size(spec_of(choices)) == len(listed(choices))


@pytest.mark.parametrize(
    ("space", "count"),
    [
        (("space.weight=0.9", *FIXED), 4),
        (("space.weight=0.9", "space.learning_rate=1e-3", "space.dim={ int = [8, 17] }"), 40),
        (("space.sharing=none", *FIXED), 1),
        (("space.sharing=['none']", "space.weight={ logit = [0.5, 0.9] }", *FIXED), 1),
        (FIXED, inf),
    ],
)
def test_what_makes_a_space_finite(space: tuple[str, ...], count: float) -> None:
    assert space_size(spec_with(*space)) == count


def test_a_grid_of_millions_is_neither_listed_nor_repeated() -> None:
    names = ("weight", "learning_rate", "weight_decay")
    lists = [f"space.{name}={THIRTY}" for name in names] + [
        "space.dim={ int=[1, 30] }",
        "space.hidden={ int=[1, 30] }",
    ]
    spec = spec_with(*lists, "space.sharing=both", "search.sampler=random")
    assert space_size(spec) == 30**5
    grid = spec.model_copy(
        update={"search": spec.search.model_copy(update={"sampler": "grid", "explore": 0.0})}
    )
    assert len(set(run(grid, 20))) == 20


@settings(deadline=None)
@given(small(), st.data())
def test_each_untried_configuration_is_as_likely_as_any_other(
    choices: dict[str, list[object]], data: st.DataObject
) -> None:
    """For any tried set, the ranks map one to one to the untried configurations."""
    spec = spec_of(choices)
    space = SearchSpace(spec).branches
    tried: list[dict[str, object]] = []
    for _ in range(data.draw(st.integers(0, len(listed(choices)) - 1))):
        tried.append(Untried(space, tried, {}).choose(Random(data.draw(st.integers(0, 99))))[1] or {})
    untried = Untried(space, tried, {})
    left = [untried._untried(s, rank) for s, count in untried.counts.items() for rank in range(int(count))]
    assert (
        len({frozenset(v.items()) for v in [*tried, *left]}) == len(tried) + len(left) == len(listed(choices))
    )


@settings(deadline=None)
@given(small(), st.data())
def test_what_is_left_is_what_no_trial_has(choices: dict[str, list[object]], data: st.DataObject) -> None:
    spec = spec_of(choices)
    configs = run(spec_of(choices, "search.sampler=random"), data.draw(st.integers(0, len(listed(choices)))))
    tried = Tried()
    repeats = [tried.add(n, config) for n, config in enumerate([*configs, *configs])]
    assert repeats == [None] * len(configs) + [*range(len(configs))]
    assert tried.left(spec, 2 * len(configs)) == len(listed(choices)) - len(configs)


# --- drawn -----------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(small(), st.integers(0, 99), st.data())
@pytest.mark.parametrize(
    "sampler", [pytest.param(name, marks=pytest.mark.long if name == "gp" else ()) for name in SAMPLERS]
)
def test_a_finite_space_is_drawn_once_whatever_is_killed(
    sampler: str, choices: dict[str, list[object]], seed: int, data: st.DataObject
) -> None:
    """A kill leaves an ask with a part of its parameters; the next process draws on from there."""
    spec = spec_of(choices, f"search.sampler={sampler}", f"search.seed={seed}", even(sampler))
    optuna_study, space = new_study(spec)
    configs: list[Config] = []
    for _ in range(len(listed(choices))):
        trial = optuna_study.ask()
        if data.draw(st.booleans(), label="killed"):
            trial.suggest_categorical("sharing", space.distributions["sharing"].choices)
            optuna_study, space = _another_process(optuna_study, spec)
            trial = optuna.trial.Trial(optuna_study, trial._trial_id)
        configs.append(space.suggest(trial))
        if data.draw(st.booleans(), label="ended"):
            optuna_study.tell(trial.number, losses(configs[-1]))
    assert sorted(map(str, map(values, configs))) == sorted(map(str, listed(choices)))


def _another_process(optuna_study: optuna.Study, spec: StudySpec) -> tuple[optuna.Study, SearchSpace]:
    """The same record in a new sampler, without the first process's memory."""
    fresh, space = new_study(spec)
    return optuna.load_study(
        study_name=optuna_study.study_name, storage=optuna_study._storage, sampler=fresh.sampler
    ), space


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "qmc", "random"])
def test_the_minimal_spec_repeats_nothing_in_40_trials(sampler: str) -> None:
    """Sharing nothing is one configuration there. Without "gp", which takes a minute for it."""
    overrides = [f"search.sampler={sampler}", even(sampler)]
    configs = run(StudySpec.from_text(MINIMAL, where="minimal", overrides=overrides), 40)
    assert len(set(configs)) == 40
    assert sum(config.sharing == "none" for config in configs) == 1


def test_a_sampler_that_always_draws_the_same_is_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a finite space, and where one branch of it is finite."""
    make = keyed.sampler
    monkeypatch.setattr(
        keyed, "sampler", lambda _name, draw: make("random", replace(draw, trial=0, redraw=0))
    )
    assert len(set(run(spec_with("search.explore=0", "space.weight=0.9", *FIXED), 4))) == 4
    for seed in range(8):
        sharings = f"search.seed={seed}", "search.explore=0", "space.sharing=['none', 'both']"
        one, other = run(spec_with(*sharings, "space.weight=[0.5, 0.9]", "space.learning_rate=1e-3"), 2)
        assert one != other


def test_neighbouring_real_numbers_are_not_drawn_for_ever() -> None:
    """Random draws give the lower value; a repeat shows that no other was found."""
    spec = spec_with("space.sharing=both", "space.weight={ uniform=[0.5, 0.5000000000000001] }", *FIXED)
    assert {config.weight for config in run(spec, 3)} <= {0.5, 0.5000000000000001}


# --- initial configurations ------------------------------------------------------------------------------


@every_sampler
@pytest.mark.parametrize(
    "named",
    [
        "{ sharing='both', weight=0.9 }, { sharing='both', weight=0.9 }",
        "{ sharing='none' }, { sharing='none' }",
        "{ sharing='none', weight=0.5 }, { sharing='none', weight=0.5 }",
        "{ sharing='none', weight=0.5 }, { sharing='none' }",
    ],
)
def test_an_initial_configuration_that_is_named_twice_is_trained_once(sampler: str, named: str) -> None:
    space = ("space.weight=[0.5, 0.9]", *FIXED)
    spec = spec_with(f"search.sampler={sampler}", even(sampler), f"search.initial=[{named}]", *space)
    configs = run(spec, 7)
    assert len({(c.sharing, None if c.sharing == "none" else c.weight) for c in configs}) == 7
    tried = Tried()
    assert [tried.add(n, config) for n, config in enumerate(configs)] == [None] * 7
    assert tried.left(spec, 7) == 0


def test_an_initial_weight_is_used_where_something_can_be_shared() -> None:
    """λ = 0.9 is not named where a configuration without λ is drawn."""
    for seed in range(20):
        spec = spec_with(f"search.seed={seed}", "search.initial=[{ weight=0.9 }]")
        (config,) = run(spec, 1)
        assert (config.sharing == "none", config.weight) == (False, 0.9)


def test_initial_weights_without_sharing_count_in_order() -> None:
    """As in ps1: after all of the space, only the next initial configuration is left."""
    named = "{ sharing='none', weight=0.5 }, { sharing='none', weight=0.9 }, { sharing='none', weight=0.9 }"
    spec = spec_with(f"search.initial=[{named}]", "space.sharing='none'", "space.weight=[0.5, 0.9]", *FIXED)
    configs, tried = run(spec, 2), Tried()
    left = []
    for number, config in enumerate(configs):
        assert tried.add(number, config) is None
        left.append(tried.left(spec, number + 1))
    assert [config.weight for config in configs] == [0.5, 0.9]
    assert left == [1, 0]


def test_a_cut_off_trial_does_not_repeat_a_later_one() -> None:
    """A late trial on record, after others were drawn. Each configuration still occurs once."""
    spec = spec_with("search.sampler=random", "space.weight=0.9", *FIXED)
    optuna_study, space = new_study(spec)
    late = optuna_study.ask()
    later = go_on(optuna_study, space, 3)
    assert len({space.suggest(late), *later}) == 4


def test_a_record_with_repeats_goes_on_with_what_it_lacks() -> None:
    """As recorded by earlier versions: trials without a configuration."""
    spec = spec_with("search.sampler=grid", "space.weight=0.9", *FIXED)
    optuna_study, space = new_study(spec)
    first = go_on(optuna_study, space, 1)
    again = reopened(spec, [*optuna_study.trials, *optuna_study.trials, *optuna_study.trials])
    assert len({*first, *go_on(*again, 3)}) == 4
