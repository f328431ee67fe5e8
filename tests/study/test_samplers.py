"""The laws of asking: keyed, so order never matters; in the space; initial ones first; exploring evenly."""

from collections import Counter
from collections.abc import Sequence

import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler

from study.samplers import SAMPLERS, KeyedSampler
from study.space import SearchSpace
from study.spec import StudySpec
from trainable.contract import SHARINGS, Config

BASE = """
name = "base"
[data]
source = "synthetic"
[space]
weight = { logit = [0.5, 0.9997] }
learning_rate = { log = [5e-4, 6e-3] }
dim = { int = [8, 64] }
[budget]
trials = 3
"""
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS)


def spec_with(*overrides: str) -> StudySpec:
    return StudySpec.from_text(BASE, where="base", overrides=overrides)


def new_study(spec: StudySpec) -> tuple[optuna.Study, SearchSpace]:
    space = SearchSpace(spec)
    optuna_study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=KeyedSampler(spec, space), study_name=spec.name
    )
    return optuna_study, space


def values(config: Config) -> tuple[float, float]:
    """A trade-off with an interior optimum, so that TPE has something to learn."""
    return config.ranking_weight - 20 * abs(
        config.learning_rate - 2e-3
    ), config.ranking_weight**2 + config.dim / 64


def run(spec: StudySpec, trials: int) -> list[Config]:
    optuna_study, space = new_study(spec)
    configs = []
    for _ in range(trials):
        trial = optuna_study.ask()
        configs.append(space.suggest(trial))
        optuna_study.tell(trial, values(configs[-1]))
    return configs


def next_after(spec: StudySpec, history: Sequence[Config], told: Sequence[int]) -> Config:
    """What is asked for after `history`, whose trials ended in the order `told`, the others running."""
    optuna_study, space = new_study(spec)
    trials = [optuna_study.ask() for _ in history]
    for trial in trials:
        space.suggest(trial)
    for number in told:
        optuna_study.tell(number, values(history[number]))
    return space.suggest(optuna_study.ask())


@every_sampler
def test_a_study_asked_twice_gives_the_same_configurations(sampler: str) -> None:
    spec = spec_with(f"search.sampler={sampler}")
    configs = run(spec, 30)
    assert run(spec, 30) == configs
    assert len(set(configs)) == 30
    assert run(spec_with(f"search.sampler={sampler}", "search.seed=1"), 30) != configs


@every_sampler
def test_a_resumed_study_goes_on_as_if_nothing_had_happened(sampler: str) -> None:
    """A new process has new samplers; only the record is the same."""
    spec = spec_with(f"search.sampler={sampler}")
    configs = run(spec, 24)
    optuna_study, space = new_study(spec)
    for config in configs:
        optuna_study.sampler = KeyedSampler(spec, space)
        trial = optuna_study.ask()
        assert space.suggest(trial) == config
        optuna_study.tell(trial, values(config))


@every_sampler
def test_the_order_in_which_trials_end_does_not_matter(sampler: str) -> None:
    spec = spec_with(f"search.sampler={sampler}", "search.explore=0")
    history = run(spec_with("search.sampler=random", "search.explore=0"), 20)
    asked = {
        next_after(spec, history, told) for told in (range(16), range(15, -1, -1), [*range(8, 16), *range(8)])
    }
    assert len(asked) == 1


def test_tpe_learns_from_the_record_and_random_does_not() -> None:
    history = run(spec_with("search.sampler=random", "search.explore=0"), 20)
    for sampler, depends in (("tpe", True), ("random", False)):
        spec = spec_with(f"search.sampler={sampler}", "search.explore=0")
        half, whole = next_after(spec, history, range(12)), next_after(spec, history, range(20))
        assert (half != whole) == depends


def test_tpe_concentrates_where_the_objectives_are_good() -> None:
    def miss(sampler: str) -> float:
        configs = run(spec_with(f"search.sampler={sampler}", "search.explore=0", "space.sharing=both"), 80)[
            40:
        ]
        return sum(abs(config.learning_rate - 2e-3) for config in configs) / len(configs)

    assert miss("tpe") < 0.7 * miss("random")


@every_sampler
def test_every_configuration_lies_in_the_space(sampler: str) -> None:
    for config in run(spec_with(f"search.sampler={sampler}"), 60):
        assert 5e-4 <= config.learning_rate <= 6e-3
        assert config.dim in range(8, 65)
        if config.sharing == "none":
            assert config.weight is None
        else:
            assert config.weight is not None
            assert 0.5 <= config.weight <= 0.9997


def test_initial_configurations_come_first_and_keep_their_weight() -> None:
    configs = run(StudySpec.preset("ps1"), 4)
    assert [(config.weight, config.sharing) for config in configs] == [
        (0.99, "both"),
        (0.5, "both"),
        (0.5, "none"),
        (0.99, "none"),
    ]
    assert {(c.batch_size, c.epochs, c.learning_rate, c.evaluate_every) for c in configs} == {
        ("full", 200, 1e-3, 10)
    }


def test_what_an_initial_configuration_leaves_open_is_drawn() -> None:
    one, other, *_ = run(
        spec_with("search.initial=[{ sharing='users' }, { sharing='users', weight=0.7 }]"), 3
    )
    assert one.sharing == other.sharing == "users"
    assert other.weight == 0.7
    assert one.learning_rate != other.learning_rate


@pytest.mark.parametrize("explore", [0.0, 0.1, 0.33, 1.0])
@pytest.mark.parametrize("initial", [0, 3])
def test_explorations_are_a_share_of_the_asks_and_spread_over_the_sharings(
    explore: float, initial: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed: list[bool] = []

    def propose(seed: int) -> BaseSampler:
        proposed[-1] = True
        return RandomSampler(seed)

    monkeypatch.setitem(SAMPLERS, "random", propose)
    named = ", ".join(["{ sharing = 'both' }"] * initial)
    spec = spec_with(f"search.explore={explore}", "search.sampler=random", f"search.initial=[{named}]")
    optuna_study, space = new_study(spec)
    explored: Counter[str] = Counter()
    for ask in range(-initial, 100):
        proposed.append(False)
        config = space.suggest(optuna_study.ask())
        if ask >= 0:
            explored[config.sharing] += not proposed[-1]
            assert abs(explored.total() - (ask + 1) * explore) < 1 + 1e-9
            assert max(explored.values()) - min(explored[sharing] for sharing in SHARINGS) <= 1


def test_a_configuration_that_is_there_is_drawn_again_then_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    def different(seed: int) -> int:
        """Different ones among the first 12 of a space of 2 + 4."""
        spec = spec_with(
            f"search.seed={seed}",
            "search.sampler=random",
            "search.explore=0",
            "space.weight=[0.5, 0.9]",
            "space.sharing=['none', 'both']",
            "space.learning_rate=1e-3",
            "space.dim=[8, 16]",
        )
        return len(set(run(spec, 12)))

    drawn_again = [different(seed) for seed in range(12)]
    monkeypatch.setattr("study.samplers.REDRAWS", 0)
    drawn_once = [different(seed) for seed in range(12)]
    assert sum(drawn_again) > sum(drawn_once) + 3


def test_an_exploration_that_repeats_goes_on_to_the_next_sharing() -> None:
    spec = spec_with(
        "search.explore=1",
        "search.initial=[{ sharing='none' }]",
        "space.weight=0.9",
        "space.learning_rate=1e-3",
        "space.dim=8",
    )
    configs = run(spec, 5)
    assert [config.sharing for config in configs[:4]] == ["none", "users", "items", "both"]
    assert configs[4] in configs[:4]


@every_sampler
@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_trial_whose_asking_was_cut_off_keeps_what_it_has(sampler: str, sharing: str) -> None:
    spec = spec_with(f"search.sampler={sampler}")
    optuna_study, space = new_study(spec)
    for config in run(spec, 14):
        trial = optuna_study.ask()
        space.suggest(trial)
        optuna_study.tell(trial, values(config))
    cut_off = optuna_study.ask()
    choices = space.distributions["sharing"]
    optuna_study._storage.set_trial_param(
        cut_off._trial_id, "sharing", choices.to_internal_repr(sharing), choices
    )
    again = space.suggest(optuna.trial.Trial(optuna_study, cut_off._trial_id))
    assert again.sharing == sharing
    assert (again.weight is None) == (sharing == "none")
    assert space.suggest(optuna_study.trials[cut_off.number]) == again


def test_a_parameter_that_is_not_of_the_space_is_refused() -> None:
    optuna_study, _ = new_study(spec_with())
    with pytest.raises(RuntimeError, match=r"'momentum' over .* is not in the space of this study"):
        optuna_study.ask().suggest_float("momentum", 0, 1)
