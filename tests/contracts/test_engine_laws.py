"""Laws of `trainable.engines.Engine`: stated once, held by every engine in `ENGINES`."""

from dataclasses import replace
from itertools import pairwise, permutations
from math import isnan

import numpy as np
import pytest

from trainable.contract import METRICS, RANKING_LOSSES, SHARINGS, Config, StudyError
from trainable.data.interactions import Fold, Interactions
from trainable.engines import ENGINES, Member, engine
from trainable.engines.draws import draw
from trainable.metrics import Ranking, mean_squared_error
from trainable.parameters import initial, shapes

SEED = 7
USERS, ITEMS, ROWS = 12, 15, 90
COLD_USER = USERS - 1

CONFIG = Config(
    weight=0.7,
    sharing="users",
    learning_rate=0.01,
    weight_decay=0.1,
    ranking_loss="one-minus-sigmoid",
    batch_size=16,
    dim=4,
    hidden=5,
    epochs=9,
)


def make_fold() -> Fold:
    """ROWS train and 20 target rows at random; the last user has no row, so nothing trains its parameters."""
    random = np.random.default_rng(0)
    pairs = random.choice((USERS - 1) * ITEMS, ROWS + 20, replace=False)
    users, items = (pairs // ITEMS).astype(np.int32), (pairs % ITEMS).astype(np.int32)
    ratings = random.integers(1, 6, len(pairs)).astype(np.float32)
    names = [np.arange(n).astype(str) for n in (USERS, ITEMS)]
    rows = Interactions(users, items, ratings, None, *names)
    return Fold("validation", rows.take(np.arange(ROWS)), rows.take(np.arange(ROWS, ROWS + 20)))


FOLD = make_fold()


@pytest.fixture(params=ENGINES)
def start(request):
    """A function that gives a new engine without members."""

    def new(dtype="float64", seed=SEED):
        return engine(request.param, FOLD, seed=seed, device="cpu", threads=1, dtype=dtype)

    return new


def members_of(*configs, replicate=0):
    return [Member(trial, replicate, config) for trial, config in enumerate(configs)]


def numbers(result):
    """All of a result but the time it took."""
    return result.epoch, result.ranking_loss, result.rating_loss, dict(result.metrics or {})


def train(running, members, epochs):
    return [{m: numbers(r) for m, r in running.epoch(members).items()} for _ in range(epochs)]


def alone(start, member, epochs, **options):
    running = start(**options)
    running.join(member)
    return [found[member] for found in train(running, [member], epochs)], running.state(member)


def assert_same(running, found, expected):
    """Equal bit for bit where the engine says so, else within its tolerance."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_same(running, found[name], expected[name])
    elif isinstance(expected, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            assert_same(running, one, other)
    elif running.deterministic:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=running.tolerance, atol=running.tolerance)


# Law 1: a neighbour never changes my result.

MIXED = [
    CONFIG,
    replace(CONFIG, weight=0.99, sharing="both", batch_size="full", learning_rate=0.003),
    replace(CONFIG, weight=None, sharing="none", dim=3, hidden=7, weight_decay=0.0),
    replace(CONFIG, sharing="items", ranking_loss="bpr", batch_size=7),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_members_train_beside_others_as_alone(start, dtype):
    """Catches a buffer, optimiser or random stream that two members share."""
    members = [*members_of(*MIXED), Member(9, 1, CONFIG)]
    running = start(dtype)
    for member in members:
        running.join(member)
    found = train(running, members, 3)
    for member in members:
        expected, state = alone(start, member, 3, dtype=dtype)
        assert_same(running, [epoch[member] for epoch in found], expected)
        assert_same(running, dict(running.state(member)), dict(state))


def test_neighbours_may_come_and_go(start):
    """Catches epochs counted by the engine instead of by the member, and slots that move when one leaves."""
    early, steady, late = members_of(*MIXED[:3])
    running = start()
    running.join(early)
    running.join(steady)
    first = train(running, [steady], 2)
    running.leave(early)
    running.join(late)
    found = [epoch[steady] for epoch in first + train(running, [steady, late], 2)]
    assert_same(running, found, alone(start, steady, 4)[0])
    assert_same(running, dict(running.state(late)), dict(alone(start, late, 2)[1]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_member_resumes_where_its_state_left_it(start, dtype):
    """Catches a moment, the step of the bias correction or the epoch of the streams that is not kept."""
    for member in members_of(*MIXED):
        expected, end = alone(start, member, 4, dtype=dtype)
        _, middle = alone(start, member, 2, dtype=dtype)
        running = start(dtype)
        running.join(member, middle)
        assert_same(running, [epoch[member] for epoch in train(running, [member], 2)], expected[2:])
        assert_same(running, dict(running.state(member)), dict(end))


def test_a_state_is_a_snapshot(start):
    """Catches a state that goes on training, and an engine that trains the arrays it was given."""
    (member,) = members_of(CONFIG)
    running, other = start(), start()
    running.join(member)
    state = running.state(member)
    kept = {name: value.copy() for name, value in state.items()}
    other.join(member, state)
    running.epoch([])
    other.epoch([])
    assert_same(running, dict(state), kept)


def test_a_diverging_neighbour_hurts_nobody(start):
    """Catches NaN that spreads through a shared buffer, and an exception that ends every member's epoch."""
    wild, sane = members_of(replace(CONFIG, learning_rate=1e30), CONFIG)
    running = start("float32")
    running.join(wild)
    running.join(sane)
    found = [running.epoch([wild, sane]) for _ in range(2)]
    assert_same(running, [numbers(epoch[sane]) for epoch in found], alone(start, sane, 2, dtype="float32")[0])
    last = found[-1][wild]
    assert all(isnan(x) for x in (last.ranking_loss, last.rating_loss, *last.metrics.values()))


# Law 3: order never matters.


def test_the_order_of_joining_never_matters(start):
    """Catches initial values, batches or negatives that are drawn in turn from one generator."""
    members = members_of(*MIXED[:3])
    expected = None
    for order in permutations(members):
        running = start()
        for member in order:
            running.join(member)
        found = train(running, members, 2)
        expected = expected or found
        assert_same(running, found, expected)


def test_a_result_depends_on_seed_and_replicate_and_not_on_the_trials_number(start):
    """Trials are paired (common random numbers). Catches a trial in a key, a replicate or seed left out."""
    here = alone(start, Member(0, 0, CONFIG), 2)[0]
    assert alone(start, Member(5, 0, CONFIG), 2)[0] == here
    assert alone(start, Member(0, 1, CONFIG), 2)[0] != here
    assert alone(start, Member(0, 0, CONFIG), 2, seed=SEED + 1)[0] != here


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
    """Adam steps alike for g and c·g, but for the ε = 1e-8 beside √v. In 30 steps of 0.01 that leaves
    1.3e-5 here, measured. Catches a λ that scales the learning rate, and a table that is shared after all.
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
    """The control of the law above. Catches a sharing that is ignored, and a λ that is."""
    low, high = members_of(*(replace(CONFIG, sharing=sharing, weight=weight) for weight in (0.3, 0.7)))
    table = f"ranking.{side}"
    one, other = (alone(start, member, 5)[1][table] for member in (low, high))
    assert np.abs(one - other).max() > 0.1


# The mathematics.


@pytest.mark.parametrize("ranking_loss", RANKING_LOSSES)
def test_losses_at_the_start_have_their_closed_form(start, ranking_loss):
    """Catches −log σ for 1 − σ, a sign, a mean over the wrong rows, losses taken after the update."""
    (member,) = members_of(replace(CONFIG, batch_size="full", ranking_loss=ranking_loss))
    p = initial(member.config, USERS, ITEMS, seed=SEED, replicate=0)
    rows = draw(FOLD.train, seed=SEED, replicate=0, epoch=1)
    u, positive, negative = (
        p["ranking.users"][rows.users],
        p["ranking.items"][rows.items],
        p["ranking.items"][rows.negatives],
    )
    miss = 1 / (1 + np.exp((u * (positive - negative)).sum(1)))
    q = p["rating.items"][rows.items]
    h = np.maximum(np.hstack([u, q, u * q]) @ p["hidden.weight"].T + p["hidden.bias"], 0)
    predicted = h @ p["output.weight"][0] + p["output.bias"]
    running = start()
    running.join(member)
    found = running.epoch([])[member]
    expected = miss.mean() if ranking_loss == "one-minus-sigmoid" else -np.log1p(-miss).mean()
    assert found.ranking_loss == pytest.approx(expected, rel=1e-12)
    assert found.rating_loss == pytest.approx(np.mean((predicted - rows.ratings) ** 2), rel=1e-12)


def test_one_minus_sigmoid_starts_at_one_half(start):
    """Initial scores are all near 0. Catches initial values of another scale."""
    (member,) = members_of(replace(CONFIG, batch_size="full", dim=32))
    running = start()
    running.join(member)
    assert running.epoch([])[member].ranking_loss == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("ranking_loss", RANKING_LOSSES)
def test_gradients_equal_finite_differences(start, sharing, ranking_loss):
    """Of the engine's own joint loss, in every kind of parameter. Catches any wrong or missing derivative."""
    (member,) = members_of(
        replace(CONFIG, batch_size="full", sharing=sharing, ranking_loss=ranking_loss, weight_decay=0.0)
    )
    origin = start()
    origin.join(member)
    state = dict(origin.state(member))
    random = np.random.default_rng(1)
    for name in shapes(member.config, USERS, ITEMS):
        state[name] = random.normal(0, 0.7, state[name].shape)

    def joint(changed):
        running = start()
        running.join(member, state | changed)
        found = running.epoch([])[member]
        weight = member.config.ranking_weight
        return weight * found.ranking_loss + (1 - weight) * found.rating_loss, running.state(member)

    _, after = joint({})
    for name, shape in shapes(member.config, USERS, ITEMS).items():
        gradient = after[f"m.{name}"] / (1 - 0.9)
        for _ in range(3):
            at = tuple(random.integers(n) for n in shape)
            nudge = np.zeros(shape)
            nudge[at] = 1e-5
            up, down = (joint({name: state[name] + sign * nudge})[0] for sign in (1, -1))
            assert gradient[at] == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-8), (name, at)


def test_steps_are_adams_with_decoupled_decay(start):
    """Two full-batch steps from their own gradients, by the formulas of Kingma & Ba 2015 (arXiv 1412.6980)
    and Loshchilov & Hutter 2019 (arXiv 1711.05101). Catches decay in the gradient, ε inside the root,
    a missing bias correction.
    """
    (member,) = members_of(replace(CONFIG, batch_size="full"))
    rate, decay = member.config.learning_rate, member.config.weight_decay
    running = start()
    running.join(member)
    states = [dict(running.state(member))]
    for _ in range(2):
        running.epoch([])
        states.append(dict(running.state(member)))
    for step, (before, after) in enumerate(pairwise(states), start=1):
        assert (after["step"], after["epoch"]) == (step, step)
        for name in shapes(member.config, USERS, ITEMS):
            m, v = after[f"m.{name}"], after[f"v.{name}"]
            gradient = (m - 0.9 * before[f"m.{name}"]) / 0.1
            np.testing.assert_allclose(v, 0.999 * before[f"v.{name}"] + 0.001 * gradient**2, atol=1e-15)
            move = rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
            expected = before[name] * (1 - rate * decay) - move
            np.testing.assert_allclose(after[name], expected, rtol=1e-9, atol=1e-12)


def test_parameters_without_data_only_decay(start):
    """A user without rows shrinks by (1 − lr · wd) a step. Catches lazy or coupled decay."""
    (member,) = members_of(CONFIG)
    _, end = alone(start, member, 3)
    steps = 3 * -(-ROWS // CONFIG.batch_size)
    begin = initial(CONFIG, USERS, ITEMS, seed=SEED, replicate=0)["ranking.users"][COLD_USER]
    shrunk = begin * (1 - CONFIG.learning_rate * CONFIG.weight_decay) ** steps
    np.testing.assert_allclose(end["ranking.users"][COLD_USER], shrunk, rtol=1e-12)
    assert end["step"] == steps


def test_the_user_bias_cancels_exactly(start):
    """In p⁺ − p⁻ it has no gradient; Adam would make whole steps of what rounding leaves of one."""
    (member,) = members_of(CONFIG)
    assert (alone(start, member, 3, dtype="float32")[1]["user_bias"] == 0).all()


def test_metrics_are_the_reference_metrics_of_the_state(start):
    """Catches metrics from before the update, of train rows, or of the other task's tables."""
    (member,) = members_of(replace(CONFIG, sharing="none", ranking_loss="bpr"))
    found, p = alone(start, member, 3)
    scores = p["ranking.users"] @ p["ranking.items"].T + p["item_bias"]
    u, q = p["rating.users"][FOLD.target.users], p["rating.items"][FOLD.target.items]
    h = np.maximum(np.hstack([u, q, u * q]) @ p["hidden.weight"].T + p["hidden.bias"], 0)
    predicted = h @ p["output.weight"][0] + p["output.bias"]
    expected = Ranking(FOLD).metrics(lambda users: scores[users])
    expected["mse"] = mean_squared_error(predicted, FOLD.target.ratings)
    assert found[-1][3] == pytest.approx(expected, rel=1e-10)


def test_training_learns(start):
    """Ratings can be learned by heart, and rankings as far as negatives are not the user's own items."""
    (member,) = members_of(replace(CONFIG, weight_decay=0.0, dim=8, hidden=16, learning_rate=0.03))
    found, _ = alone(start, member, 60, dtype="float32")
    assert found[-1][1] < 0.4
    assert found[-1][2] < 0.1


# What the caller sees.


def test_only_those_asked_for_are_measured(start):
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
    for sharing in SHARINGS:
        (member,) = members_of(replace(CONFIG, sharing=sharing))
        running = start("float32")
        running.join(member)
        state = running.state(member)
        expected = shapes(member.config, USERS, ITEMS)
        assert {n: a.shape for n, a in state.items()} == {
            **{f"{moment}{n}": shape for moment in ("", "m.", "v.") for n, shape in expected.items()},
            "step": (),
            "epoch": (),
        }
        assert all(state[n].dtype == np.float32 for n in expected)


def test_a_member_joins_once_and_is_forgotten_when_it_leaves(start):
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
    with pytest.raises(StudyError, match="'abacus' is not known; use numba, torch"):
        engine("abacus", FOLD, seed=0, device="cpu", threads=1)
