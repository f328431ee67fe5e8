import math

import pytest
import torch

from trainable.contract import RANKING_LOSSES
from trainable.models.two_task.losses import RANKING_LOSS_FUNCTIONS, squared_error


def test_every_ranking_loss_of_the_contract_is_there():
    assert set(RANKING_LOSS_FUNCTIONS) == set(RANKING_LOSSES)


def test_equal_scores_have_the_loss_of_chance():
    same = torch.zeros(3, dtype=torch.float64)
    assert RANKING_LOSS_FUNCTIONS["one-minus-sigmoid"](same, same) == 0.5
    assert RANKING_LOSS_FUNCTIONS["bpr"](same, same) == pytest.approx(math.log(2))


@pytest.mark.parametrize("difference", [-3.0, -0.1, 0.0, 2.0])
def test_losses_and_slopes_have_their_closed_forms(difference):
    """1 − σ and −log σ have the same direction, but different slopes."""
    sigma = 1 / (1 + math.exp(-difference))
    expected = {
        "one-minus-sigmoid": (1 - sigma, -sigma * (1 - sigma)),
        "bpr": (-math.log(sigma), sigma - 1),
    }
    for name, loss in RANKING_LOSS_FUNCTIONS.items():
        positive = torch.tensor([difference], dtype=torch.float64, requires_grad=True)
        value = loss(positive, torch.zeros(1, dtype=torch.float64))
        (slope,) = torch.autograd.grad(value, positive)
        assert (value.item(), slope.item()) == pytest.approx(expected[name])


@pytest.mark.parametrize("name", RANKING_LOSSES)
def test_far_differences_neither_overflow_nor_vanish_wrongly(name):
    worst, best = torch.tensor([-200.0]), torch.tensor([200.0])
    zero = torch.zeros(1)
    assert RANKING_LOSS_FUNCTIONS[name](best, zero) == pytest.approx(0.0, abs=1e-6)
    assert RANKING_LOSS_FUNCTIONS[name](worst, zero) == pytest.approx(
        1.0 if name == "one-minus-sigmoid" else 200.0
    )


def test_losses_are_means():
    positive, negative = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.0])
    for loss in RANKING_LOSS_FUNCTIONS.values():
        single = [loss(positive[k : k + 1], negative[k : k + 1]) for k in range(2)]
        torch.testing.assert_close(loss(positive, negative), (single[0] + single[1]) / 2)
    assert squared_error(positive, negative) == pytest.approx((0.25 + 4) / 2)


def test_shapes_that_would_broadcast_are_refused():
    """A net trained on (n, 1) against (n,) stalls at the variance of the ratings."""
    with pytest.raises(ValueError, match="differ in shape"):
        squared_error(torch.zeros(3, 1), torch.zeros(3))
