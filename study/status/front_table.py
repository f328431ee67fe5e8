"""A front as a table that fits the terminal: its points, those that beat both trivial models, test values."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from analysis.front import spread
from analysis.objective import objectives, written
from study.printable import printable
from study.record.front import losses
from study.record.rows import Point
from study.record.tested import Tested
from study.spec import StudySpec
from study.spec.domains import Range
from study.status.snapshot import FrontSnapshot

COLUMN_NAMES = {
    "learning_rate": "lr",
    "weight_decay": "decay",
    "ranking_loss": "loss",
    "batch_size": "batch",
    "dim": "dim",
    "hidden": "hidden",
    "average": "average",
    "negatives": "negatives",
}
"""Short names of the values that a front shows beside the weight and the sharing, if they are searched."""

BEATS_TRIVIAL_MARK = "*"
"""Marks a point that beats both trivial models."""

UNBOUNDED = 10_000
"""A width in characters that exceeds every table."""

TEXT_COLUMNS_SHOWN = ("sharing", "loss", "negatives")
"""Columns of words, which are aligned to the left."""


def searched(spec: StudySpec) -> list[str]:
    """Names of the searched values, without the weight and the sharing."""
    return [name for name in COLUMN_NAMES if isinstance(spec.form(name), Range | tuple)]


class FrontTable:
    """The front as a table, best in the first objective first: all of it, or `most` points spread along it.

    In a narrow terminal the columns first move together; then those of the searched values are left out,
    then the spreads of the test values.
    """

    def __init__(self, seen: FrontSnapshot, *, most: int | None = None) -> None:
        self._seen = seen
        self._rows = _chosen(seen, most)
        self._searched = searched(seen.spec)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The widest form that fits, else the narrowest."""
        tables = {
            self.table(searched, close=close): searched
            for searched, close in product((self._searched, ()), (False, True))
        }
        free = options.update(max_width=UNBOUNDED)
        fitting = (t for t in tables if Measurement.get(console, free, t).maximum <= options.max_width)
        table = next(fitting, self.table((), close=True, spreads=False))
        yield table
        yield Text("\n".join(self._notes(left_out=() if tables.get(table) else self._searched)))

    def table(self, searched: Sequence[str], *, close: bool = False, spreads: bool = True) -> Table:
        """The table with the columns `searched`; `close` removes the space between columns."""
        seen, goals = self._seen, [goal.name for goal in objectives(self._seen.spec.objectives)]
        headers = ["", "trial", "epoch", "λ", "sharing", *(COLUMN_NAMES[name] for name in searched), *goals]
        if seen.tested:
            headers += [f"test {name}" for name in goals]
        table = Table(
            title=Text(
                f"Front: non-dominated among {len(seen.trials)} configurations tried", overflow="ignore"
            ),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=0 if close else (0, 1),
            collapse_padding=True,
        )
        for header in headers:
            table.add_column(
                header, justify="left" if header in TEXT_COLUMNS_SHOWN else "right", no_wrap=True
            )
        for row in self._rows:
            point, config = seen.front.points[row], seen.configs[seen.front.points[row].trial]
            table.add_row(
                BEATS_TRIVIAL_MARK if seen.front.beats_trivial[row] else "",
                str(point.trial),
                str(point.epoch),
                "–" if config.weight is None else f"{config.weight:.4f}",
                printable(config.sharing),
                *(_short(getattr(config, name)) for name in searched),
                *(written(point.metrics[name]) for name in goals),
                *(
                    _tested(seen.tested.get((point.trial, point.epoch)), goals, spreads)
                    if seen.tested
                    else ()
                ),
            )
        return table

    def _notes(self, *, left_out: Sequence[str]) -> Iterator[str]:
        """Notes below the table, a line each: its rows, the trivial models, and the values left out."""
        seen, points = self._seen, self._seen.front.points
        if len(self._rows) < len(points):
            some = f"{len(self._rows)} of {len(points)} points, spread along the front"
            yield f"{some}; `study front {seen.spec.name} --all` shows all"
        trivial = ", ".join(f"{name} {written(seen.reference[name])}" for name in seen.spec.objectives)
        beating = sum(seen.front.beats_trivial)
        how_many = f"{BEATS_TRIVIAL_MARK} beats" if beating else "none beats"
        yield f"{how_many} both trivial models: {trivial}"
        if seen.tested:
            confirmed = sum((p.trial, p.epoch) in seen.tested for p in points)
            yield f"test: mean ± sd over fresh seeds; {confirmed} of the {len(points)} points are confirmed"
        if left_out:
            yield f"too wide to show: {', '.join(COLUMN_NAMES[name] for name in left_out)}; --json has all"


def _chosen(seen: FrontSnapshot, most: int | None) -> list[int]:
    """The rows of the front to show, in its order. All confirmed points are shown if they take at most half
    of the rows.
    """
    points: Sequence[Point] = seen.front.points
    known = [row for row, point in enumerate(points) if point.trial in seen.configs]
    if most is None or len(known) <= most:
        return known
    some = [points[row] for row in known]
    confirmed = np.array([(p.trial, p.epoch) in seen.tested for p in some])
    first = confirmed if 2 * confirmed.sum() <= most else None
    return [known[row] for row in sorted(spread(losses(some, seen.spec), most, first=first).tolist())]


def _tested(tested: Tested | None, goals: Sequence[str], spreads: bool) -> Iterator[str]:
    """The values on the test set; dashes if the point is not confirmed."""
    for name in goals:
        if tested is None:
            yield "–"
        elif not spreads or (sd := tested.spreads[name]) is None:
            yield written(tested.metrics[name])
        else:
            yield f"{written(tested.metrics[name])} ± {written(sd)}"


def _short(value: float | str) -> str:
    return f"{value:.2g}" if isinstance(value, float) else printable(str(value))
