"""The compiled mathematics of one member: an epoch of training, ranks by counting, predicted ratings.

Each function releases the interpreter lock. One `MemberNet` holds views of a flat vector of parameters,
another of the gradient; for a shared table two views are the same, so no line below depends on the sharing.
The order of sums is free; NaN and infinity are kept. Loops over rows use `table[row, k]`, because a view of
a row would count references, which takes longer than the read.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

ROWS_AT_ONCE = 128
"""Rows whose activations are held at a time: they fit into the cache for any batch size."""

RANKED_AT_ONCE = 16
"""Users whose scores are held at a time: few enough for BLAS's path for small products."""

Reals = NDArray[np.floating]
Indices = NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., object])


class MemberNet(NamedTuple):
    """Parameters, or their gradient, with the shapes of `trainable.models.two_task.parameters.shapes`.

    The user's bias is left out: it cancels in p⁺ − p⁻ and in a user's ranking.
    """

    ranking_users: Reals
    ranking_items: Reals
    rating_users: Reals
    rating_items: Reals
    item_bias: Reals
    hidden_weight: Reals
    hidden_bias: Reals
    output_weight: Reals
    output_bias: Reals


class Buffers(NamedTuple):
    """Scratch for CHUNK rows: the perceptron's inputs x and hidden units h, gradients of x and weights.

    `w` are the hidden weights, transposed once per step: products without this take a quarter longer.
    """

    x: Reals
    h: Reals
    dx: Reals
    dw: Reals
    w: Reals


class EpochRows(NamedTuple):
    """Training rows in order, all (n,)."""

    users: Indices
    items: Indices
    negatives: Indices
    ratings: Reals


def work(net: MemberNet) -> Buffers:
    """Scratch for a net of this size."""
    hidden, inputs = net.hidden_weight.shape
    x, h, dx = (
        np.empty((ROWS_AT_ONCE, width), net.hidden_weight.dtype) for width in (inputs, hidden, inputs)
    )
    return Buffers(x, h, dx, np.empty_like(net.hidden_weight), np.empty((inputs, hidden), x.dtype))


def apart(size: int, dtype: np.dtype) -> Reals:
    """Four vectors (4, size) of zeros, each offset by a further quarter of a memory page.

    At equal offsets a store to one vector delays loads from the next, by up to a fifth of Adam's time.
    """
    page = 4096 // dtype.itemsize
    return np.zeros((4, -(-size // page) * page + page // 4), dtype)[:, :size]


def compiled(function: F) -> F:
    """Compile a function, with a cache on disk if numba finds a writable folder."""
    flags = {"contract", "reassoc", "nsz", "arcp"}
    options = {"nogil": True, "error_model": "numpy", "fastmath": flags}
    try:
        return cast(F, njit(cache=True, **options)(function))
    except RuntimeError:  # no folder for the cache: each process compiles again
        return cast(F, njit(**options)(function))


@compiled
def _add_ranking(
    net: MemberNet, grad: MemberNet, rows: EpochRows, a: int, b: int, scale: float, bpr: bool
) -> float:
    """Sum of the ranking loss over rows a…b; adds `scale` times its gradient to `grad`.

    With s = σ(p⁻ − p⁺): 1 − σ is s, of slope −s(1 − s) in p⁺ − p⁻; −log σ is −log(1 − s), of slope −s.
    """
    real = net.item_bias.dtype.type
    one = real(1)
    u, q, bias = net.ranking_users, net.ranking_items, net.item_bias
    du, dq, dbias = grad.ranking_users, grad.ranking_items, grad.item_bias
    dim = u.shape[1]
    total = 0.0
    for row in range(a, b):
        user, item, negative = rows.users[row], rows.items[row], rows.negatives[row]
        x = bias[item] - bias[negative]
        for k in range(dim):
            x += u[user, k] * (q[item, k] - q[negative, k])
        s = one / (one + np.exp(x))
        if bpr:
            total += max(-x, real(0)) + np.log1p(np.exp(-abs(x)))
            slope = -real(scale) * s
        else:
            total += s
            slope = -real(scale) * s * (one - s)
        for k in range(dim):
            du[user, k] += slope * (q[item, k] - q[negative, k])
        for k in range(dim):
            dq[item, k] += slope * u[user, k]
        for k in range(dim):
            dq[negative, k] -= slope * u[user, k]
        dbias[item] += slope
        dbias[negative] -= slope
    return total


@compiled
def _hidden(net: MemberNet, w: Reals, x: Reals, h: Reals, users: Indices, items: Indices) -> None:
    """Fill x (n, 3 dim) with [u, q, u∗q], and h (n, hidden) with the product of x and the weights w."""
    u, q = net.rating_users, net.rating_items
    dim = u.shape[1]
    for row in range(len(users)):
        user, item = users[row], items[row]
        for k in range(dim):
            x[row, k] = u[user, k]
        for k in range(dim):
            x[row, dim + k] = q[item, k]
        for k in range(dim):
            x[row, 2 * dim + k] = u[user, k] * q[item, k]
    np.dot(x, w, h)


@compiled
def _add_rating(
    net: MemberNet, grad: MemberNet, work: Buffers, rows: EpochRows, a: int, b: int, scale: float
) -> float:
    """Sum of (r̂ − r)² over rows a…b; adds `scale` times its gradient to `grad`."""
    real = net.item_bias.dtype.type
    n, dim = b - a, net.rating_users.shape[1]
    x, h, dx = work.x[:n], work.h[:n], work.dx[:n]
    _hidden(net, work.w, x, h, rows.users[a:b], rows.items[a:b])
    weight, dweight = net.output_weight[0], grad.output_weight[0]
    bias, dbias = net.hidden_bias, grad.hidden_bias
    hidden = len(bias)
    total = 0.0
    for row in range(n):
        error = net.output_bias[0] - rows.ratings[a + row]
        for j in range(hidden):
            h[row, j] = max(h[row, j] + bias[j], real(0))
            error += h[row, j] * weight[j]
        total += error * error
        slope = real(2 * scale) * error
        grad.output_bias[0] += slope
        for j in range(hidden):
            dweight[j] += slope * h[row, j]
        for j in range(hidden):
            h[row, j] = slope * weight[j] if h[row, j] > 0 else real(0)
            dbias[j] += h[row, j]
    np.dot(h.T, x, work.dw)
    for j in range(hidden):
        for k in range(3 * dim):
            grad.hidden_weight[j, k] += work.dw[j, k]
    np.dot(h, net.hidden_weight, dx)
    u, q, du, dq = net.rating_users, net.rating_items, grad.rating_users, grad.rating_items
    for row in range(n):
        user, item = rows.users[a + row], rows.items[a + row]
        for k in range(dim):
            du[user, k] += dx[row, k] + dx[row, 2 * dim + k] * q[item, k]
        for k in range(dim):
            dq[item, k] += dx[row, dim + k] + dx[row, 2 * dim + k] * u[user, k]
    return total


@compiled
def adam(p: Reals, m: Reals, v: Reals, g: Reals, rate: float, decay: float, step: int) -> None:
    """Apply Adam's `step`-th update (from 1) with decoupled decay to all parameters; set g to zero.

    Subnormal results become 0: the moments of rarely drawn rows would decay into subnormals, which are slow.
    Kingma & Ba 2015, arXiv 1412.6980; Loshchilov & Hutter 2019, arXiv 1711.05101.
    """
    real = p.dtype.type
    zero, tiny = real(0), np.finfo(p.dtype).tiny
    beta1, beta2 = real(0.9), real(0.999)
    rest1, rest2 = real(1 - 0.9), real(1 - 0.999)
    keep, eps = real(1 - rate * decay), real(1e-8)
    size, root = real(rate / (1 - 0.9**step)), real(1 / np.sqrt(1 - 0.999**step))
    for k in range(p.size):
        first = beta1 * m[k] + rest1 * g[k]
        second = beta2 * v[k] + rest2 * g[k] * g[k]
        value = keep * p[k] - size * first / (np.sqrt(second) * root + eps)
        m[k] = zero if abs(first) < tiny else first
        v[k] = zero if second < tiny else second
        p[k] = zero if abs(value) < tiny else value
        g[k] = zero


@compiled
def average(a: Reals, p: Reals, kept: float) -> None:
    """Keep this share of the averaged parameters a, and add p times the rest. Subnormal results become 0.

    Polyak & Juditsky 1992, doi 10.1137/0330046; at the end of epochs: Izmailov et al. 2018, arXiv 1803.05407.
    """
    real = p.dtype.type
    zero, tiny, keep = real(0), np.finfo(p.dtype).tiny, real(kept)
    for k in range(p.size):
        value = p[k] + keep * (a[k] - p[k])
        a[k] = zero if abs(value) < tiny else value


@compiled
def train(
    p: Reals,
    m: Reals,
    v: Reals,
    g: Reals,
    net: MemberNet,
    grad: MemberNet,
    work: Buffers,
    rows: EpochRows,
    batch: int,
    weight: float,
    bpr: bool,
    rate: float,
    decay: float,
    step: int,
) -> tuple[float, float, int]:
    """Train one epoch in place; return the mean of both losses over its rows, and the number of steps.

    `net` holds views of p, and `grad` of g, which is zero; m and v are Adam's moments. Losses are taken
    before the update of their batch.
    """
    n = len(rows.users)
    ranking, rating = 0.0, 0.0
    for first in range(0, n, batch):
        last = min(first + batch, n)
        work.w[:] = net.hidden_weight.T
        for a in range(first, last, ROWS_AT_ONCE):
            b = min(a + ROWS_AT_ONCE, last)
            ranking += _add_ranking(net, grad, rows, a, b, weight / (last - first), bpr)
            rating += _add_rating(net, grad, work, rows, a, b, (1 - weight) / (last - first))
        step += 1
        adam(p, m, v, g, rate, decay, step)
    return ranking / n, rating / n, step


@compiled
def predict(net: MemberNet, work: Buffers, users: Indices, items: Indices) -> Reals:
    """Predicted ratings (n,) of pairs."""
    real = net.item_bias.dtype.type
    weight, bias = net.output_weight[0], net.hidden_bias
    found = np.empty(len(users), net.item_bias.dtype)
    work.w[:] = net.hidden_weight.T
    for a in range(0, len(users), ROWS_AT_ONCE):
        b = min(a + ROWS_AT_ONCE, len(users))
        h = work.h[: b - a]
        _hidden(net, work.w, work.x[: b - a], h, users[a:b], items[a:b])
        for row in range(b - a):
            z, rating = h[row], net.output_bias[0]
            for j in range(z.size):
                rating += max(z[j] + bias[j], real(0)) * weight[j]
            found[a + row] = rating
    return found


@compiled
def ranks(
    net: MemberNet, users: Indices, starts: Indices, items: Indices, masked_starts: Indices, masked: Indices
) -> NDArray[np.float64]:
    """Rank (t,) of each of `items`, as `trainable.metrics.Ranking.ranks`; NaN if a score is not finite."""
    n_items = len(net.item_bias)
    found = np.empty(len(items))
    scores = np.empty((RANKED_AT_ONCE, n_items), net.item_bias.dtype)
    by_dim = net.ranking_items.T.copy()
    largest = np.finfo(scores.dtype).max
    for a in range(0, len(users), RANKED_AT_ONCE):
        b = min(a + RANKED_AT_ONCE, len(users))
        np.dot(net.ranking_users[users[a:b]], by_dim, scores[: b - a])
        for row in range(a, b):
            score = scores[row - a]
            finite = True
            for j in range(n_items):
                score[j] += net.item_bias[j]
                # not isfinite: it tests x − x == 0, which free order makes true
                finite &= abs(score[j]) <= largest
            for j in masked[masked_starts[row] : masked_starts[row + 1]]:
                score[j] = -np.inf
            for t in range(starts[row], starts[row + 1]):
                own = score[items[t]]
                higher, same = np.int32(0), np.int32(0)
                for j in range(n_items):  # int32: twice as many per vector as int64
                    higher = np.int32(higher + (score[j] > own))
                    same = np.int32(same + (score[j] == own))
                found[t] = 1 + higher + (same - 1) / 2 if finite else np.nan
    return found
