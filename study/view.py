"""A study's progress as people read it: in a line, in lines, as the live view, and its front as a table."""

import re
from collections.abc import Iterator

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.objective import objectives
from study.forms import Range
from study.front import Front
from study.progress import Confirmation, Snapshot

HEADERS = {
    "learning_rate": "lr",
    "weight_decay": "decay",
    "ranking_loss": "loss",
    "batch_size": "batch",
    "dim": "dim",
    "hidden": "hidden",
}
"""Values that a front shows beside the weight and the sharing where they are searched, by a short name."""

PROGRESS = re.compile(r"\S+: (\d+)% in .*; \d+ member-epochs; front: ")
"""What only a `line` says in one line: how much of the budget is spent, and what came of it."""

SHOWN, BAR = 8, 68
"""What the live view has room for: points of the front, columns of the bar."""


def line(seen: Snapshot) -> str:
    """The study in one line."""
    return "; ".join(lines(seen))


def lines(seen: Snapshot) -> tuple[str, ...]:
    """The study in lines that fit a terminal: how far it is, what it has found, what of it is confirmed."""
    counts = ", ".join(f"{n} {state}" for state, n in seen.counts.items() if n)
    waiting = ", waiting for lanes" if seen.state == "running" and not seen.lanes and seen.share < 1 else ""
    left = "" if seen.left_s is None else f", about {duration(seen.left_s)} left"
    return (
        f"{seen.spec.name}: {seen.share:.0%} in {duration(seen.wall_s)}{left}; "
        f"trials: {counts or 'none yet'}{waiting}",
        f"{seen.member_epochs} member-epochs; front: {_extent(seen.front)}",
        *_confirmed(seen.confirmation),
    )


def retold(said: str) -> Group | None:
    """The live view, without the front, of a `line` that another process has said; None of other words."""
    if (told := PROGRESS.match(said)) is None:
        return None
    return Group(_bar(int(told[1]) / 100), *map(Text, said.split("; ")))


def _confirmed(seen: Confirmation | None) -> Iterator[str]:
    if seen is not None:
        yield (
            f"confirmed: {seen.ended} of {seen.planned} points with {seen.replicates} fresh seeds; "
            f"test set opened {seen.opened}"
        )


def _extent(front: Front) -> str:
    """How many points, and the hypervolume they span, or that they span none."""
    if not front.points:
        return "none yet"
    points = "1 point" if len(front.points) == 1 else f"{len(front.points)} points"
    if front.hypervolume == 0:
        return f"{points}, none beats both trivial models"
    return f"{points}, hypervolume {front.hypervolume:.5f}"


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(3725), duration(75), duration(8)
    ('1 h 02 min', '1 min 15 s', '8 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def front_table(seen: Snapshot, *, most: int | None = None) -> Table:
    """The front as a table, best in the first objective first: each point with its trial's values."""
    goals = objectives(seen.spec.objectives)
    searched = [name for name in HEADERS if isinstance(seen.spec.form(name), Range | tuple)]
    table = Table(
        title=Text(f"Front: non-dominated among {len(seen.trials)} configurations tried", overflow="ignore"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for header in (
        "trial",
        "epoch",
        "λ",
        "sharing",
        *(HEADERS[n] for n in searched),
        *(g.name for g in goals),
    ):
        table.add_column(header, justify="left" if header in ("sharing", "loss") else "right", no_wrap=True)
    for point in seen.front.points[:most]:
        config = seen.configs.get(point.trial)
        if config is not None:
            table.add_row(
                str(point.trial),
                str(point.epoch),
                "–" if config.weight is None else f"{config.weight:.4f}",
                config.sharing,
                *(_short(getattr(config, name)) for name in searched),
                *(f"{point.metrics[g.name]:.4f}" for g in goals),
            )
    more = 0 if most is None else len(seen.front.points) - most
    table.caption = f"and {more} more; `study front {seen.spec.name}` shows all" if more > 0 else None
    return table


def _short(value: float | str) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def view(seen: Snapshot) -> Group:
    """The live view: how much of the budget is spent, the study in lines, the best of its front."""
    table = [front_table(seen, most=SHOWN)] if seen.front.points else []
    return Group(_bar(seen.share), *map(Text, lines(seen)), *table)


def _bar(share: float) -> Padding:
    return Padding(ProgressBar(total=1.0, completed=share, width=BAR), expand=False)
