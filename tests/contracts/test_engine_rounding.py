"""Laws 1 and 2 over drawn configurations: in float64 to 1e-10, in float32 as closely as rounding allows."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from members import CONFIG, alone, make_fold, new_engine, train

from trainable.contract import NEGATIVES, RANKING_LOSSES, SHARINGS
from trainable.engines.engine import Member
from trainable.engines.registry import ENGINES
from trainable.models.two_task.parameters import fresh, initial

FOLD = make_fold(60, 40, 600, 200)
EPOCHS = 1
OTHERS = [name for name in ENGINES if name != "plain"]
TABLE = [
    replace(CONFIG, sharing=sharing, ranking_loss=loss, batch_size=size, dim=dim, hidden=hidden)
    for i, sharing in enumerate(SHARINGS)
    for j, loss in enumerate(RANKING_LOSSES)
    for size, dim, hidden in [((64, 4, 8), (256, 7, 5), ("full", 16, 32))[(i + j) % 3]]
]


def drawn(count):
    """Random configurations over the whole range of an engine."""
    chance = random.Random(0)
    for _ in range(count):
        yield replace(
            CONFIG,
            weight=chance.choice([0.5, 0.99, chance.random()]),
            sharing=chance.choice(SHARINGS),
            learning_rate=10 ** chance.uniform(-3.5, -2),
            weight_decay=chance.choice([0.0, 10 ** chance.uniform(-2, 0)]),
            ranking_loss=chance.choice(RANKING_LOSSES),
            batch_size=chance.choice([32, 100, 256, "full"]),
            dim=chance.choice([1, 4, 8, 13]),
            hidden=chance.choice([1, 8, 20]),
            average=chance.choice([0.0, chance.random()]),
            negatives=chance.choice(NEGATIVES),
        )


CONFIGS = [*TABLE, *drawn(50)]


def together(name, dtype):
    """Train every configuration in one engine; return its last measurement and its parameters."""
    members = [Member(trial, trial % 2, config) for trial, config in enumerate(CONFIGS)]
    running = new_engine(name, fold=FOLD, dtype=dtype)
    for member in members:
        running.join(member)
    last = train(running, members, EPOCHS)[-1]
    return {member: (last[member], running.state(member)) for member in members}


@pytest.mark.parametrize("name", OTHERS)
def test_in_float64_a_crowd_agrees_with_the_reference_alone(name):
    """A neighbour's weight, rate and padding are in no sum, and the mathematics is the same."""
    for member, (found, state) in together(name, "float64").items():
        epochs, reference = alone(partial(new_engine, "plain"), member, EPOCHS, fold=FOLD)
        assert found[:3] == pytest.approx(epochs[-1][:3], rel=1e-10), member.config
        assert found[3] == pytest.approx(epochs[-1][3], rel=1e-10), member.config
        for key, value in reference.items():
            np.testing.assert_allclose(state[key], value, rtol=1e-10, atol=1e-12, err_msg=f"{key} {member}")


@pytest.mark.long
@pytest.mark.parametrize("name", OTHERS)
def test_in_float32_a_crowd_strays_as_one_ulp_would(name):
    """Distances are relative to the change by training. The control is the reference from initial values
    changed by one unit in the last place. A gradient of pure rounding error makes Adam step in any direction,
    so single members may differ more. Catches sums in too low a precision, and approximate algorithms.
    """
    strayed, control = [], []
    for member, (_, state) in together(name, "float32").items():
        values = initial(member.config, 60, 40, seed=7, replicate=member.replicate)
        start = vector(fresh(member.config, values))
        reference = vector(alone(partial(new_engine, "plain"), member, EPOCHS, fold=FOLD, dtype="float32")[1])
        way = np.linalg.norm(reference - start)
        strayed.append(np.linalg.norm(vector(state) - reference) / way)
        control.append(np.linalg.norm(vector(moved_by_an_ulp(member)) - reference) / way)
    assert np.median(np.divide(strayed, control)) < 10
    assert max(strayed) < 1e-3


def vector(state):
    """All parameters of a state, without moments and counts."""
    names = sorted(name for name in state if f"m.{name}" in state)
    return np.concatenate([np.ravel(state[name]) for name in names]).astype(np.float64)


def moved_by_an_ulp(member):
    """The reference's state after training from initial values one float32 step further from zero."""
    values = initial(member.config, 60, 40, seed=7, replicate=member.replicate)
    away = {
        key: np.nextafter(v.astype(np.float32), np.copysign(np.inf, v).astype(np.float32))
        for key, v in values.items()
    }
    running = new_engine("plain", fold=FOLD, dtype="float32")
    running.join(member, fresh(member.config, away))
    train(running, [member], EPOCHS)
    return running.state(member)
