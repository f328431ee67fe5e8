import weakref

import numpy as np
import pytest
import torch

from trainable.contract import Config, StudyError
from trainable.data.interactions import Fold, Interactions
from trainable.engines.engine import Member
from trainable.engines.plain import PlainEngine

CONFIG = Config(
    weight=0.5,
    sharing="both",
    learning_rate=0.01,
    weight_decay=0.0,
    ranking_loss="bpr",
    batch_size=2,
    dim=2,
    hidden=2,
    epochs=1,
)


def make_engine(device="cpu"):
    users, items = np.array([0, 1, 2], np.int32), np.array([2, 1, 0], np.int32)
    names = np.arange(3).astype(str)
    rows = Interactions(users, items, np.full(3, 3, np.float32), None, names, names)
    return PlainEngine(Fold("test", rows, rows), seed=0, device=device, threads=1)


def test_the_global_generator_is_untouched():
    before = torch.get_rng_state()
    running = make_engine()
    running.join(Member(0, 0, CONFIG))
    running.epoch([])
    assert torch.equal(before, torch.get_rng_state())


def test_a_member_that_leaves_frees_its_memory():
    """No optimiser, closure or cache keeps the net alive."""
    running, member = make_engine(), Member(0, 0, CONFIG)
    running.join(member)
    running.epoch([member])
    net = weakref.ref(running._members[member])
    running.leave(member)
    assert net() is None


def test_subnormal_numbers_are_flushed_in_training_and_kept_outside():
    """Rows without gradient decay into subnormals, which are 15 times slower. Catches a flag that leaks."""
    running, member = make_engine(), Member(0, 0, CONFIG)
    running.join(member)
    state = dict(running.state(member))
    running.leave(member)
    running.join(member, state | {"m.user_bias": np.full(3, 1.1e-38, np.float32)})
    running.epoch([])
    assert (running.state(member)["m.user_bias"] == 0).all()
    assert torch.tensor(1e-38) * 0.5 > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_refused_with_an_alternative():
    with pytest.raises(StudyError, match="needs a GPU, and PyTorch finds none; use cpu"):
        make_engine("cuda")
