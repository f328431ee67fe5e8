"""The model's parameters by name, for all engines: shapes, initial values, and the state of a member.

Names are those of `TwoTaskNet.named_parameters()`. If a table is shared, `ranking.users` (or
`ranking.items`) serves both tasks, and `rating.users` (`rating.items`) does not exist.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trainable.contract import Config
from trainable.streams import stream

Parameters = Mapping[str, NDArray[np.floating]]

AVERAGED = "a."
"""Prefix of the name of an averaged parameter in a state."""


def shapes(config: Config, n_users: int, n_items: int) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter by name.

    Embeddings (users or items, dim) and biases (users,), (items,) of the ranking score
    u·q + a + b; then Linear(3 dim, hidden)–ReLU–Linear(hidden, 1) on [u, q, u∗q] for the rating.
    """
    dim, hidden = config.dim, config.hidden
    found: dict[str, tuple[int, ...]] = {
        "ranking.users": (n_users, dim),
        "ranking.items": (n_items, dim),
        "rating.users": (n_users, dim),
        "rating.items": (n_items, dim),
        "user_bias": (n_users,),
        "item_bias": (n_items,),
        "hidden.weight": (hidden, 3 * dim),
        "hidden.bias": (hidden,),
        "output.weight": (1, hidden),
        "output.bias": (1,),
    }
    if config.shares_users:
        del found["rating.users"]
    if config.shares_items:
        del found["rating.items"]
    return found


def initial(
    config: Config, n_users: int, n_items: int, *, seed: int, replicate: int
) -> dict[str, NDArray[np.float64]]:
    """Initial values by name: embeddings N(0, 1/dim²), biases 0, linear layers U(±1/√inputs).

    Each name has a stream keyed by (seed, replicate): trials with equal dim and hidden start at the same
    values for any λ and sharing, so comparisons are paired. The linear layers start as PyTorch's do.
    """
    start: dict[str, NDArray[np.float64]] = {}
    for name, shape in shapes(config, n_users, n_items).items():
        draw = stream(seed, use=f"initial {name}", replicate=replicate)
        match name.split(".")[0]:
            case "ranking" | "rating":
                start[name] = draw.normal(0.0, 1.0 / config.dim, shape)
            case "hidden":
                start[name] = _uniform(draw, 3 * config.dim, shape)
            case "output":
                start[name] = _uniform(draw, config.hidden, shape)
            case _:
                start[name] = np.zeros(shape)
    return start


def prefixes(config: Config) -> tuple[str, ...]:
    """Prefixes of a parameter's name in a state: its value, both moments, and the average if there is one."""
    return ("", "m.", "v.", AVERAGED) if config.averages else ("", "m.", "v.")


def fresh(config: Config, values: Parameters) -> dict[str, NDArray[np.generic]]:
    """The state of a member that starts at `values` (see `trainable.engines.engine.MemberState`).

    Each parameter NAME comes with its Adam moments `m.NAME` and `v.NAME`, all zero. If the configuration
    averages, `a.NAME` is its average over the ends of epochs. The counts `step` (updates) and `epoch` are 0.
    """
    state: dict[str, NDArray[np.generic]] = {
        f"{prefix}{name}": np.zeros_like(value) if prefix in ("m.", "v.") else value
        for prefix in prefixes(config)
        for name, value in values.items()
    }
    return {**state, "step": np.zeros((), np.int64), "epoch": np.zeros((), np.int64)}


def measured(config: Config, state: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """The parameters by name that are measured and exported: the averages if there are any."""
    prefix = AVERAGED if config.averages else ""
    return {name: state[f"{prefix}{name}"] for name in state if f"m.{name}" in state}


def layout(
    config: Config, n_users: int, n_items: int, dtype: str
) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
    """Shape and dtype of each array of a member's state with numbers of `dtype`, by the names of `fresh`."""
    parts = {
        f"{kind}{name}": (shape, np.dtype(dtype))
        for name, shape in shapes(config, n_users, n_items).items()
        for kind in prefixes(config)
    }
    return parts | dict.fromkeys(("step", "epoch"), ((), np.dtype(np.int64)))


def _uniform(draw: np.random.Generator, inputs: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    bound = inputs**-0.5
    return draw.uniform(-bound, bound, shape)
