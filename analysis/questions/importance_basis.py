"""What a search varied, as columns that are orthonormal over the searched range.

A configuration drawn evenly from the range (even in log or logit where the specification says so) gives each
column mean 0 and mean square 1, and any two columns mean product 0. So the variance of a sum of such columns
is the sum of its squared coefficients (polynomial chaos, Sudret 2008, doi 10.1016/j.ress.2007.04.002).
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
"""How the specification says that a range is even, and what makes it so."""

UNSEEN = ("epochs",)
"""Searched values that cannot matter where configurations are compared at equal epochs."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A value that a search varied, for n configurations.

    `columns` holds its columns by degree, each (n, k): one a degree for a number, all at once for a choice.
    They are 0 where the value does nothing, and `part` is the share of the range where it does something.
    """

    name: str
    columns: tuple[Floats, ...]
    part: float = 1.0


@dataclass(frozen=True, slots=True)
class Varied:
    """The factors of n configurations: `rows` are those of the trials that lie in the searched range.

    `ways` are the columns (n, k) that tell the ways of sharing something apart, for what λ does under each.
    """

    rows: NDArray[np.bool_]
    factors: tuple[Factor, ...]
    ways: Floats


def varied(tables: Tables, trials: pd.DataFrame) -> Varied:
    """What the search varied, for some of its trials: nothing where the specification names no range.

    Of a choice, only what these trials took counts. λ does nothing where nothing is shared, so there its
    columns are 0 and it need not be given.
    """
    spec = tables.manifest["spec"]
    space = spec.get("space", {}) if isinstance(spec, Mapping) else {}
    rows = np.ones(len(trials), dtype=np.bool_)
    shared = (trials["sharing"] != "none").to_numpy(dtype=np.bool_)
    for name, domain in space.items():
        if isinstance(domain, Mapping) and name in trials:
            rows &= _inside(trials[name], domain) | ((name == "weight") & ~shared)
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
            factors.append(Factor(name, columns, part))
    return Varied(rows, tuple(factors), _choice(kept["sharing"], shared))


def _inside(values: "pd.Series[Any]", domain: Mapping[str, Sequence[float]]) -> NDArray[np.bool_]:
    """Mask (n,) of the values within a range, its ends included but for rounding."""
    ((scale, (low, high)),) = domain.items()
    share = _share(values, scale, low, high)
    return np.asarray((share >= -1e-9) & (share <= 1 + 1e-9), dtype=np.bool_)


def _share(values: "pd.Series[Any]", scale: str, low: float, high: float) -> Floats:
    """How far along its range each value (n,) lies, from 0 to 1; NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        at, start, end = (
            SCALES[scale](np.asarray(v, dtype=np.float64)) for v in (values.to_numpy(np.float64), low, high)
        )
    return np.asarray((at - start) / (end - start), dtype=np.float64)


def _columns(values: "pd.Series[Any]", domain: object, needed: NDArray[np.bool_]) -> tuple[Floats, ...]:
    """Columns by degree of a value's domain: a range, a choice, or, empty, a value that is fixed."""
    if isinstance(domain, Mapping):
        ((scale, (low, high)),) = domain.items()
        along = np.where(needed, 2 * _share(values, scale, low, high) - 1, 0.0)
        return tuple(
            (np.sqrt(2 * k + 1) * Legendre.basis(k)(along) * needed)[:, None] for k in range(1, DEGREES + 1)
        )
    return (_choice(values, needed),) if isinstance(domain, Sequence) else ()


def _choice(values: "pd.Series[Any]", needed: NDArray[np.bool_]) -> Floats:
    """Columns (n, L − 1) that tell the L values apart that were taken where needed; 0 elsewhere.

    The columns of an orthogonal matrix whose first is constant, scaled: Helmert's contrasts.
    """
    taken = list(dict.fromkeys(values[needed]))
    levels = sorted(taken, key=lambda v: (SHARINGS.index(v) if v in SHARINGS else 0, str(v)))
    size = len(levels)
    if size < 2:
        return np.zeros((len(values), 0))
    contrasts = np.zeros((size, size - 1))
    for j in range(1, size):
        contrasts[:j, j - 1], contrasts[j, j - 1] = -1.0, j
        contrasts[:, j - 1] *= np.sqrt(size / (j * (j + 1)))
    place = {level: row for row, level in enumerate(levels)}
    at = np.array([place.get(value, 0) for value in values], dtype=np.intp)
    return np.where(needed[:, None], contrasts[at], 0.0)
