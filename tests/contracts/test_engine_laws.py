"""Laws of `trainable.engines.engine.Engine`: stated once, held by every engine in `ENGINES`."""

from dataclasses import replace
from functools import partial
from itertools import permutations, product
from math import isnan

import numpy as np
import pytest
from members import (
    CONFIG,
    FOLD,
    ITEMS,
    SEED,
    USERS,
    alone,
    assert_same,
    make_fold,
    members_of,
    new_engine,
    numbers,
    train,
)

from trainable.contract import METRICS, SHARINGS, StudyError
from trainable.engines.engine import Member
from trainable.engines.registry import ENGINES, engine
from trainable.models.two_task.parameters import shapes


@pytest.fixture(params=ENGINES)
def start(request):
    """A function that makes a new engine without members."""
    return partial(new_engine, request.param)


# Law 1: a neighbour never changes a result.

MIXED = [
    CONFIG,
    replace(CONFIG, weight=0.99, sharing="both", batch_size="full", learning_rate=0.003, average=0.6),
    replace(CONFIG, weight=None, sharing="none", dim=3, hidden=7, weight_decay=0.0),
    replace(CONFIG, sharing="items", ranking_loss="bpr", batch_size=7, negatives="unseen"),
    replace(CONFIG, average=0.9, negatives="unseen"),
    replace(CONFIG, weight=None, sharing="none", dim=3, hidden=7, average=1.0),
]
WIDER = [*MIXED[4:], replace(CONFIG, sharing="both", dim=6, average=0.3, negatives="unseen")]
"""Configurations that average; the last one is wider than those before it in a stack."""


def exact_in_float32():
    """Each engine in float64, and deterministic ones in float32 too; for the others see law 2."""
    for name in ENGINES:
        yield name, "float64"
        if new_engine(name).deterministic:
            yield name, "float32"


@pytest.mark.parametrize(("name", "dtype"), list(exact_in_float32()))
def test_members_train_beside_others_as_alone(name, dtype):
    """Members share no buffer, optimiser or random stream."""
    start = partial(new_engine, name)
    members = [*members_of(*MIXED), Member(9, 1, CONFIG)]
    running = start(dtype=dtype)
    for member in members:
        running.join(member)
    found = train(running, members, 3)
    for member in members:
        expected, state = alone(start, member, 3, dtype=dtype)
        assert_same(running, [epoch[member] for epoch in found], expected)
        assert_same(running, dict(running.state(member)), dict(state))


def test_neighbours_may_join_and_leave(start):
    """Each member counts its own epochs, and members keep their slots when one leaves."""
    for early, steady, late in (members_of(*MIXED[:3]), members_of(*WIDER)):
        running = start()
        running.join(early)
        running.join(steady)
        first = train(running, [steady], 2)
        running.leave(early)
        running.join(late)
        found = [epoch[steady] for epoch in first + train(running, [steady, late], 2)]
        assert_same(running, found, alone(start, steady, 4)[0])
        for member, epochs in ((steady, 4), (late, 2)):
            assert_same(running, dict(running.state(member)), dict(alone(start, member, epochs)[1]))


@pytest.mark.parametrize(("name", "dtype"), list(exact_in_float32()))
def test_a_member_resumes_where_its_state_left_it(name, dtype):
    """A state has the moments, the averages, the step of the bias correction, and the epoch."""
    start = partial(new_engine, name)
    for member in members_of(*MIXED):
        expected, end = alone(start, member, 4, dtype=dtype)
        _, middle = alone(start, member, 2, dtype=dtype)
        running = start(dtype=dtype)
        running.join(member, middle)
        assert_same(running, [epoch[member] for epoch in train(running, [member], 2)], expected[2:])
        assert_same(running, dict(running.state(member)), dict(end))


def test_a_state_is_a_snapshot(start):
    """Training changes neither a state that was taken nor the caller's arrays."""
    (member,) = members_of(replace(CONFIG, average=0.9))
    running, other = start(), start()
    running.join(member)
    state = running.state(member)
    kept = {name: value.copy() for name, value in state.items()}
    other.join(member, state)
    running.epoch([])
    other.epoch([])
    assert_same(running, dict(state), kept)


def test_a_diverging_neighbour_changes_no_result(start):
    """NaN stays in its member, and the epoch of the other members completes."""
    for config in (CONFIG, replace(CONFIG, average=0.9)):
        wild, sane = members_of(replace(config, learning_rate=1e300), config)
        running = start()
        running.join(wild)
        running.join(sane)
        found = [running.epoch([wild, sane]) for _ in range(2)]
        assert_same(running, [numbers(epoch[sane]) for epoch in found], alone(start, sane, 2)[0])
        last = found[-1][wild]
        assert all(isnan(x) for x in (last.ranking_loss, last.rating_loss, *last.metrics.values()))


# Law 2: engines agree.


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("batch_size", [300, "full"])
def test_engines_agree_with_the_reference_after_an_epoch(start, sharing, batch_size):
    """In float64, on more rows and users than an engine holds at a time. Catches any other mathematics:
    a chunk's last rows, a mean over a chunk instead of the batch, a moment, a table of the other task.
    """
    fold = make_fold(150, 40, 700, 400)
    ranking_loss = "bpr" if sharing in ("none", "items") else "one-minus-sigmoid"
    negatives = "unseen" if sharing in ("users", "items") else "all"
    kinds = {"sharing": sharing, "ranking_loss": ranking_loss, "negatives": negatives}
    config = replace(CONFIG, **kinds, batch_size=batch_size, dim=5, hidden=9)
    (member,) = members_of(config)
    found, state = alone(start, member, 1, fold=fold)
    expected, reference = alone(partial(new_engine, "plain"), member, 1, fold=fold)
    assert found[0][:3] == pytest.approx(expected[0][:3], rel=1e-10)
    assert found[0][3] == pytest.approx(expected[0][3], rel=1e-10)
    for name, value in reference.items():
        np.testing.assert_allclose(state[name], value, rtol=1e-10, atol=1e-12, err_msg=name)


# Law 3: order never matters.


def test_the_order_of_joining_never_matters(start):
    """Initial values, batches and negatives have a key each; no generator is shared."""
    members = members_of(*MIXED[:2], MIXED[4])
    expected = None
    for order in permutations(members):
        running = start()
        for member in order:
            running.join(member)
        found = train(running, members, 2)
        expected = expected or found
        assert_same(running, found, expected)


def test_a_result_is_independent_of_the_trial_number(start):
    """Paired trials (common random numbers). Catches keys with the trial, or without replicate or seed."""
    for config in (CONFIG, MIXED[4]):
        here = alone(start, Member(0, 0, config), 2)[0]
        assert alone(start, Member(5, 0, config), 2)[0] == here
        assert alone(start, Member(0, 1, config), 2)[0] != here
        assert alone(start, Member(0, 0, config), 2, seed=SEED + 1)[0] != here


def test_trials_of_a_replicate_start_alike(start):
    """The first full-batch loss is the same. Catches streams that depend on λ or sharing."""
    members = members_of(
        *(replace(CONFIG, batch_size="full", sharing=s, weight=w) for s in SHARINGS for w in (0.5, 0.9))
    )
    running = start()
    for member in members:
        running.join(member)
    assert len({result.ranking_loss for result in running.epoch([]).values()}) == 1


# Law 7: λ does nothing when nothing is shared.


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_weight_does_nothing_where_nothing_is_shared(start, weight_decay):
    """Adam's steps are the same for g and c·g, except for the ε = 1e-8 beside √v. In 30 steps of 0.01 the
    difference is 1.3e-5. Catches a λ that scales the learning rate, and a table that is shared.
    """
    config = replace(CONFIG, sharing="none", weight_decay=weight_decay)
    low, high = members_of(replace(config, weight=0.3), replace(config, weight=0.7))
    (one, one_end), (other, other_end) = (alone(start, member, 5) for member in (low, high))
    for name in shapes(config, USERS, ITEMS):
        np.testing.assert_allclose(one_end[name], other_end[name], atol=1e-4)
    for found, expected in zip(one, other, strict=True):
        assert found[1:3] == pytest.approx(expected[1:3], rel=1e-4)
        assert found[3] == pytest.approx(expected[3], rel=1e-4)


@pytest.mark.parametrize(("sharing", "side"), [("users", "users"), ("items", "items"), ("both", "users")])
def test_weight_matters_where_something_is_shared(start, sharing, side):
    """The control of the law above. Catches an ignored sharing, and an ignored λ."""
    low, high = members_of(*(replace(CONFIG, sharing=sharing, weight=weight) for weight in (0.3, 0.7)))
    table = f"ranking.{side}"
    one, other = (alone(start, member, 5)[1][table] for member in (low, high))
    assert np.abs(one - other).max() > 0.1


# The interface.


def test_only_requested_members_are_measured(start):
    """Members without a request have no metrics, but train as the others do."""
    members = members_of(CONFIG, replace(CONFIG, sharing="both"))
    running = start()
    for member in members:
        running.join(member)
    found = running.epoch(members[:1])
    assert set(found) == set(members)
    assert set(found[members[0]].metrics) == set(METRICS)
    assert found[members[1]].metrics is None
    assert all(result.wall_s > 0 and result.epoch == 1 for result in found.values())


def test_states_have_the_same_names_in_every_engine(start):
    """Every engine can load the states of the others."""
    for sharing, average in product(SHARINGS, (0.0, 0.9)):
        (member,) = members_of(replace(CONFIG, sharing=sharing, average=average))
        kinds = ("", "m.", "v.", "a.") if average else ("", "m.", "v.")
        running = start(dtype="float32")
        running.join(member)
        state = running.state(member)
        expected = shapes(member.config, USERS, ITEMS)
        assert {n: a.shape for n, a in state.items()} == {
            **{f"{kind}{n}": shape for kind in kinds for n, shape in expected.items()},
            "step": (),
            "epoch": (),
        }
        assert all(state[n].dtype == np.float32 for n in expected)


def test_a_member_joins_once_and_is_forgotten_when_it_leaves(start):
    """A member that rejoins starts anew."""
    (member,) = members_of(CONFIG)
    running = start()
    running.join(member)
    with pytest.raises(ValueError, match="joined already"):
        running.join(member)
    running.epoch([])
    running.leave(member)
    assert running.epoch([]) == {}
    with pytest.raises(KeyError):
        running.state(member)
    running.join(member)
    assert running.epoch([])[member].epoch == 1


def test_global_random_state_is_untouched(start):
    """Law 3. Catches any draw from NumPy's global generator."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    alone(start, *members_of(CONFIG), 1)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_an_unknown_engine_is_an_error_that_names_the_known():
    """No unknown name selects an engine."""
    with pytest.raises(StudyError, match="'abacus' is not known; use numba, torch"):
        engine("abacus", FOLD, seed=0, device="cpu", threads=1)
