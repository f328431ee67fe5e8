from dataclasses import replace

import numpy as np
import pytest
import torch

from trainable.contract import SHARINGS, Config
from trainable.models.two_task.net import TwoTaskNet
from trainable.models.two_task.parameters import fresh, initial, shapes

CONFIG = Config(
    weight=0.5,
    sharing="none",
    learning_rate=1e-3,
    weight_decay=0.0,
    ranking_loss="one-minus-sigmoid",
    batch_size="full",
    dim=32,
    hidden=64,
    epochs=1,
)


def start(config=CONFIG, replicate=0, seed=0, n_users=944, n_items=1683):
    return initial(config, n_users, n_items, seed=seed, replicate=replicate)


def make_net(config=CONFIG, **options):
    return TwoTaskNet({name: torch.tensor(value) for name, value in start(config, **options).items()})


@pytest.mark.parametrize(("sharing", "published"), [("both", 92_964), ("none", 177_028)])
def test_parameter_counts_are_the_published_ones(sharing, published):
    net = make_net(replace(CONFIG, sharing=sharing))
    assert sum(parameter.numel() for parameter in net.parameters()) == published


@pytest.mark.parametrize("sharing", SHARINGS)
def test_names_and_shapes_are_one_in_the_net_and_outside(sharing):
    config = replace(CONFIG, sharing=sharing)
    inside = {name: tuple(parameter.shape) for name, parameter in make_net(config).named_parameters()}
    assert inside == shapes(config, 944, 1683) == {n: v.shape for n, v in start(config).items()}


def test_initial_values_have_their_distributions():
    """The parameter is a standard deviation, and each bound has the inputs of its own layer."""
    values = start()
    for name in ("ranking.users", "ranking.items", "rating.users", "rating.items"):
        assert values[name].std() == pytest.approx(1 / 32, rel=0.02)
        assert abs(values[name].mean()) < 1e-3
    for name, inputs in (
        ("hidden.weight", 96),
        ("hidden.bias", 96),
        ("output.weight", 64),
        ("output.bias", 64),
    ):
        assert np.abs(values[name]).max() <= inputs**-0.5
    assert np.abs(values["hidden.weight"]).mean() == pytest.approx(96**-0.5 / 2, rel=0.03)
    assert not values["user_bias"].any()
    assert not values["item_bias"].any()


def test_a_replicate_starts_alike_whatever_is_shared():
    """Each table has its own stream, so a missing one does not shift the others."""
    separate = start()
    for sharing in SHARINGS:
        for name, value in start(replace(CONFIG, sharing=sharing, weight=0.9)).items():
            np.testing.assert_array_equal(value, separate[name])


def test_tables_replicates_and_seeds_start_apart():
    tables = [start()["ranking.users"], start()["rating.users"]]
    tables += [start(replicate=1)["ranking.users"], start(seed=1)["ranking.users"]]
    assert len({table.tobytes() for table in tables}) == len(tables)


def test_a_fresh_state_has_made_no_step():
    state = fresh(replace(CONFIG, average=0.9), start())
    assert (state["step"], state["epoch"]) == (0, 0)
    assert not any(state[f"{moment}.{name}"].any() for moment in "mv" for name in start())
    assert all((state[f"a.{name}"] == value).all() for name, value in start().items())


@pytest.mark.parametrize(
    ("sharing", "reaches"),
    [("none", set()), ("users", {"users"}), ("items", {"items"}), ("both", {"users", "items"})],
)
def test_the_rating_reaches_a_ranking_table_exactly_where_it_is_shared(sharing, reaches):
    net = make_net(replace(CONFIG, sharing=sharing), n_users=4, n_items=5)
    torch.autograd.backward(net.rate(torch.tensor([1]), torch.tensor([2])).sum())
    touched = {side for side in ("users", "items") if getattr(net.ranking, side).grad is not None}
    assert touched == reaches


def test_pairs_and_whole_rows_have_the_same_ranking_scores():
    net = make_net(n_users=4, n_items=5)
    with torch.no_grad():
        for name in ("user_bias", "item_bias"):
            getattr(net, name).copy_(torch.arange(getattr(net, name).numel()))
    users, items = torch.tensor([0, 3, 3]), torch.tensor([4, 0, 2])
    torch.testing.assert_close(net.rank(users, items), net.rank_all(users)[torch.arange(3), items])


def test_making_a_net_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    make_net(n_users=2, n_items=2)
    assert torch.equal(before, torch.get_rng_state())
