"""Format numbers for readers, in the same way in sentences, tables and figures."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import floor, isinf, isnan, log10
from typing import Self

from analysis.objective import Objective, written

NO_NUMBER = "–"
"""Shown for a missing number."""

UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that neither XML nor HTML may contain."""

NUMERAL = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
"""A number in a text that is not part of a word."""

Raw = float | Mapping[str, float]
"""The full value of a formatted number, or its parts by name, such as mean and sd."""


class Number(str):
    """A formatted number, with its full value in `raw`.

    >>> Number("0.313", 0.31274), Number("0.313", 0.31274).raw
    ('0.313', 0.31274)
    """

    __slots__ = ("raw",)
    raw: Raw

    def __new__(cls, shown: str, raw: Raw) -> Self:
        """Make the text `shown` with its value."""
        made = super().__new__(cls, shown)
        made.raw = raw
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[str, Raw]]:
        """The class and arguments of a copy."""
        return type(self), (str(self), self.raw)


def fixed(value: float, decimals: int = 3) -> Number:
    """`value` with `decimals` decimals and a true minus sign; a dash for NaN.

    >>> fixed(0.3127), fixed(-0.0041), fixed(float("nan")), fixed(2.5e37)
    ('0.313', '−0.004', '–', '2.500e+37')
    """
    if isnan(value):
        return Number(NO_NUMBER, value)
    if isinf(value):
        return Number("∞" if value > 0 else "−∞", value)
    return Number(written(value, decimals).replace("-", "−"), value)


def signed(value: float, decimals: int = 3) -> Number:
    """`fixed` with its sign always shown, for differences.

    >>> signed(0.0123), signed(-0.0123)
    ('+0.012', '−0.012')
    """
    shown = fixed(value, decimals)
    return shown if isnan(value) or value < 0 else Number(f"+{shown}", value)


def spread(mean: float, sd: float, decimals: int = 3) -> Number:
    """Mean ± standard deviation, with at least the decimals that show a digit of the deviation.

    >>> spread(0.3127, 0.0042), spread(0.9072, 0.0003), spread(0.3127, float("nan"))
    ('0.313 ± 0.004', '0.9072 ± 0.0003', '0.313')
    """
    raw = {"mean": mean, "sd": sd}
    if isnan(sd):
        return Number(fixed(mean, decimals), raw)
    decimals = _enough(sd, decimals)
    return Number(f"{fixed(mean, decimals)} ± {fixed(sd, decimals)}", raw)


def estimate(mean: float, half: float, decimals: int = 3) -> Number:
    """Mean and interval, `half` to both sides, with at least the decimals that show a digit of `half`.

    >>> estimate(0.3127, 0.0044), estimate(0.9072, 0.0003), estimate(0.3127, float("inf"))
    ('0.313 [0.308, 0.317]', '0.9072 [0.9069, 0.9075]', '0.313')
    """
    raw = {"mean": mean, "low": mean - half, "high": mean + half}
    if isinf(half):
        return Number(fixed(mean, decimals), raw)
    decimals = _enough(half, decimals)
    ends = f"[{fixed(mean - half, decimals)}, {fixed(mean + half, decimals)}]"
    return Number(f"{fixed(mean, decimals)} {ends}", raw)


def ranged(middle: float, low: float, high: float, decimals: int = 3) -> Number:
    """A value and its interval, which need not be symmetric; an infinite end is "none".

    >>> ranged(0.3127, 0.3, 0.3141), ranged(0.3127, 0.3, float("inf"))
    ('0.313 [0.300, 0.314]', '0.313 [0.300, none]')
    """
    ends = ["none" if isinf(end) else fixed(end, decimals) for end in (low, high)]
    shown = f"{fixed(middle, decimals)} [{', '.join(ends)}]"
    return Number(shown, {"mean": middle, "low": low, "high": high})


def interval(low: float, high: float, decimals: int = 3) -> Number:
    """An interval with signed ends.

    >>> interval(-0.01, 0.02)
    '[−0.010, +0.020]'
    """
    return Number(f"[{signed(low, decimals)}, {signed(high, decimals)}]", {"low": low, "high": high})


def weight(value: float) -> Number:
    """λ with two significant digits of its distance to the nearer of 0 and 1; a dash for NaN.

    >>> weight(0.5), weight(0.99), weight(0.99312), weight(0.0042)
    ('0.50', '0.99', '0.9931', '0.0042')
    """
    if isnan(value):
        return Number(NO_NUMBER, value)
    distance = min(value, 1.0 - value)
    decimals = 2 if distance <= 0 else max(2, 1 - floor(log10(distance)))
    shown = f"{value:.{decimals}f}"
    return Number(shown[:4] + shown[4:].rstrip("0"), value)


def p_value(value: float) -> Number:
    """A p-value.

    >>> p_value(0.0312), p_value(0.0002)
    ('0.031', '< 0.001')
    """
    return Number("< 0.001" if value < 0.001 else f"{value:.3f}", value)


def volume(value: float) -> Number:
    """A hypervolume, in the product of the objectives' units, with five decimals everywhere.

    >>> volume(0.00427), volume(5.676e-05)
    ('0.00427', '0.00006')
    """
    return fixed(value, 5)


def percent(share: float) -> Number:
    """A share in percent, with one decimal below ten.

    >>> percent(0.357), percent(0.0512), percent(1.0)
    ('36 %', '5.1 %', '100 %')
    """
    shown = fixed(100 * share, 1 if abs(share) < 0.0995 else 0)
    return Number(shown if isnan(share) else f"{shown} %", share)


def whole(value: float) -> Number:
    """A whole number that is a name, such as a trial or an epoch; a dash for NaN.

    >>> whole(37.0), whole(100000), whole(float("nan"))
    ('37', '100000', '–')
    """
    return Number(NO_NUMBER, value) if isnan(value) else Number(f"{value:.0f}", int(value))


def duration(seconds: float) -> Number:
    """A time span in its two largest units.

    >>> duration(3.24), duration(200), duration(7260)
    ('3.2 s', '3 min 20 s', '2 h 1 min')
    """
    if isnan(seconds):
        return Number(NO_NUMBER, seconds)
    if seconds < 60:
        return Number(f"{seconds:.1f} s", seconds)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return Number(f"{minutes} min {rest} s", seconds)
    return Number(f"{minutes // 60} h {minutes % 60} min", seconds)


def count(number: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "trial"), count(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def values(goals: Sequence[Objective], values: Iterable[float], between: str = ", ") -> str:
    """The goals' values in a sentence, each after its label.

    >>> from analysis.objective import OBJECTIVES
    >>> values([OBJECTIVES["mrr"], OBJECTIVES["mse"]], [0.31, 0.9], " at ")
    'MRR (first hit) 0.310 at MSE 0.900'
    """
    return between.join(f"{g.label} {fixed(v, g.decimals)}" for g, v in zip(goals, values, strict=True))


def general(value: object) -> str:
    """A configuration's value in short form: four significant digits for a float.

    >>> general(0.00123456), general("full"), general(32), general(None), general(0.0)
    ('0.001235', 'full', '32', '–', '0')
    """
    if value is None:
        return NO_NUMBER
    if isinstance(value, float):
        return Number(NO_NUMBER if isnan(value) else f"{value:.4g}".replace("-", "−"), value)
    return Number(str(value), value) if isinstance(value, int) else str(value)


def pattern(text: str) -> tuple[str, ...]:
    """The words of a reason between its numbers, which are searched after its first colon, if it has one.

    >>> pattern("rung 27 epochs: rank 4 of 5"), pattern("trained its 81 epochs")
    (('rung 27 epochs: rank ', ' of ', ''), ('trained its ', ' epochs'))
    """
    start = text.find(":") + 1
    first, *rest = NUMERAL.split(text[start:])
    return text[:start] + first, *rest


def merged(reasons: Collection[str]) -> str:
    """Merge reasons of one `pattern` into one, with the range of each number that differs.

    >>> merged(["rung 27 epochs: rank 4 of 5, places 1", "rung 27 epochs: rank 3 of 4, places 1"])
    'rung 27 epochs: rank 3–4 of 4–5, places 1'
    """
    first = min(reasons)
    start = first.find(":") + 1
    found = (NUMERAL.findall(reason, start) for reason in reasons)
    ends = [(min(column, key=float), max(column, key=float)) for column in zip(*found, strict=True)]
    shown = iter([low if float(low) == float(high) else f"{low}–{high}" for low, high in ends])
    return first[:start] + NUMERAL.sub(lambda _: next(shown), first[start:])


def pair(names: Sequence[str]) -> str:
    """The name of a searched value, or of a pair, for readers.

    >>> pair(["learning_rate"]), pair(["weight", "sharing"])
    ('learning rate', 'λ × sharing')
    """
    return " × ".join("λ" if name == "weight" else name.replace("_", " ") for name in names)


def printable(text: str) -> str:
    r"""Text without the characters that a page may not contain.

    >>> printable("a\x1bb")
    'a\ufffdb'
    """
    return UNPRINTABLE.sub("\ufffd", text)


def spans(text: str) -> list[tuple[str, bool]]:
    """The parts of a text, each with True if it is code: text between two backticks.

    >>> spans("Not yet: `study confirm x`.")
    [('Not yet: ', False), ('study confirm x', True), ('.', False)]
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a single backtick is text
        parts[-2:] = ["`".join(parts[-2:])]
    return [(part, i % 2 == 1) for i, part in enumerate(parts) if part]


def _enough(width: float, decimals: int) -> int:
    """The number of decimals, `decimals` or more, that shows a digit of `width`."""
    return max(decimals, min(8, -floor(log10(width)))) if width > 0 else decimals
