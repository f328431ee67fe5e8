"""A study's progress as people read it: in a line, in lines, and as the live view."""

import re
from collections.abc import Iterator

from rich.console import Group
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from study.front import Front
from study.front_table import FrontTable
from study.progress import Confirmation, Snapshot

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


def view(seen: Snapshot) -> Group:
    """The live view: how much of the budget is spent, the study in lines, points spread along its front."""
    table = [FrontTable(seen, most=SHOWN)] if seen.front.points else []
    return Group(_bar(seen.share), *map(Text, lines(seen)), *table)


def _bar(share: float) -> Padding:
    return Padding(ProgressBar(total=1.0, completed=share, width=BAR), expand=False)
