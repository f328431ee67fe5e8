"""The laws of asking, for every sampler: keyed, so order never matters; in the space; initial ones first."""

from collections import Counter
from functools import cache

import optuna
import pytest
from asking import LISTS, go_on, losses, new_study, reopened, run, spec_with

from study.search.distinct import space_size
from study.search.origin import origin
from study.search.samplers import keyed
from study.search.samplers.registry import SAMPLERS
from study.spec import StudySpec
from study.spec.domains import allows
from trainable.contract import SHARINGS, Config

TRIALS = 12
"""Two more than samplers that learn begin with at random."""

SPACES: dict[str, tuple[str, ...]] = {
    "ranges": ("space.weight_decay={ uniform = [0.0, 0.5] }", "space.epochs={ int = [1, 20] }"),
    "mixed": (
        "space.sharing=['none', 'items']",
        "space.weight={ uniform = [0.1, 0.9] }",
        "space.batch_size=[256, 'full']",
        "space.ranking_loss=['bpr', 'one-minus-sigmoid']",
        "space.hidden=[16]",
    ),
    "lists": LISTS,
    "fixed weight": (*LISTS, "space.weight=0.9"),
    "nothing shared": (*LISTS, "space.sharing=none", "space.weight={ logit = [0.5, 0.9] }"),
}
TAKES = dict.fromkeys(SAMPLERS, tuple(SPACES)) | {
    "grid": ("lists", "fixed weight", "nothing shared"),
    "gp": ("mixed", "lists"),  # it takes all of them, and a second for an ask
}
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS)
every_space = pytest.mark.parametrize(
    ("sampler", "space"),
    [
        pytest.param(name, space, marks=pytest.mark.long if (name, space) == ("gp", "mixed") else ())
        for name, spaces in TAKES.items()
        for space in spaces
    ],
)


def spec_of(sampler: str, space: str, *overrides: str) -> StudySpec:
    trials = "search.explore=0" if sampler in ("qmc", "grid") else "search.explore=0.1"
    return spec_with(f"search.sampler={sampler}", trials, *SPACES[space], *overrides)


@cache
def study_of(sampler: str, space: str) -> tuple[list[Config], list[optuna.trial.FrozenTrial]]:
    """The configurations and the record of one study; a small space has fewer than TRIALS."""
    spec = spec_of(sampler, space)
    optuna_study, searched = new_study(spec)
    return go_on(optuna_study, searched, int(min(TRIALS, space_size(spec)))), optuna_study.trials


@every_space
def test_every_configuration_lies_in_the_space(sampler: str, space: str) -> None:
    spec = spec_of(sampler, space)
    configs, trials = study_of(sampler, space)
    for config, trial in zip(configs, trials, strict=True):
        alone = config.sharing == "none"
        for key in type(spec.space).model_fields:
            value = getattr(config, key)
            if key == "weight" and alone and not allows(spec.form(key), value):
                assert value is None
            else:
                assert allows(spec.form(key), value)
        assert not (alone and trial.params.keys() & {"weight", "logit(weight)"})


@every_space
def test_a_new_process_asks_for_the_same(sampler: str, space: str) -> None:
    """A new sampler has only the record, with trials that ended in any order."""
    configs, trials = study_of(sampler, space)
    assert go_on(*reopened(spec_of(sampler, space), trials[:-1]), 1) == configs[-1:]


@every_sampler
def test_another_seed_asks_for_something_else(sampler: str) -> None:
    configs, _ = study_of(sampler, "lists")
    assert run(spec_of(sampler, "lists", "search.seed=1"), 10) != configs[:10]


@every_sampler
def test_the_order_in_which_trials_end_does_not_matter(sampler: str) -> None:
    spec = spec_of(sampler, "lists", "search.explore=0")
    asked = set()
    for told in (range(12), range(11, -1, -1), [*range(6, 12), *range(6)]):
        optuna_study, space = new_study(spec)
        configs = [space.suggest(optuna_study.ask()) for _ in range(15)]
        for number in told:
            optuna_study.tell(number, losses(configs[number]))
        asked.add(space.suggest(optuna_study.ask()))
    assert len(asked) == 1


@every_sampler
@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_trial_whose_asking_was_cut_off_keeps_what_it_has(sampler: str, sharing: str) -> None:
    _, trials = study_of(sampler, "lists")
    optuna_study, space = reopened(spec_of(sampler, "lists"), trials)
    cut_off, choices = optuna_study.ask(), space.distributions["sharing"]
    optuna_study._storage.set_trial_param(
        cut_off._trial_id, "sharing", choices.to_internal_repr(sharing), choices
    )
    again = space.suggest(optuna.trial.Trial(optuna_study, cut_off._trial_id))
    assert again.sharing == sharing
    assert (again.weight is None) == (sharing == "none")
    assert space.suggest(optuna_study.trials[cut_off.number]) == again


@every_space
def test_interrupted_ask_gives_the_same_configuration(sampler: str, space: str) -> None:
    """After a kill at any point. Catches: remaining values that are drawn like the first ones."""
    configs, trials = study_of(sampler, space)
    *before, whole = trials
    for parameters in range(1, len(whole.params)):
        optuna_study, drawn = reopened(spec_of(sampler, space), before)
        cut_off = optuna_study.ask()
        for name, value in list(whole.params.items())[:parameters]:
            known = whole.distributions[name]
            optuna_study._storage.set_trial_param(
                cut_off._trial_id, name, known.to_internal_repr(value), known
            )
        assert drawn.suggest(optuna.trial.Trial(optuna_study, cut_off._trial_id)) == configs[-1]


@every_sampler
def test_initial_configurations_come_first_and_keep_their_weight(sampler: str) -> None:
    named = "{ weight = 0.99, sharing = 'both' }, { weight = 0.5, sharing = 'none' }, { sharing = 'users' }"
    configs = run(spec_of(sampler, "lists", f"search.initial=[{named}]"), 4)
    assert [(c.sharing, c.weight) for c in configs[:2]] == [("both", 0.99), ("none", 0.5)]
    assert configs[2].sharing == "users"
    assert len(set(configs)) == 4


def test_what_an_initial_configuration_leaves_open_is_drawn() -> None:
    one, other, *_ = run(
        spec_with("search.initial=[{ sharing='users' }, { sharing='users', weight=0.7 }]"), 3
    )
    assert one.sharing == other.sharing == "users"
    assert other.weight == 0.7
    assert one.learning_rate != other.learning_rate


def test_a_preset_of_initial_configurations_alone() -> None:
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


# --- exploring -------------------------------------------------------------------------


@pytest.mark.parametrize("explore", [0.0, 0.1, 0.33, 1.0])
@pytest.mark.parametrize("initial", [0, 3])
def test_share_of_asks_explores_evenly_over_sharings(
    explore: float, initial: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    make = keyed.sampler

    def note(name, draw):
        asked.append(name)
        return make("random", draw)

    monkeypatch.setattr(keyed, "sampler", note)
    named = ", ".join(["{ sharing = 'both' }"] * initial)
    spec = spec_with(f"search.explore={explore}", f"search.initial=[{named}]")
    optuna_study, space = new_study(spec)
    explored: Counter[str] = Counter()
    for ask in range(-initial, 100):
        config = space.suggest(optuna_study.ask())
        came_from = {"random": "explore", "tpe": "tpe"}[asked[-1]] if ask >= 0 else "initial"
        assert origin(spec.search, ask + initial) == came_from
        if ask >= 0:
            explored[config.sharing] += asked[-1] == "random"
            assert abs(explored.total() - (ask + 1) * explore) < 1 + 1e-9
            assert max(explored.values()) - min(explored[sharing] for sharing in SHARINGS) <= 1


def test_explorations_pass_over_a_sharing_that_has_nothing_left() -> None:
    spec = spec_with(
        "search.explore=1",
        "search.initial=[{ sharing='none' }]",
        "space.weight=[0.5, 0.9]",
        "space.learning_rate=1e-3",
        "space.dim=8",
    )
    configs = run(spec, 7)
    assert len(set(configs)) == 7
    assert {config.sharing for config in configs[1:4]} == {"users", "items", "both"}


def test_a_parameter_that_is_not_of_the_space_is_refused() -> None:
    optuna_study, _ = new_study(spec_with())
    with pytest.raises(RuntimeError, match=r"'momentum' over .* is not in the space of this study"):
        optuna_study.ask().suggest_float("momentum", 0, 1)
