"""Polynomials of the searched values, chosen by leave-one-out, and the bootstrap that repeats the choice.

Columns are orthonormal over the searched range, so a polynomial's variance over it is the sum of its squared
coefficients. Several sizes are fitted by least squares; the one that predicts left-out configurations best is
taken (Allen 1974, doi 10.1080/00401706.1974.10489157). Every sample of the bootstrap chooses anew, so the
intervals contain the uncertainty of the choice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from analysis.objective import Floats
from analysis.questions.importance_basis import Varied

HELD = 0.95
"""Largest leverage of a configuration on its own fitted value; near 1 the residual has no information."""

BOOTSTRAP_CHUNK = 1_000_000
"""Approximate number of values of a bootstrap that are in memory at a time."""

TermNames = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a polynomial: degrees of single values and of pairs; all pairs, or only λ × sharing."""

    alone: int
    pairs: int
    all_pairs: bool

    def __str__(self) -> str:
        """The size in words."""
        pairs = "all pairs" if self.all_pairs else "λ × sharing as the only pair"
        return f"degree {self.alone} with {pairs}"


SHAPES = (
    Shape(1, 2, all_pairs=False),
    Shape(2, 2, all_pairs=False),
    Shape(3, 2, all_pairs=False),
    Shape(1, 2, all_pairs=True),
    Shape(2, 2, all_pairs=True),
    Shape(3, 3, all_pairs=True),
)
"""Every one has the pair of λ and sharing. A choice has degree 1."""


@dataclass(frozen=True)
class Polynomial:
    """A polynomial over n configurations: columns (n, k) and part of the range for each value or pair."""

    shape: Shape
    groups: Mapping[TermNames, tuple[Floats, float]]

    @cached_property
    def design(self) -> Floats:
        """All columns (n, p), the constant first."""
        columns = [columns for columns, _ in self.groups.values()]
        return np.column_stack([np.ones((len(columns[0]), 1)), *columns])

    @cached_property
    def inverse(self) -> Floats:
        """The matrix (p, n) from values to least-squares coefficients."""
        return np.asarray(np.linalg.pinv(self.design), dtype=np.float64)

    @cached_property
    def leverage(self) -> Floats:
        """Leverage (n,) of each configuration on its own fitted value."""
        leverage: Floats = (np.linalg.qr(self.design)[0] ** 2).sum(axis=1)
        return leverage

    @property
    def terms(self) -> int:
        """The number of its coefficients."""
        return int(self.design.shape[1])

    @property
    def determined(self) -> bool:
        """True if the configurations determine every coefficient, none of them by one configuration alone."""
        return bool(np.linalg.matrix_rank(self.design) == self.terms and self.leverage.max() <= HELD)

    def left_out(self, values: Floats) -> Floats:
        """Errors (…, n) of the predictions of values (…, n) from all other configurations."""
        fitted = (values @ self.inverse.T) @ self.design.T
        errors: Floats = (values - fitted) / (1 - self.leverage)
        return errors

    def slices(self) -> Iterator[tuple[TermNames, float, slice]]:
        """Each group, its part of the range, and the slice of its coefficients."""
        start = 1
        for key, (columns, part) in self.groups.items():
            yield key, part, slice(start, start + columns.shape[1])
            start += columns.shape[1]

    def variances(self, squares: Floats) -> dict[TermNames, Floats]:
        """The variance over the range of each group, from squared coefficients (…, p)."""
        return {key: part * squares[..., own].sum(axis=-1) for key, part, own in self.slices()}

    def less(self, coefficients: Floats, noise: Floats) -> Floats:
        """Coefficients (p,), scaled down by group so that their sum of squares loses that of the noise."""
        smaller = coefficients.copy()
        for _, _, own in self.slices():
            squares = float((coefficients[own] ** 2).sum())
            if squares > 0:
                smaller[own] *= max(0.0, 1 - float(noise[own].sum()) / squares) ** 0.5
        return smaller


@dataclass(frozen=True)
class Fit:
    """A polynomial fitted to values (n,): coefficients (p,), residuals, left-out errors (n,).

    `noise` (p,) is the variance of each coefficient (White 1980, in the form HC3).
    """

    polynomial: Polynomial
    coefficients: Floats
    residuals: Floats
    left_out: Floats
    noise: Floats

    @classmethod
    def of(cls, polynomial: Polynomial, values: Floats) -> "Fit":
        """The least-squares fit."""
        coefficients = polynomial.inverse @ values
        left_out = polynomial.left_out(values)
        noise = (polynomial.inverse**2 * left_out**2).sum(axis=1)
        residuals = left_out * (1 - polynomial.leverage)
        return cls(polynomial, coefficients, residuals, left_out, noise)

    @property
    def unexplained(self) -> float:
        """The variance of the residuals."""
        return float(self.residuals @ self.residuals / (len(self.residuals) - self.polynomial.terms))


@dataclass(frozen=True)
class Sample:
    """The samples of a bootstrap that chose one polynomial: coefficients (b, p), residual variances (b,)."""

    fit: Fit
    coefficients: Floats
    scatter: Floats


def polynomials(found: Varied) -> list[Polynomial]:
    """The polynomials that the configurations determine, the smallest first; without repeats."""
    made: dict[tuple[int, tuple[TermNames, ...]], Polynomial] = {}
    for shape in SHAPES:
        polynomial = Polynomial(shape, _groups(found, shape))
        if polynomial.determined:
            made.setdefault((polynomial.terms, tuple(polynomial.groups)), polynomial)
    return list(made.values())


def best_of(fits: Sequence[Fit]) -> int:
    """Position of the fit that predicts left-out configurations best, the first of equals."""
    return int(np.argmin([fit.left_out @ fit.left_out for fit in fits]))


def resampled(fits: Sequence[Fit], samples: int) -> list[Sample]:
    """Wild-bootstrap samples of the fits' values, by the polynomial that leave-one-out chooses in each.

    The values are those of the best fit, with its coefficients shrunk (around the fitted ones, whose noise
    would count twice, intervals cover too much), plus its left-out errors with random signs. Sources: Wu 1986
    (doi 10.1214/aos/1176350142), Davidson & Flachaire 2008 (doi 10.1016/j.jeconom.2008.08.003).
    """
    base, rng = fits[best_of(fits)], np.random.default_rng(0)
    signal = base.polynomial.design @ base.polynomial.less(base.coefficients, base.noise)
    chosen: list[list[Floats]] = [[] for _ in fits]
    chunk = max(1, BOOTSTRAP_CHUNK // len(signal))
    for start in range(0, samples, chunk):
        size = min(chunk, samples - start), len(signal)
        values = signal + rng.choice([-1.0, 1.0], size=size) * base.left_out
        errors = [(fit.polynomial.left_out(values) ** 2).sum(axis=1) for fit in fits]
        choice = np.argmin(errors, axis=0)
        for place, fit in enumerate(fits):
            chosen[place].append(values[choice == place] @ fit.polynomial.inverse.T)
    return [
        Sample(fit, coefficients, _scatter(fit, len(coefficients), rng))
        for fit, parts in zip(fits, chosen, strict=True)
        if len(coefficients := np.vstack(parts))
    ]


def _scatter(fit: Fit, samples: int, rng: np.random.Generator) -> Floats:
    """Residual variances (b,) of resampled residuals."""
    n = len(fit.residuals)
    freedom, squares = n - fit.polynomial.terms, fit.residuals**2
    chunk = max(1, BOOTSTRAP_CHUNK // n)
    drawn = [
        squares[rng.integers(0, n, size=(min(chunk, samples - start), n))].sum(axis=1)
        for start in range(0, samples, chunk)
    ]
    return np.concatenate(drawn) / freedom


def _groups(found: Varied, shape: Shape) -> dict[TermNames, tuple[Floats, float]]:
    """The columns of every value alone, and of the pairs, up to their degrees."""
    groups: dict[TermNames, tuple[Floats, float]] = {
        (f.name,): (np.hstack(f.columns[: shape.alone]), f.part) for f in found.factors
    }
    for one, two in combinations(found.factors, 2):
        names = {one.name, two.name}
        if names == {"weight", "sharing"}:
            weight = one if one.name == "weight" else two
            columns, part = _products(weight.columns, (found.ways,), shape.pairs), weight.part
        elif shape.all_pairs:
            columns, part = _products(one.columns, two.columns, shape.pairs), min(one.part, two.part)
        else:
            continue
        if columns.size:
            groups[one.name, two.name] = columns, part
    return groups


def _products(one: Sequence[Floats], two: Sequence[Floats], degree: int) -> Floats:
    """Products (n, k) of the columns of two factors, by degree, of degrees that come to `degree` at most."""
    made = [
        (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)
        for i, a in enumerate(one, start=1)
        for j, b in enumerate(two, start=1)
        if i + j <= degree
    ]
    return np.hstack(made)
