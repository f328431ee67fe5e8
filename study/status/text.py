"""Progress of a study as text: in a line, in lines, and as the live view."""

import re
from collections.abc import Iterator

from rich.console import Group
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from analysis.objective import written
from study.record.front import Front
from study.status.confirmation import ConfirmationProgress, FreshProgress
from study.status.front_table import FrontTable
from study.status.snapshot import FrontSnapshot, Snapshot

PROGRESS = re.compile(r"\S+: ([^;]*, )?(?P<percent>\d+)% in .*; \d+ member-epochs; front: ")
"""Matches the output of `line`, and only that."""

LIVE_POINTS, BAR_COLUMNS = 8, 68
"""Points of the front and columns of the bar in the live view."""


def line(seen: Snapshot) -> str:
    """The study in one line."""
    return "; ".join(lines(seen))


def lines(seen: Snapshot) -> tuple[str, ...]:
    """The study in lines that fit a terminal: its progress, its front, its confirmation."""
    counts = ", ".join(f"{n} {state}" for state, n in seen.counts.items() if n)
    return (
        f"{seen.spec.name}: {_stage(seen)}{seen.share:.0%} in {duration(seen.wall_s)}{left(seen.left_s)}; "
        f"trials: {counts or 'none yet'}",
        f"{seen.member_epochs} member-epochs; front: {_extent(seen.front)}",
        *_validated(seen.fresh),
        *_confirmed(seen.confirmation),
        *found_later(seen),
    )


def _stage(seen: Snapshot) -> str:
    """The stage, as a prefix of the line; empty if no run drives the study."""
    if seen.state != "running" or seen.stage is None:
        return ""
    waiting = "" if seen.lanes or seen.stage.name == "starting" else ", waiting for lanes"
    return f"{seen.stage.words}{waiting}, "


def left(left_s: float | None) -> str:
    """The time left, as a suffix; empty if it is unknown."""
    return "" if left_s is None else f", about {duration(left_s)} left"


def state_line(seen: Snapshot) -> str:
    """The state, its reason, and the command that resumes the study."""
    again = "" if seen.state in ("running", "complete") else f"; `study run {seen.spec.name}` resumes it"
    return f"{seen.state}: {seen.reason}{again}"


def found_later(seen: FrontSnapshot) -> Iterator[str]:
    """A line on points of the front outside the confirmation, with the remedy; none without such points."""
    later = 0 if seen.confirmation is None else seen.confirmation.found_later
    if later:
        points, name = len(seen.front.points), seen.spec.name
        confirms = "" if seen.spec.confirm is not None else ", then `study confirm OTHER`,"
        yield (
            f"not confirmed: {later} of {points} points of the front, found after the points to confirm were "
            f"chosen, which happens once a study. To confirm them: `study run {name} --set name=OTHER`"
            f"{confirms} searches again and confirms its own front"
        )


def live_view(output: str) -> Group | None:
    """The live view, without the front, of a `line` printed by another process; None for other text."""
    if (match := PROGRESS.match(output)) is None:
        return None
    return Group(_bar(int(match["percent"]) / 100), *map(Text, output.split("; ")))


def _validated(seen: FreshProgress | None) -> Iterator[str]:
    if seen is not None:
        yield (
            f"validated: {seen.ended} of {seen.planned} configurations of the front with {seen.replicates} "
            "fresh seeds"
        )


def _confirmed(seen: ConfirmationProgress | None) -> Iterator[str]:
    if seen is not None:
        yield (
            f"confirmed: {seen.ended} of {seen.planned} points with {seen.replicates} fresh seeds; "
            f"test set opened {seen.opened}"
        )


def _extent(front: Front) -> str:
    """The number of points and their hypervolume, or a note that none beats both trivial models."""
    if not front.points:
        return "none yet"
    points = "1 point" if len(front.points) == 1 else f"{len(front.points)} points"
    if front.hypervolume == 0:
        return f"{points}, none beats both trivial models"
    return f"{points}, hypervolume {written(front.hypervolume, 5)}"


def duration(seconds: float) -> str:
    """Seconds as text, in hours, minutes and seconds.

    >>> duration(3725), duration(75), duration(8)
    ('1 h 02 min', '1 min 15 s', '8 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def view(seen: Snapshot) -> Group:
    """The live view: a progress bar, the study in lines, and points spread along its front."""
    table = [FrontTable(seen, most=LIVE_POINTS)] if seen.front.points else []
    return Group(_bar(seen.share), *map(Text, line(seen).split("; ")), *table)


def _bar(share: float) -> Padding:
    return Padding(ProgressBar(total=1.0, completed=share, width=BAR_COLUMNS), expand=False)
