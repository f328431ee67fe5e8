"""The two-task recommender in its textbook form."""

from collections.abc import Mapping

from torch import Tensor, cat
from torch.nn import Module, Parameter, ParameterDict
from torch.nn.functional import embedding, linear, relu


class Embeddings(Module):
    """The embeddings that one task reads: users (users, dim) and items (items, dim)."""

    def __init__(self, users: Parameter, items: Parameter) -> None:
        super().__init__()
        self.users = users
        self.items = items


class TwoTaskNet(Module):
    """One net for two tasks: a matrix factorisation that ranks, and a small perceptron that rates.

    `values` are its parameters, by the names of `two_task.parameters`. Both tasks read `ranking.users` if
    there is no `rating.users`; likewise for items.

    The model of the multi-task exercise of Stanford CS330; factorisation with biases: Koren et al. 2009,
    doi 10.1109/MC.2009.263.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        own = {name: Parameter(value) for name, value in values.items()}
        self.ranking = Embeddings(own["ranking.users"], own["ranking.items"])
        self.rating = Embeddings(
            own.get("rating.users", self.ranking.users), own.get("rating.items", self.ranking.items)
        )
        self.user_bias = own["user_bias"]
        self.item_bias = own["item_bias"]
        self.hidden = ParameterDict({part: own[f"hidden.{part}"] for part in ("weight", "bias")})
        self.output = ParameterDict({part: own[f"output.{part}"] for part in ("weight", "bias")})

    def rank(self, users: Tensor, items: Tensor) -> Tensor:
        """Ranking scores (n,) of pairs: u·q + a + b; larger ranks higher."""
        u, q = embedding(users, self.ranking.users), embedding(items, self.ranking.items)
        return (u * q).sum(1) + self.user_bias[users] + self.item_bias[items]

    def rank_all(self, users: Tensor) -> Tensor:
        """Ranking scores (n, items) of every item for each user."""
        u = embedding(users, self.ranking.users)
        return linear(u, self.ranking.items, self.item_bias) + self.user_bias[users, None]

    def rate(self, users: Tensor, items: Tensor) -> Tensor:
        """Predicted ratings (n,) of pairs, in the ratings' unit, unclipped."""
        u, q = embedding(users, self.rating.users), embedding(items, self.rating.items)
        h = relu(linear(cat([u, q, u * q], 1), self.hidden["weight"], self.hidden["bias"]))
        return linear(h, self.output["weight"], self.output["bias"]).squeeze(1)
