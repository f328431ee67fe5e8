"""Made-up confirmations with known truth: points that noisy values chose, measured over seeds and users."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from analysis.front import non_dominated
from analysis.questions.resampling import DrawnMeans, other_seeds, other_users

REFERENCE = np.array([1.0, 1.0])


@dataclass(frozen=True)
class Noise:
    """Standard deviations of a loss: common to all points and of each, by user, by seed, and by both."""

    user: float = 1.0
    user_of_point: float = 0.5
    seed: float = 0.02
    seed_of_point: float = 0.02
    both: float = 0.5


@dataclass(frozen=True)
class Simulated:
    """The true losses (n, 2) of points, those that chose them, and draws around a measurement."""

    truth: np.ndarray
    before: np.ndarray
    drawn: DrawnMeans


def candidates(rng: Generator, count: int) -> np.ndarray:
    """True losses (count, 2) near a bulging front between 0 and 1."""
    along = rng.uniform(0.0, 1.0, size=count)
    front = np.column_stack([along**2, (1 - along) ** 2])
    return front + rng.exponential(0.06, size=(count, 1))


def simulated(
    rng: Generator, *, points: int = 9, seeds: int = 5, users: int = 250, noise: Noise | None = None
) -> Simulated:
    """Choose points by the values of one seed and the same users' other ratings; measure them again."""
    noise = noise or Noise()
    pool = candidates(rng, 4 * points)
    spread = np.hypot(noise.seed_of_point, noise.user_of_point / np.sqrt(users))
    searched = pool + rng.normal(size=pool.shape) * spread
    first = np.flatnonzero(non_dominated(searched))
    rest = np.setdiff1d(np.arange(len(pool)), first)
    order = [*rng.permutation(first), *rest[np.argsort(searched[rest].sum(axis=1))]]
    chosen = np.array(order[:points])
    truth = pool[chosen]
    return Simulated(truth, searched[chosen], measured(rng, truth, seeds, users, noise))


def measured(rng: Generator, truth: np.ndarray, seeds: int, users: int, noise: Noise) -> DrawnMeans:
    """Draws around a measurement of losses (n, 2) over seeds and users."""
    n = len(truth)
    by_user = noise.user * rng.normal(size=(users, 1, 2)) + noise.user_of_point * rng.normal(
        size=(users, n, 2)
    )
    by_seed = noise.seed * rng.normal(size=(seeds, 1, 2)) + noise.seed_of_point * rng.normal(
        size=(seeds, n, 2)
    )
    values = truth + by_user + by_seed[:, None] + noise.both * rng.normal(size=(seeds, users, n, 2))
    flat = values.reshape(seeds, users, -1)
    losses = flat.mean(axis=1)
    moves = other_seeds(losses, rng) + other_users(flat - losses[:, None], rng)
    means = losses.mean(axis=0)
    return DrawnMeans(
        np.arange(n), means.reshape(n, 2), (means + moves).reshape(-1, n, 2), REFERENCE, "users and seeds"
    )
