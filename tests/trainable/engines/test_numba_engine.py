from dataclasses import replace

import numpy as np
import pytest

from trainable.contract import Config, StudyError
from trainable.data.interactions import Fold, Interactions
from trainable.engines import kernel
from trainable.engines.engine import Member
from trainable.engines.kernel import MemberNet, ranks
from trainable.engines.numba import NumbaEngine
from trainable.metrics import Ranking

USERS, ITEMS = 150, 30

CONFIG = Config(
    weight=0.5,
    sharing="both",
    learning_rate=0.01,
    weight_decay=0.0,
    ranking_loss="bpr",
    batch_size=200,
    dim=4,
    hidden=6,
    epochs=1,
)


def make_fold():
    """Every kind of user: with and without train rows, with and without targets."""
    random = np.random.default_rng(0)
    part = random.choice(4, size=(USERS, ITEMS), p=[0.4, 0.3, 0.1, 0.2])
    part[:5] = 3
    part[5:10][part[5:10] == 1] = 3
    names = [np.arange(n).astype(str) for n in (USERS, ITEMS)]

    def rows(kind):
        users, items = random.permutation(np.argwhere(part == kind)).astype(np.int32).T
        return Interactions(users, items, np.full(len(users), 3, np.float32), None, *names)

    return Fold("test", rows(1), rows(2))


FOLD = make_fold()


def make_engine(threads=1, dtype="float32"):
    return NumbaEngine(FOLD, seed=0, device="cpu", threads=threads, dtype=dtype)


def make_net(dtype, bad=0.0):
    """Integers, so that scores tie often and are exact in both precisions."""
    random = np.random.default_rng(1)
    users, items = (random.integers(-1, 2, (n, 2)).astype(dtype) for n in (USERS, ITEMS))
    users[40] += bad
    bias = random.integers(-1, 2, ITEMS).astype(dtype)
    rest = np.zeros((3, 6), dtype), np.zeros(3, dtype), np.zeros((1, 3), dtype), np.zeros(1, dtype)
    return MemberNet(users, items, users, items, bias, *rest)


def kernel_ranks(net):
    r = Ranking(FOLD)
    return ranks(net, r.users, r.starts, r.items, r.masked_starts, r.masked)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranks_by_counting_equal_the_reference(dtype):
    """Ties count for each, masks are cleared for the next user, and the last users of a block are right."""
    net = make_net(dtype)
    expected = Ranking(FOLD).ranks(
        lambda users: net.ranking_users[users] @ net.ranking_items.T + net.item_bias
    )
    np.testing.assert_array_equal(kernel_ranks(net), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_user_without_finite_scores_has_no_ranks(bad):
    found = kernel_ranks(make_net("float32", bad))
    r = Ranking(FOLD)
    mine = np.repeat(r.users, np.diff(r.starts)) == 40
    np.testing.assert_array_equal(np.isnan(found), mine)
    assert mine.any()


def test_members_on_two_threads_train_as_on_one():
    """Members do not share scratch memory."""
    members = [Member(trial, trial % 2, CONFIG) for trial in range(4)]
    found = []
    for threads in (1, 2):
        running = make_engine(threads)
        for member in members:
            running.join(member)
        results = [running.epoch(members) for _ in range(2)]
        found.append(
            [(r.ranking_loss, r.rating_loss, r.metrics) for epoch in results for r in epoch.values()]
        )
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["user_bias", "m.user_bias", "v.user_bias"])
def test_subnormal_numbers_are_flushed(name):
    """Rows without gradient decay into subnormals, which are 15 times slower."""
    running, member = make_engine(), Member(0, 0, replace(CONFIG, weight_decay=10.0))
    running.join(member)
    state = dict(running.state(member))
    running.leave(member)
    running.join(member, state | {name: np.full(USERS, 1.176e-38, np.float32)})
    running.epoch([])
    assert not running.state(member)[name].any()


def test_a_gpu_is_refused_with_an_alternative():
    with pytest.raises(StudyError, match="does not support 'cuda'; use cpu or the torch engine"):
        NumbaEngine(FOLD, seed=0, device="cuda", threads=1)


def test_all_is_compiled_when_the_engine_is_made():
    """No epoch waits for the compiler: the referee would think that the lane hangs."""
    running = NumbaEngine(make_fold(), seed=0, device="cpu", threads=1)
    functions = (kernel.train, kernel.predict, kernel.ranks)
    before = [len(function.signatures) for function in functions]
    member = Member(0, 0, CONFIG)
    running.join(member)
    running.epoch([member])
    assert [len(function.signatures) for function in functions] == before
