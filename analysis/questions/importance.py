"""Importance: the share of an objective's variance over the searched range that each value explains.

A polynomial of the searched values is fitted to the configurations by least squares, in columns that are
orthonormal over the range. So its variance is a sum of shares, of each value alone and of each pair
(Sobol' indices, here those of Sudret 2008, doi 10.1016/j.ress.2007.04.002), and a value's mean effect over
the range of the others (its partial dependence, Friedman 2001, doi 10.1214/aos/1013203451) is a sum of its
own columns. The unexplained variance, which includes the noise of the seed, is a share of its own.
Leave-one-out chooses the size of the polynomial, for each objective and in each sample of the bootstrap.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.objective import Floats, Objective
from analysis.questions.importance_basis import Factor, varied
from analysis.questions.importance_fit import (
    Fit,
    Polynomial,
    Sample,
    Shape,
    TermNames,
    best_of,
    polynomials,
    resampled,
)
from analysis.stats import BOOTSTRAP_FROM, BOOTSTRAP_SAMPLES
from analysis.tables import Tables

BOOTSTRAP_RESIDUALS, FEWEST_SAMPLES = 20_000_000, 200
"""Approximate number of residuals that a bootstrap draws in all, and its fewest samples: for 100,000
configurations, whose intervals are narrow, 200 samples are enough."""

READABLE = 0.5
"""Share of the variance of left-out configurations that a fit must predict to be interpreted."""

INTERVAL = (0.025, 0.975)
"""Quantiles of the bootstrap that bound an interval."""


@dataclass(frozen=True, slots=True)
class VarianceShare:
    """The share of the variance that a value, or a pair beyond its two values, explains; 95 % interval."""

    names: TermNames
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Effect:
    """The mean of an objective at the levels (l,) of a value, minus its mean over the range, all else evenly
    over its range; λ only where something is shared. `low` and `high` (l,) bound 95 % intervals, each level
    for itself. `scale` is that of the range in the specification, or None for a choice.
    """

    name: str
    levels: tuple[object, ...]
    scale: str | None
    effect: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TriedFit:
    """A polynomial that was fitted: its shape and terms, and `r2`, the share of the variance that it predicts
    for configurations left out one by one.
    """

    shape: Shape
    terms: int
    r2: float


@dataclass(frozen=True, slots=True)
class Importance:
    """The shares of an objective's variance, the largest first, the effects, and the quality of the fit.

    `chosen` is the one of `tried` that predicts left-out configurations best; `unexplained` is the share of
    the fitted configurations that it does not explain. `totals` has each value with all its pairs.
    """

    objective: Objective
    shares: tuple[VarianceShare, ...]
    totals: tuple[VarianceShare, ...]
    effects: tuple[Effect, ...]
    unexplained: float
    trials: int
    chosen: TriedFit
    tried: tuple[TriedFit, ...]

    @property
    def readable(self) -> bool:
        """True if the fit is good enough to be interpreted."""
        return self.chosen.r2 >= READABLE


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
    fitted = polynomials(found)
    if not fitted:
        raise AnalysisError(f"{len(values)} configurations are too few, or too alike, for what was searched")
    return tuple(
        _importance(goal, values[goal.name].to_numpy(np.float64), fitted, found.factors)
        for goal in tables.goals
    )


def _importance(
    goal: Objective, values: Floats, fitted: Sequence[Polynomial], factors: Sequence[Factor]
) -> Importance:
    """Shares and effects for values (n,), from the polynomial that leave-one-out chooses.

    A squared coefficient is too large by its variance, which is subtracted.
    """
    n = len(values)
    if np.ptp(values) == 0:
        raise AnalysisError(f"{goal.label} is the same for all configurations")
    fits = [Fit.of(polynomial, values) for polynomial in fitted]
    fit = fits[best_of(fits)]
    size = int(np.clip(BOOTSTRAP_RESIDUALS // n, FEWEST_SAMPLES, BOOTSTRAP_SAMPLES))
    samples = resampled(fits, size)
    variances = fit.polynomial.variances(fit.coefficients**2 - fit.noise)
    total = float(sum(variances.values())) + fit.unexplained
    draws = _draws(samples, list(variances))

    def share(names: TermNames, keys: Sequence[TermNames]) -> VarianceShare:
        of_all = float(sum(variances[key] for key in keys)) / total
        low, high = np.quantile(sum(draws[key] for key in keys), INTERVAL).clip(0.0, 1.0)
        return VarianceShare(names, max(of_all, 0.0), float(low), float(high))

    shares, whole = _shares(list(variances), share)
    spread = float((((values - values.mean()) * n / (n - 1)) ** 2).sum())
    tried = {
        id(f): TriedFit(f.polynomial.shape, f.polynomial.terms, float(1 - f.left_out @ f.left_out / spread))
        for f in fits
    }
    return Importance(
        objective=goal,
        shares=shares,
        totals=whole,
        effects=tuple(_effect(factor, fit, samples) for factor in factors),
        unexplained=fit.unexplained / total if total > 0 else nan,
        trials=n,
        chosen=tried[id(fit)],
        tried=tuple(tried.values()),
    )


def _draws(samples: Sequence[Sample], keys: Sequence[TermNames]) -> Mapping[TermNames, Floats]:
    """The share (b,) of each of these groups in every sample; 0 where the chosen polynomial lacks it."""
    parts: dict[TermNames, list[Floats]] = {key: [] for key in keys}
    for sample in samples:
        variances = sample.fit.polynomial.variances(sample.coefficients**2 - sample.fit.noise)
        totals, nothing = sum(variances.values()) + sample.scatter, np.zeros(len(sample.scatter))
        for key in keys:
            parts[key].append(variances.get(key, nothing) / totals)
    return {key: np.concatenate(part) for key, part in parts.items()}


def _effect(factor: Factor, fit: Fit, samples: Sequence[Sample]) -> Effect:
    """The effect of a factor, with intervals from the errors of the samples around their own truth."""

    def along(polynomial: Polynomial, coefficients: Floats) -> Floats:
        """The effect (…, l) at the levels."""
        columns = np.hstack(factor.levels.columns[: polynomial.shape.alone])
        (own,) = (own for key, _, own in polynomial.slices() if key == (factor.name,))
        return np.asarray(coefficients[..., own] @ columns.T, dtype=np.float64)

    effect = along(fit.polynomial, fit.coefficients)
    truth = along(fit.polynomial, fit.polynomial.less(fit.coefficients, fit.noise))
    errors = np.vstack([along(s.fit.polynomial, s.coefficients) for s in samples]) - truth
    low, high = np.quantile(errors, INTERVAL, axis=0)
    shown = (tuple(side.tolist()) for side in (effect, effect - high, effect - low))
    return Effect(factor.name, factor.levels.values, factor.levels.scale, *shown)


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
