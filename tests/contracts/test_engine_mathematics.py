"""Mathematics of every engine in `ENGINES`: closed forms, finite differences, the reference metrics."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from members import (
    COLD_USER,
    CONFIG,
    FOLD,
    ITEMS,
    ROWS,
    SEED,
    USERS,
    alone,
    assert_same,
    members_of,
    new_engine,
    train,
)

from trainable.contract import NEGATIVES, RANKING_LOSSES, SHARINGS
from trainable.engines.draws import DrawKey, Draws
from trainable.engines.registry import ENGINES
from trainable.metrics import Ranking, mean_squared_error
from trainable.models.two_task.parameters import initial, measured, shapes


@pytest.fixture(params=ENGINES)
def start(request):
    """A function that makes a new engine without members."""
    return partial(new_engine, request.param)


@pytest.mark.parametrize("ranking_loss", RANKING_LOSSES)
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_losses_at_the_start_have_their_closed_form(start, ranking_loss, negatives):
    """Losses have 1 − σ, not −log σ, with the right sign, over the right rows and negatives, before the
    update.
    """
    kinds = {"ranking_loss": ranking_loss, "negatives": negatives}
    (member,) = members_of(replace(CONFIG, batch_size="full", **kinds))
    p = initial(member.config, USERS, ITEMS, seed=SEED, replicate=0)
    rows = Draws(FOLD.train, seed=SEED).at(DrawKey(0, 1, negatives))
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


def test_every_epoch_draws_new_negatives(start):
    """A model with learning rate 0 has equal rating losses and different ranking losses. Catches streams
    without the epoch in their key.
    """
    (member,) = members_of(replace(CONFIG, learning_rate=0.0, dim=2))
    found, _ = alone(start, member, 4)
    assert len({ranking for _, ranking, _, _ in found}) == 4
    assert [rating for _, _, rating, _ in found] == pytest.approx([found[0][2]] * 4, rel=1e-12)


def test_one_minus_sigmoid_starts_at_one_half(start):
    """Initial scores are all near 0. Catches initial values of another scale."""
    (member,) = members_of(replace(CONFIG, batch_size="full", dim=32))
    running = start()
    running.join(member)
    assert running.epoch([])[member].ranking_loss == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("ranking_loss", RANKING_LOSSES)
def test_gradients_equal_finite_differences(start, sharing, ranking_loss):
    """Of the joint loss, in every kind of parameter. Catches any wrong or missing derivative."""
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


@pytest.mark.parametrize("average", [0.6, 1.0])
def test_averages_are_over_the_ends_of_epochs(start, average):
    """The newest end has the weight max(1 − average, 1/epoch). Training is the same without an average."""
    member, plain = members_of(replace(CONFIG, average=average), CONFIG)
    names, running, ends = list(shapes(CONFIG, USERS, ITEMS)), start(), []
    running.join(member)
    for epoch in range(1, 6):
        running.epoch([])
        state = running.state(member)
        ends.append({name: state[name] for name in names})
        weights = [max(1 - average, 1 / e) for e in range(1, epoch + 1)]
        shares = [w * np.prod([1 - after for after in weights[e:]]) for e, w in enumerate(weights, start=1)]
        assert sum(shares) == pytest.approx(1)
        for name in names:
            expected = sum(share * end[name] for share, end in zip(shares, ends, strict=True))
            np.testing.assert_allclose(state[f"a.{name}"], expected, rtol=1e-12, atol=1e-15)
    _, expected = alone(start, plain, 5)
    assert_same(running, {name: state[name] for name in expected}, dict(expected))


def test_the_user_bias_cancels_exactly(start):
    """It has no gradient in p⁺ − p⁻; Adam would turn a rounding error into whole steps."""
    (member,) = members_of(CONFIG)
    assert (alone(start, member, 3, dtype="float32")[1]["user_bias"] == 0).all()


@pytest.mark.parametrize("average", [0.0, 0.7])
def test_metrics_are_the_reference_metrics_of_the_state(start, average):
    """Metrics are of held-out rows, after the update, with each task's own tables, averaged if they are."""
    (member,) = members_of(replace(CONFIG, sharing="none", ranking_loss="bpr", average=average))
    found, state = alone(start, member, 3)
    p = measured(member.config, state)
    scores = p["ranking.users"] @ p["ranking.items"].T + p["item_bias"]
    u, q = p["rating.users"][FOLD.target.users], p["rating.items"][FOLD.target.items]
    h = np.maximum(np.hstack([u, q, u * q]) @ p["hidden.weight"].T + p["hidden.bias"], 0)
    predicted = h @ p["output.weight"][0] + p["output.bias"]
    expected = Ranking(FOLD).metrics(lambda users: scores[users])
    expected["mse"] = mean_squared_error(predicted, FOLD.target.ratings)
    assert found[-1][3] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_metrics_by_user_are_those_of_the_result(start, dtype):
    """Beside a neighbour. Catches another member's users, users in the wrong order, and numbers from before
    the update.
    """
    averaged = replace(CONFIG, average=0.7)
    members = members_of(CONFIG, averaged, replace(averaged, sharing="none", ranking_loss="bpr"))
    running = start(dtype=dtype)
    for member in members:
        running.join(member)
    found = train(running, members, 3)[-1]
    for member in members:
        users = running.by_user(member)
        assert [user.user for user in users] == sorted(set(FOLD.target.users.astype(str)), key=int)
        assert sum(user.ratings for user in users) == len(FOLD.target)
        made = {
            "mrr": np.mean([user.reciprocal_rank for user in users]),
            "mrr_all": np.mean([user.reciprocal_rank_all for user in users]),
            "mse": sum(user.squared_error for user in users) / sum(user.ratings for user in users),
        }
        assert made == pytest.approx(found[member][3], rel=1e-6 if dtype == "float32" else 1e-12)


def test_training_learns(start):
    """Ratings can be fitted exactly, and rankings except for negatives that are the user's own items."""
    (member,) = members_of(replace(CONFIG, weight_decay=0.0, dim=8, hidden=16, learning_rate=0.03))
    found, _ = alone(start, member, 60, dtype="float32")
    assert found[-1][1] < 0.4
    assert found[-1][2] < 0.1
