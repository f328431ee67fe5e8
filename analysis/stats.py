"""Paired comparisons: effect sizes, intervals, p-values, and the bootstrap."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from analysis.errors import AnalysisError
from analysis.objective import Floats

SIGNIFICANCE = 0.05
"""Significance level: the allowed share of wrong statements."""

EXPLORATORY_BELOW = 6
"""Pairs: with fewer, no two-sided sign-flip test can reach p < 0.05 (with 5 its smallest p is 0.0625)."""

FLIPS = 16
"""Most pairs for which all 2^n sign flips are counted; for more pairs, as many flips are drawn."""

BOOTSTRAP_FROM = 30
"""Rows: with fewer, the bootstrap interval covers too little (for a mean of 5 values 83 %, not 95 %)."""

BOOTSTRAP_SAMPLES, FEWEST_BOOTSTRAP_SAMPLES, MOST_ROWS = 2000, 200, 10_000_000
"""Samples of a bootstrap, and the fewest if all of them would have more than `MOST_ROWS` rows together."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence and its evidence: a mean difference, its 95 % interval, p, pairs, and the scope."""

    sentence: str
    effect: float
    low: float
    high: float
    p: float
    n: int
    scope: str

    @property
    def exploratory(self) -> bool:
        """True with too few pairs for a test to decide."""
        return self.n < EXPLORATORY_BELOW

    @property
    def direction(self) -> int:
        """1 or −1 if the whole interval lies above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def paired(first: ArrayLike, second: ArrayLike, *, sentence: str, scope: str) -> Finding:
    """Mean of first − second over pairs (n,), its t interval and exact sign-flip p.

    One pair has an infinite interval. AnalysisError if the pairs do not match, are empty, or not finite.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != two.shape or not len(one):
        raise AnalysisError(f"pairs need two lists of equal length, not empty; got {one.shape}, {two.shape}")
    differences = one - two
    if not np.isfinite(differences).all():
        raise AnalysisError("pairs must be finite numbers")
    effect, half = float(differences.mean()), t_half_width(differences)
    p = sign_flip_p(differences)
    return Finding(sentence, effect, effect - half, effect + half, p, len(differences), scope)


def separate(first: ArrayLike, second: ArrayLike, *, sentence: str, scope: str) -> Finding:
    """Mean of first (n,) minus mean of second (m,), values of different runs, with Student's interval and p.

    Both have one variance, estimated from both samples. So a single value in one of them has the noise that
    the other shows: for m = 1 this is the prediction interval of `t_half_width`, around the other mean. With
    n + m < 3 the interval is infinite and p is 1. `n` of the finding counts the first.
    AnalysisError if a sample is empty, not a list, or not finite.
    """
    samples = [np.asarray(values, dtype=np.float64) for values in (first, second)]
    if any(sample.ndim != 1 or not len(sample) for sample in samples):
        raise AnalysisError(f"means need two lists, not empty; got {[sample.shape for sample in samples]}")
    if not all(np.isfinite(sample).all() for sample in samples):
        raise AnalysisError("values of two means must be finite numbers")
    one, two = samples
    effect, freedom = float(one.mean() - two.mean()), len(one) + len(two) - 2
    if not freedom:
        return Finding(sentence, effect, -inf, inf, 1.0, len(one), scope)
    squares = sum(float(((sample - sample.mean()) ** 2).sum()) for sample in samples)
    error = sqrt(squares / freedom * (1 / len(one) + 1 / len(two)))
    half = float(stdtrit(freedom, 0.975)) * error
    p = 2 * float(stdtr(freedom, -abs(effect) / error)) if error else float(effect == 0)
    return Finding(sentence, effect, effect - half, effect + half, p, len(one), scope)


def t_half_width(values: Floats, *, confidence: float = 0.95, predict: bool = False) -> float:
    """Half the width of Student's interval for the mean of values (n,); infinite for n = 1.

    With `predict`, half the width of the interval for one further value (Hahn & Meeker 1991, section 4.2).
    """
    n = len(values)
    if n < 2:
        return inf
    scale = sqrt(1 + 1 / n) if predict else sqrt(1 / n)
    return float(stdtrit(n - 1, (1 + confidence) / 2) * values.std(ddof=1) * scale)


def above(differences: Floats) -> Floats:
    """One-sided p (…, m) of Student's tests that means of differences (…, n, m) are above 0.

    NaN is a missing difference; p is 1 for fewer than two, and if all are 0.

    >>> above(np.array([[1.0], [2.0], [3.0]])).round(4)
    array([0.0371])
    """
    there = np.isfinite(differences)
    count = there.sum(axis=-2)
    held, several = np.where(there, differences, 0.0), np.maximum(count, 2)
    means = held.sum(axis=-2) / several
    squares = np.where(there, (held - means[..., None, :]) ** 2, 0.0).sum(axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = stdtr(several - 1, -means / (np.sqrt(squares / (several - 1)) / np.sqrt(several)))
    return np.where((count < 2) | np.isnan(p), 1.0, p)


def sign_flip_p(differences: Floats) -> float:
    """Two-sided p of paired differences (n,) under free signs (Fisher's randomisation test).

    Exact over all 2^n flips up to n = 16; for larger n, over 2^16 fixed random flips, with the observed one.
    """
    n = len(differences)
    sums = np.abs(_signs(n) @ differences)
    slack = 1e-12 * np.abs(differences).sum()
    return float((sums >= abs(differences.sum()) - slack).mean())


@lru_cache(maxsize=4)
def _signs(n: int) -> Floats:
    """Sign flips (k, n) of n pairs, with the one that changes no sign."""
    if n <= FLIPS:
        flips = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        drawn = np.random.default_rng(0).integers(0, 2, size=(2**FLIPS - 1, n))
        flips = np.concatenate([np.ones((1, n), dtype=np.int64), drawn])
    return np.asarray(2 * flips - 1, dtype=np.float64)


def bootstrap(rows: ArrayLike, statistic: Callable[[Floats], float]) -> tuple[float, float]:
    """Ends of the 95 % percentile interval of a statistic of exchangeable rows (n, …): users, or trials.

    Rows are drawn with replacement, with the same draws every time. For seeds, which are few, see
    `t_half_width`. AnalysisError below 30 rows, on NaN or infinity, or if the statistic is not finite.
    Source: Efron 1979 (doi 10.1214/aos/1176344552).
    """
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim == 0 or len(values) < BOOTSTRAP_FROM or not np.isfinite(values).all():
        raise AnalysisError(
            f"a bootstrap needs {BOOTSTRAP_FROM} rows or more, all finite; got shape {values.shape}"
        )
    n, rng = len(values), np.random.default_rng(0)
    draws = min(BOOTSTRAP_SAMPLES, max(FEWEST_BOOTSTRAP_SAMPLES, MOST_ROWS // n))
    statistics = np.array([statistic(values[rng.integers(0, n, size=n)]) for _ in range(draws)])
    if not np.isfinite(statistics).all():
        raise AnalysisError("a bootstrap needs a statistic that is finite for all drawn rows")
    low, high = np.quantile(statistics, (0.025, 0.975))
    return float(low), float(high)


def corrected(draws: Floats, estimates: Floats) -> Floats:
    """Low end, median and high end (3, k) of 95 % intervals, from draws (b, k) around estimates (k,).

    The bias-corrected percentiles: if a statistic is the best of several noisy values, draws around its
    estimate lie beyond it, as the estimate lies beyond the truth. Infinite draws are allowed.
    Source: Efron 1981 (doi 10.2307/3314608).

    >>> corrected(np.arange(1000.0)[:, None], np.array([499.5]))[:, 0]
    array([ 24., 500., 975.])
    """
    count = len(draws)
    below = (draws < estimates).mean(axis=0) + (draws == estimates).mean(axis=0) / 2
    shift = ndtri(below.clip(0.5 / count, 1 - 0.5 / count))
    levels = ndtr(2 * shift + ndtri(np.array([0.025, 0.5, 0.975]))[:, None])
    rows = (levels * count).astype(np.intp).clip(0, count - 1)
    ends: Floats = np.take_along_axis(np.sort(draws, axis=0), rows, axis=0)
    return ends


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values (k,) of a family of tests: rejecting those up to α errs in at most α of families.

    AnalysisError if one is not within 0 and 1. Source: Holm 1979 (Scandinavian Journal of Statistics 6).

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise AnalysisError(f"p-values must lie within 0 and 1; not {p.tolist()}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    return adjusted
