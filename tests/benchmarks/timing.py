"""Times of contestants in turns, so that other load on the machine affects all of them equally."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Laps = Mapping[str, NDArray[np.float64]]
"""Name → seconds (rounds, parts)."""


def interleaved(contestants: Mapping[str, Callable[[], Sequence[float]]], *, rounds: int) -> Laps:
    """Run contestants in turns; return their own seconds (rounds, parts) without the first round."""
    laps: dict[str, list[Sequence[float]]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, contestant in contestants.items():
            measured = contestant()
            if number:
                laps[name].append(measured)
    return {name: np.array(rows) for name, rows in laps.items()}


def milliseconds(seconds: NDArray[np.float64]) -> str:
    """Median and quartiles, as in 51.2 (49.0–55.1)."""
    low, middle, high = 1e3 * np.quantile(seconds, [0.25, 0.5, 0.75])
    return f"{number(middle)} ({number(low)}–{number(high)})"


def times(base: NDArray[np.float64], seconds: NDArray[np.float64]) -> float:
    """Speed relative to `base`: the median over rounds of the ratio within a round."""
    return float(np.median(base / seconds))


def number(value: float) -> str:
    """Format a number with about three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown table; all columns but the first are right-aligned."""
    ruler = [":--", *("--:" for _ in columns[1:])]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in (columns, ruler, *rows))
