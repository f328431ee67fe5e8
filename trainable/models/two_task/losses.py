"""The two losses, on torch tensors (n,)."""

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn.functional import logsigmoid, mse_loss

from trainable.contract import RankingLoss


def one_minus_sigmoid(positive: Tensor, negative: Tensor) -> Tensor:
    """Mean of 1 − σ(p⁺ − p⁻), in [0, 1]; ½ if the scores are equal.

    Its slope in p⁺ − p⁻ is −σ(1 − σ): small for pairs with a large difference, in right or wrong order.
    """
    return (negative - positive).sigmoid().mean()


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Mean of −log σ(p⁺ − p⁻), at least 0; log 2 if the scores are equal.

    Its slope in p⁺ − p⁻ is σ − 1. Rendle et al. 2009, "BPR: Bayesian personalized ranking from
    implicit feedback", UAI.
    """
    return -logsigmoid(positive - negative).mean()


RANKING_LOSS_FUNCTIONS: Mapping[RankingLoss, Callable[[Tensor, Tensor], Tensor]] = {
    "one-minus-sigmoid": one_minus_sigmoid,
    "bpr": bpr,
}


def squared_error(predicted: Tensor, ratings: Tensor) -> Tensor:
    """Mean of (r̂ − r)², unclipped; the shapes must be equal, else ValueError.

    Shapes (n, 1) and (n,) would broadcast to (n, n), whose mean stalls at the variance of the ratings.
    """
    if predicted.shape != ratings.shape:
        raise ValueError(
            f"predicted {tuple(predicted.shape)} and ratings {tuple(ratings.shape)} differ in shape"
        )
    return mse_loss(predicted, ratings)
