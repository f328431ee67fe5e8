"""Importance: the share of an objective's variance over the searched range that each value explains.

A polynomial of the searched values is fitted to the configurations by least squares, in columns that are
orthonormal over the range. So its variance is a sum of shares, of each value alone and of each pair
(Sobol' indices, here those of Sudret 2008, doi 10.1016/j.ress.2007.04.002). The unexplained variance, which
includes the noise of the seed, is a share of its own. The number of terms depends on the number and places
of the configurations; never on their results, which would bias the intervals.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import nan

import numpy as np
import pandas as pd

from analysis.objective import AnalysisError, Floats, Objective
from analysis.questions.importance_basis import Factor, Varied, varied
from analysis.stats import BOOTSTRAP_FROM, BOOTSTRAP_SAMPLES
from analysis.tables import Tables

BOOTSTRAP_RESIDUALS, FEWEST_SAMPLES = 20_000_000, 200
"""Approximate number of residuals that a bootstrap draws in all, and its fewest samples: for 100,000
configurations, whose intervals are narrow, 200 samples are enough."""

READABLE = 0.5
"""Share of the variance of left-out configurations that a fit must predict to be interpreted."""

NOISE = 1 / 3
"""Largest share of the residuals' variance that may appear as variance over the range, as false signal.

With 1/2, 60 configurations could support curves that 1/3 denies them. But 80 configurations with as much
noise as signal would get 21 terms instead of 13, predict 25 % of left-out configurations instead of 36 %, and
estimate the unexplained share as 0.62 instead of 0.55 (the truth is 0.53).
"""

HELD = 0.95
"""Largest leverage of a configuration on its own fitted value; near 1 the residual has no information."""

TermNames = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a polynomial: degrees of single values and of pairs; all pairs, or only λ × sharing."""

    alone: int
    pairs: int
    all_pairs: bool


SHAPES = (
    Shape(3, 3, all_pairs=True),
    Shape(2, 2, all_pairs=True),
    Shape(2, 2, all_pairs=False),
    Shape(1, 2, all_pairs=False),
)
"""The largest first; every one has the pair of λ and sharing. A choice has degree 1."""


@dataclass(frozen=True, slots=True)
class VarianceShare:
    """The share of the variance that a value, or a pair beyond its two values, explains; 95 % interval."""

    names: TermNames
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Importance:
    """The shares of an objective's variance, the largest first, and the quality of the fit.

    `r2` is the share that it predicts for configurations left out one by one; `unexplained` is the share of
    the fitted configurations that it does not explain. `totals` has each value with all its pairs.
    """

    objective: Objective
    shares: tuple[VarianceShare, ...]
    totals: tuple[VarianceShare, ...]
    unexplained: float
    r2: float
    trials: int
    terms: int

    @property
    def readable(self) -> bool:
        """True if the fit is good enough to be interpreted."""
        return self.r2 >= READABLE


def responses(tables: Tables) -> tuple[int, pd.DataFrame]:
    """Epochs that every ended trial was trained for, and each trial's best value of each objective in them.

    With candidates "last" it is the value after these epochs. So trials that a rule stopped are compared with
    the others at equal training, and none is left out because it was stopped. Trials with a value that is not
    finite are left out; (0, empty table) if no trial has ended.
    """
    ended = tables.trials.loc[tables.trials["state"].isin(("completed", "stopped")), "trial"]
    points = tables.points[tables.points["trial"].isin(ended)]
    if not len(points):
        return 0, pd.DataFrame(columns=tables.names, dtype=np.float64)
    epochs = int(points.groupby("trial")["epoch"].max().min())
    by_trial = points[points["epoch"] <= epochs].sort_values("epoch").groupby("trial")
    best = by_trial[tables.names].last()
    if tables.manifest["spec"].get("train", {}).get("candidates") == "every":
        for goal in tables.goals:
            best[goal.name] = by_trial[goal.name].agg("max" if goal.larger_is_better else "min")
    return epochs, best[np.isfinite(best.to_numpy()).all(axis=1)]


def importance(tables: Tables) -> tuple[Importance, ...]:
    """The importance of the searched values for each objective.

    AnalysisError, with the reason, if it cannot be estimated: fewer than 30 configurations, no searched
    range, or values that are all equal.
    """
    best = responses(tables)[1]
    trials = tables.trials.set_index("trial", drop=False).loc[best.index]
    found = varied(tables, trials)
    if not found.factors:
        raise AnalysisError("the specification has no range that was searched")
    values = best[found.rows]
    if len(values) < BOOTSTRAP_FROM:
        raise AnalysisError(
            f"it needs {BOOTSTRAP_FROM} configurations or more within the searched range, not {len(values)}"
        )
    terms = _terms(found)
    if terms is None:
        raise AnalysisError(f"{len(values)} configurations are too few, or too alike, for what was searched")
    return tuple(_importance(goal, values[goal.name].to_numpy(np.float64), terms) for goal in tables.goals)


@dataclass(frozen=True, slots=True)
class Terms:
    """A polynomial over n configurations: columns (n, k) and part of the range for each value or pair."""

    groups: Mapping[TermNames, tuple[Floats, float]]

    @property
    def design(self) -> Floats:
        """All columns (n, p), the constant first."""
        columns = [columns for columns, _ in self.groups.values()]
        return np.column_stack([np.ones((len(columns[0]), 1)), *columns])

    def variances(self, squares: Floats) -> dict[TermNames, Floats]:
        """The variance over the range of each group, from squared coefficients (…, p)."""
        return {key: part * squares[..., own].sum(axis=-1) for key, part, own in self._own()}

    def less(self, coefficients: Floats, noise: Floats) -> Floats:
        """Coefficients (p,), scaled down by group so that their sum of squares loses that of the noise."""
        smaller = coefficients.copy()
        for _, _, own in self._own():
            squares = float((coefficients[own] ** 2).sum())
            if squares > 0:
                smaller[own] *= max(0.0, 1 - float(noise[own].sum()) / squares) ** 0.5
        return smaller

    def _own(self) -> Iterator[tuple[TermNames, float, slice]]:
        """Each group, its part of the range, and the slice of its coefficients."""
        start = 1
        for key, (columns, part) in self.groups.items():
            yield key, part, slice(start, start + columns.shape[1])
            start += columns.shape[1]


def _terms(found: Varied) -> Terms | None:
    """The largest polynomial that the configurations determine; None if they determine none."""
    for shape in SHAPES:
        terms = Terms(_groups(found, shape))
        design = terms.design
        if np.linalg.matrix_rank(design) == design.shape[1] and _leverage(design).max() <= HELD:
            spread = np.diag(np.linalg.inv(design.T @ design))
            if sum(terms.variances(spread).values()) <= NOISE:
                return terms
    return None


def _groups(found: Varied, shape: Shape) -> dict[TermNames, tuple[Floats, float]]:
    """The columns of every value alone, and of the pairs, up to their degrees."""
    groups: dict[TermNames, tuple[Floats, float]] = {
        (f.name,): (np.hstack(f.columns[: shape.alone]), f.part) for f in found.factors
    }
    for one, two in combinations(found.factors, 2):
        names = {one.name, two.name}
        if names == {"weight", "sharing"}:
            weight, ways = (one if one.name == "weight" else two), Factor("sharing", (found.ways,))
            columns, part = _products(weight, ways, shape.pairs), weight.part
        elif shape.all_pairs:
            columns, part = _products(one, two, shape.pairs), min(one.part, two.part)
        else:
            continue
        if columns.size:
            groups[one.name, two.name] = columns, part
    return groups


def _products(one: Factor, two: Factor, degree: int) -> Floats:
    """Products (n, k) of the columns of two factors, of degrees that come to `degree` at most."""
    made = [
        (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)
        for i, a in enumerate(one.columns, start=1)
        for j, b in enumerate(two.columns, start=1)
        if i + j <= degree
    ]
    return np.hstack(made)


def _leverage(design: Floats) -> Floats:
    """Leverage (n,) of each row of the design (n, p) on its own fitted value."""
    leverage: Floats = (np.linalg.qr(design)[0] ** 2).sum(axis=1)
    return leverage


def _shares(
    keys: Sequence[TermNames], share: Callable[[TermNames, Sequence[TermNames]], VarianceShare]
) -> tuple[tuple[VarianceShare, ...], tuple[VarianceShare, ...]]:
    """The share of each term, and the total share of each single one; the largest first."""
    shares = [share(key, [key]) for key in keys]
    alone = {found.names: found.share for found in shares}
    whole = [share(name, [key for key in keys if name[0] in key]) for name in keys if len(name) == 1]
    whole = [replace(total, share=max(total.share, alone[total.names])) for total in whole]
    return (
        tuple(sorted(shares, key=lambda found: -found.share)),
        tuple(sorted(whole, key=lambda found: -found.share)),
    )


def _importance(goal: Objective, values: Floats, terms: Terms) -> Importance:
    """Shares of the variance of values (n,), with intervals from a wild bootstrap of the residuals.

    A squared coefficient is too large by its variance, which is subtracted (White 1980, in the form HC3). The
    bootstrap scatters coefficients around shrunk ones: around the fitted ones, whose noise would count twice,
    intervals cover 97 to 98 %. Sources: Wu 1986 (doi 10.1214/aos/1176350142), Davidson & Flachaire 2008 (doi
    10.1016/j.jeconom.2008.08.003).
    """
    design, (n, p) = terms.design, terms.design.shape
    if np.ptp(values) == 0:
        raise AnalysisError(f"{goal.label} is the same for all configurations")
    inverse, leverage = np.linalg.pinv(design), _leverage(design)
    fitted = inverse @ values
    residuals = values - design @ fitted
    left_out = residuals / (1 - leverage)
    noise = (inverse**2 * left_out**2).sum(axis=1)
    unexplained = float(residuals @ residuals / (n - p))
    rng = np.random.default_rng(0)
    size = int(np.clip(BOOTSTRAP_RESIDUALS // n, FEWEST_SAMPLES, BOOTSTRAP_SAMPLES)), n
    drawn = terms.less(fitted, noise) + (rng.choice([-1.0, 1.0], size=size) * left_out) @ inverse.T
    scatter = (residuals[rng.integers(0, n, size=size)] ** 2).sum(axis=1) / (n - p)
    variances, draws = terms.variances(fitted**2 - noise), terms.variances(drawn**2 - noise)
    total, totals = float(sum(variances.values())) + unexplained, sum(draws.values()) + scatter

    def share(names: TermNames, keys: Sequence[TermNames]) -> VarianceShare:
        of_all = float(sum(variances[key] for key in keys)) / total
        low, high = np.quantile(sum(draws[key] for key in keys) / totals, (0.025, 0.975)).clip(0.0, 1.0)
        return VarianceShare(names, max(of_all, 0.0), float(low), float(high))

    shares, whole = _shares(list(variances), share)
    spread = ((values - values.mean()) * n / (n - 1)) ** 2
    return Importance(
        objective=goal,
        shares=shares,
        totals=whole,
        unexplained=unexplained / total if total > 0 else nan,
        r2=float(1 - (left_out**2).sum() / spread.sum()),
        trials=n,
        terms=p,
    )
