"""Searches in memory whose importances are known in closed form, with all ways of sharing."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator

from analysis.tables import Tables

SPACE = {
    "weight": {"logit": [0.5, 0.9997]},
    "sharing": ["none", "users", "items", "both"],
    "learning_rate": {"log": [5e-4, 6e-3]},
    "weight_decay": {"log": [1e-2, 1.0]},
}
LEVELS = {"none": 0.9, "users": -0.2, "items": 0.1, "both": -0.8}
SLOPES = {"none": 0.0, "users": 0.5, "items": 1.4, "both": 1.1}
CURVE, TWIST = 1.6, 1.2
"""Effects of sharing, of λ by sharing (middle to end), of the learning rate, and of it with the decay."""


def known(noise: float) -> SimpleNamespace:
    """Shares of the variance of both objectives, by parameter and pair."""
    levels, slopes = (
        np.array(list(LEVELS.values())),
        np.array([SLOPES[way] for way in ("users", "items", "both")]),
    )
    mrr = {
        ("sharing",): levels.var(),
        ("weight",): 0.75 * slopes.mean() ** 2 / 3,
        ("weight", "sharing"): 0.75 * slopes.var() / 3,
        ("learning_rate",): CURVE**2 * 4 / 45,
    }
    mse = {("sharing",): levels.var(), ("learning_rate", "weight_decay"): TWIST**2 / 9}
    return SimpleNamespace(mrr=_shares(mrr, noise), mse=_shares(mse, noise))


def _shares(variances: dict[tuple[str, ...], float], noise: float) -> dict[tuple[str, ...], float]:
    total = sum(variances.values()) + noise**2
    return {key: variance / total for key, variance in variances.items()}


def search(rng: Generator, count: int, noise: float, *, errors: Any = None, learned: bool = False) -> Tables:
    """A search of `count` configurations, uniform over the range, or with `learned` drawn to one side."""
    ways = np.array(list(LEVELS))
    sharing = ways[rng.choice(4, size=count, p=[0.15, 0.2, 0.25, 0.4] if learned else [0.25] * 4)]
    u, v, w = 2 * (rng.beta(2, 1.3, size=(3, count)) if learned else rng.random((3, count))) - 1
    e = (errors or (lambda rng, shape: rng.normal(size=shape)))(rng, (2, count)) * noise
    sloped = np.array([SLOPES[way] for way in sharing]) * u
    level = np.array([LEVELS[way] for way in sharing])
    mrr = level + sloped + CURVE * (v**2 - 1 / 3) + e[0]
    mse = level + TWIST * v * w + e[1]
    logit = np.log(1.0) + (np.log(0.9997 / 0.0003) - np.log(1.0)) * (u + 1) / 2
    trials = pd.DataFrame(
        {
            "trial": np.arange(count, dtype=float), "state": "completed", "reason": "", "lane": "",
            "origin": "tpe" if learned else "random",
            "sharing": sharing, "weight": np.where(sharing == "none", np.nan, 1 / (1 + np.exp(-logit))),
            "learning_rate": 5e-4 * 12 ** ((v + 1) / 2), "weight_decay": 1e-2 * 100 ** ((w + 1) / 2),
            "epochs": 5.0, "epoch": 5.0,
        }
    )  # fmt: skip
    points = trials[["trial", "epoch"]].assign(mrr=mrr, mse=mse, candidate=True, replicates=1.0)
    nothing = pd.DataFrame()
    spec = {"space": dict(SPACE), "train": {"candidates": "every"}}
    manifest = {"objectives": ["mrr", "mse"], "spec": spec, "split": "validation"}
    return Tables(manifest, trials, points, *[nothing] * 4)
