"""Numbers as a reader sees them: the same in sentences, tables and figures."""

from math import floor, isinf, isnan, log10

NOTHING = "–"
"""Shown where there is no number."""


def fixed(value: float, decimals: int = 3) -> str:
    """`value` with so many decimals and a true minus sign; a dash where it is NaN.

    >>> fixed(0.3127), fixed(-0.0041), fixed(float("nan"))
    ('0.313', '−0.004', '–')
    """
    if isnan(value):
        return NOTHING
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{decimals}f}".replace("-", "−")


def signed(value: float, decimals: int = 3) -> str:
    """`fixed` with its sign always shown, for differences.

    >>> signed(0.0123), signed(-0.0123)
    ('+0.012', '−0.012')
    """
    return fixed(value, decimals) if isnan(value) or value < 0 else "+" + fixed(value, decimals)


def spread(mean: float, sd: float, decimals: int = 3) -> str:
    """Mean ± standard deviation, with as many more decimals as the deviation needs to show a digit.

    >>> spread(0.3127, 0.0042), spread(0.9072, 0.0003), spread(0.3127, float("nan"))
    ('0.313 ± 0.004', '0.9072 ± 0.0003', '0.313')
    """
    if isnan(sd):
        return fixed(mean, decimals)
    decimals = _enough(sd, decimals)
    return f"{fixed(mean, decimals)} ± {fixed(sd, decimals)}"


def estimate(mean: float, half: float, decimals: int = 3) -> str:
    """Mean and interval, `half` to both sides, with as many more decimals as `half` needs to show a digit.

    >>> estimate(0.3127, 0.0044), estimate(0.9072, 0.0003), estimate(0.3127, float("inf"))
    ('0.313 [0.308, 0.317]', '0.9072 [0.9069, 0.9075]', '0.313')
    """
    if isinf(half):
        return fixed(mean, decimals)
    decimals = _enough(half, decimals)
    return f"{fixed(mean, decimals)} [{fixed(mean - half, decimals)}, {fixed(mean + half, decimals)}]"


def interval(low: float, high: float, decimals: int = 3) -> str:
    """An interval with signed ends.

    >>> interval(-0.01, 0.02)
    '[−0.010, +0.020]'
    """
    return f"[{signed(low, decimals)}, {signed(high, decimals)}]"


def weight(value: float) -> str:
    """λ with two significant digits of its distance to the nearer of 0 and 1; a dash where it is NaN.

    >>> weight(0.5), weight(0.99), weight(0.99312), weight(0.0042)
    ('0.50', '0.99', '0.9931', '0.0042')
    """
    if isnan(value):
        return NOTHING
    distance = min(value, 1.0 - value)
    decimals = 2 if distance <= 0 else max(2, 1 - floor(log10(distance)))
    shown = f"{value:.{decimals}f}"
    return shown[:4] + shown[4:].rstrip("0")


def p_value(value: float) -> str:
    """A p-value.

    >>> p_value(0.0312), p_value(0.0002)
    ('0.031', '< 0.001')
    """
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """A time span in the two units that matter.

    >>> duration(3.24), duration(200), duration(7260)
    ('3.2 s', '3 min 20 s', '2 h 1 min')
    """
    if isnan(seconds):
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "trial"), count(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def general(value: object) -> str:
    """A configuration's value as short as it is exact enough: four significant digits for a float.

    >>> general(0.00123456), general("full"), general(32), general(None), general(0.0)
    ('0.001235', 'full', '32', '–', '0')
    """
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return NOTHING if isnan(value) else f"{value:.4g}".replace("-", "−")
    return str(value)


def _enough(width: float, decimals: int) -> int:
    """Decimals that show a digit of a width."""
    return max(decimals, min(8, -floor(log10(width)))) if width > 0 else decimals
