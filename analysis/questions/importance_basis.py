"""The searched values as columns that are orthonormal over the searched range.

For configurations drawn evenly from the range (evenly in log or logit if the specification says so), each
column has mean 0 and mean square 1, and any two columns have mean product 0. So the variance of a sum of such
columns is the sum of its squared coefficients (polynomial chaos, Sudret 2008,
doi 10.1016/j.ress.2007.04.002).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.polynomial import Legendre
from numpy.typing import NDArray

from analysis.objective import Floats
from analysis.tables import SHARINGS, Tables

DEGREES = 3
"""The highest degree of a number's columns."""

SCALES: Mapping[str, Callable[[Floats], Floats]] = {
    "uniform": lambda values: values,
    "int": lambda values: values,
    "log": np.log,
    "logit": lambda values: np.log(values) - np.log1p(-values),
}
"""Scale of a range in the specification → transformation that makes it even."""

UNSCALED: Mapping[str, Callable[[Floats], Floats]] = {
    "uniform": lambda values: values,
    "int": lambda values: values,
    "log": np.exp,
    "logit": lambda values: 1 / (1 + np.exp(-values)),
}
"""The inverse of each scale."""

LEVELS_SHOWN = 33
"""Values of a range, even on its scale, at which its effect is shown."""

UNSEEN = ("epochs",)
"""Searched values without effect, since configurations are compared at equal epochs."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Values (l,) at which the effect of a searched value is shown, and its columns there, by degree.

    `scale` is that of the range in the specification, or None for a choice.
    """

    values: tuple[Any, ...]
    columns: tuple[Floats, ...]
    scale: str | None


@dataclass(frozen=True, slots=True)
class Factor:
    """A searched value for n configurations.

    `columns` holds its columns by degree, each (n, k): one per degree for a number, all at once for a choice.
    They are 0 where the value has no effect; `part` is the share of the range where it has one.
    """

    name: str
    columns: tuple[Floats, ...]
    levels: Levels
    part: float = 1.0


@dataclass(frozen=True, slots=True)
class Varied:
    """The factors of n configurations; `rows` is the mask of the trials in the searched range.

    `ways` are columns (n, k) for the ways of sharing something, for the effect of λ under each.
    """

    rows: NDArray[np.bool_]
    factors: tuple[Factor, ...]
    ways: Floats


def varied(tables: Tables, trials: pd.DataFrame) -> Varied:
    """The searched values of some trials; no factors if the specification has no range.

    Of a choice, only the values in these trials count. Where nothing is shared, λ has no effect: its columns
    are 0 there, and it may be missing.
    """
    spec = tables.manifest["spec"]
    space = spec.get("space", {}) if isinstance(spec, Mapping) else {}
    rows = np.ones(len(trials), dtype=np.bool_)
    shared = (trials["sharing"] != "none").to_numpy(dtype=np.bool_)
    for name, domain in space.items():
        if isinstance(domain, Mapping) and name in trials:
            ((scale, (low, high)),) = domain.items()
            share = _share(trials[name], scale, low, high)
            inside = (share >= -1e-9) & (share <= 1 + 1e-9)  # the ends included, up to rounding
            rows &= inside | ((name == "weight") & ~shared)
    kept, shared = trials[rows], shared[rows]
    factors = []
    for name, domain in space.items():
        if name in UNSEEN or name not in kept:
            continue
        needed = shared if name == "weight" else np.ones(len(kept), dtype=np.bool_)
        columns = _columns(kept[name], domain, needed)
        if columns and any(column.size for column in columns):
            ways = set(kept["sharing"])
            part = len(ways - {"none"}) / len(ways) if name == "weight" else 1.0
            factors.append(Factor(name, columns, _levels(kept[name], domain, needed), part))
    return Varied(rows, tuple(factors), _choice(kept["sharing"], shared))


def _share(values: "pd.Series[Any]", scale: str, low: float, high: float) -> Floats:
    """Position (n,) of each value in its range, from 0 to 1; NaN for a missing value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        at, start, end = (
            SCALES[scale](np.asarray(v, dtype=np.float64)) for v in (values.to_numpy(np.float64), low, high)
        )
    return np.asarray((at - start) / (end - start), dtype=np.float64)


def _columns(values: "pd.Series[Any]", domain: object, needed: NDArray[np.bool_]) -> tuple[Floats, ...]:
    """Columns by degree for a range or a choice; none for a fixed value."""
    if isinstance(domain, Mapping):
        ((scale, (low, high)),) = domain.items()
        along = np.where(needed, 2 * _share(values, scale, low, high) - 1, 0.0)
        return tuple(column * needed[:, None] for column in _legendre(along))
    return (_choice(values, needed),) if isinstance(domain, Sequence) else ()


def _levels(values: "pd.Series[Any]", domain: object, needed: NDArray[np.bool_]) -> Levels:
    """Even values of a range, or those of a choice that occur where `needed`, with their columns."""
    if isinstance(domain, Mapping):
        ((scale, ends),) = domain.items()
        low, high = SCALES[scale](np.asarray(ends, dtype=np.float64))
        along = np.linspace(-1, 1, LEVELS_SHOWN)
        shown = UNSCALED[scale](low + (high - low) * (along + 1) / 2)
        return Levels(tuple(shown.tolist()), _legendre(along), scale)
    taken = _taken(values, needed)
    return Levels(tuple(taken), (_contrasts(len(taken)),), None)


def _legendre(along: Floats) -> tuple[Floats, ...]:
    """Columns (n, 1) by degree of positions (n,) from −1 to 1: Legendre polynomials with mean square 1."""
    return tuple((np.sqrt(2 * k + 1) * Legendre.basis(k)(along))[:, None] for k in range(1, DEGREES + 1))


def _choice(values: "pd.Series[Any]", needed: NDArray[np.bool_]) -> Floats:
    """Contrasts (n, L − 1) of the L values that occur where `needed`; 0 elsewhere."""
    levels = _taken(values, needed)
    if len(levels) < 2:
        return np.zeros((len(values), 0))
    place = {level: row for row, level in enumerate(levels)}
    at = np.array([place.get(value, 0) for value in values], dtype=np.intp)
    return np.where(needed[:, None], _contrasts(len(levels))[at], 0.0)


def _taken(values: "pd.Series[Any]", needed: NDArray[np.bool_]) -> list[Any]:
    """The different values of a choice that occur where `needed`, in a fixed order."""
    taken = dict.fromkeys(values[needed])
    return sorted(taken, key=lambda v: (SHARINGS.index(v) if v in SHARINGS else 0, str(v)))


def _contrasts(size: int) -> Floats:
    """Helmert's contrasts (size, size − 1): scaled columns of an orthogonal matrix, without the constant."""
    contrasts = np.zeros((size, max(size - 1, 0)))
    for j in range(1, size):
        contrasts[:j, j - 1], contrasts[j, j - 1] = -1.0, j
        contrasts[:, j - 1] *= np.sqrt(size / (j * (j + 1)))
    return contrasts
