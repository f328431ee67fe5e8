"""A study as it goes on: a snapshot of the record, a live view in the terminal, a log line elsewhere."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any, Literal, get_args

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.objective import objectives
from study.budget import complete, most_trials
from study.database import DATABASE_ERRORS
from study.forms import Range
from study.front import Front, candidates, front, reference
from study.ledger import Ledger
from study.record import Point, Record, Run, State
from study.runtime.interrupt import Interrupt
from study.spec import StudySpec

LOOK_S = 0.25
"""How often the user's interrupt is looked at."""

LIVE_EVERY_S, LOG_EVERY_S = 1.0, 10.0
COST = 20
"""Looking at the record may take one part in so many of the time, however large it grows."""

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

Stand = Literal["running", "complete", "stopped", "failed", "died", "not begun"]
"""How a study stands: driven now; its budget spent; or how its last run ended, "died" where nothing says."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How far a confirmation is: points ended of those planned, and when it opened the test set."""

    opened: str
    planned: int
    ended: int
    replicates: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study at one moment: `share` of its budget is spent, `left_s` guesses the rest (None: no guess).

    `reason` says why it stands so, in words; `lanes` counts those that train right now. `points` are all that
    were measured, and `reference` has what the trivial models reach, by metric.
    """

    spec: StudySpec
    state: Stand
    reason: str
    records: Mapping[int, Record]
    counts: Mapping[State, int]
    lanes: int
    member_epochs: int
    share: float
    wall_s: float
    left_s: float | None
    front: Front
    confirmation: Confirmation | None
    points: Sequence[Point]
    reference: Mapping[str, float]


def snapshot(ledger: Ledger) -> Snapshot:
    """The study as the record has it now; of a trial that has ended, all points are there."""
    spec, baseline, runs = ledger.spec, ledger.baseline, ledger.runs()
    records = {r.trial: r for r in ledger.records()}
    points = [p for p in ledger.points() if p.trial in records]
    reached = {p.trial: p.epoch for p in points}
    epochs = {n: reached.get(n, 0) if r.state == "running" else r.epochs for n, r in records.items()}
    counts = Counter(r.state for r in records.values())
    member_epochs = sum(epochs.values()) * spec.search.replicates
    alive = bool(runs) and runs[-1].alive
    wall_s = sum(run.wall_s for run in runs) + (max(0.0, runs[-1].silent_s) if alive else 0.0)
    state, reason = _stand(runs, None if alive else complete(ledger, records.values()), alive=alive)
    share = _share(spec, records, epochs, wall_s)
    holders = {r.holder for r in records.values() if r.state == "running" and r.holder is not None}
    chosen = candidates(points, records, spec)
    return Snapshot(
        spec=spec,
        state=state,
        reason=reason,
        records=records,
        counts={state: counts[state] for state in get_args(State)},
        lanes=len({h.lane for h in holders if h.run == runs[-1].run}) if alive else 0,
        member_epochs=member_epochs,
        share=share,
        wall_s=wall_s,
        left_s=wall_s * (1 - share) / share if alive and 0 < share < 1 else None,
        front=front(chosen, spec, reference(baseline, spec)),
        confirmation=_confirmation(ledger),
        points=points,
        reference=baseline.reference,
    )


def _confirmation(ledger: Ledger) -> Confirmation | None:
    confirmed = ledger.confirmation()
    if confirmed is None or confirmed.plan is None:
        return None
    return Confirmation(
        opened=confirmed.plan.opened,
        planned=len(confirmed.plan.points),
        ended=sum(r.state != "running" for r in confirmed.records()),
        replicates=confirmed.spec.search.replicates,
    )


def _stand(runs: Sequence[Run], enough: str | None, *, alive: bool) -> tuple[Stand, str]:
    """How the study stands, and why; `enough` is why its budget is spent, or None."""
    if alive:
        return "running", f"by process {runs[-1].owner.pid} on {runs[-1].owner.host}"
    if enough is not None:
        return "complete", enough
    if not runs:
        return "not begun", "no run yet"
    last = runs[-1].reason
    if last is None or last == "died":
        return "died", f"process {runs[-1].owner.pid} on {runs[-1].owner.host} ended without a word"
    return "failed" if last.startswith("failed") else "stopped", last


def _share(spec: StudySpec, records: Mapping[int, Record], epochs: Mapping[int, int], wall_s: float) -> float:
    """The part of the budget that is spent, by the limit that is nearest."""
    budget, parts = spec.budget, [0.0]
    if (trials := most_trials(spec)) is not None:
        begun = sum(
            epochs[n] / r.config.epochs for n, r in records.items() if r.config and r.state == "running"
        )
        ended = sum(r.state != "running" for r in records.values())
        parts.append((ended + begun) / trials)
    if budget.member_epochs is not None:
        parts.append(sum(epochs.values()) * spec.search.replicates / budget.member_epochs)
    if budget.wall_time_s is not None:
        parts.append(wall_s / budget.wall_time_s)
    return min(max(parts), 1.0)


# --- in words --------------------------------------------------------------------------------------------


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


def as_dict(seen: Snapshot) -> dict[str, Any]:
    """The study for a machine: JSON-ready."""
    return {
        "name": seen.spec.name,
        "fingerprint": seen.spec.fingerprint,
        "state": seen.state,
        "reason": seen.reason,
        "counts": dict(seen.counts),
        "member_epochs": seen.member_epochs,
        "share": seen.share,
        "wall_s": seen.wall_s,
        "left_s": seen.left_s,
        "hypervolume": seen.front.hypervolume,
        "confirmation": None if seen.confirmation is None else asdict(seen.confirmation),
        "front": [
            {"trial": p.trial, "epoch": p.epoch, **p.metrics, "config": config.as_dict()}
            for p in seen.front.points
            if (config := seen.records[p.trial].config) is not None
        ],
    }


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
        title=Text(f"Front: non-dominated among {len(seen.records)} configurations tried", overflow="ignore"),
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
        config = seen.records[point.trial].config
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
    table.caption = f"and {more} more" if more > 0 else None
    return table


def _short(value: float | str) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _view(seen: Snapshot) -> Group:
    table = [front_table(seen, most=SHOWN)] if seen.front.points else []
    return Group(_bar(seen.share), *map(Text, lines(seen)), *table)


def _bar(share: float) -> Padding:
    return Padding(ProgressBar(total=1.0, completed=share, width=BAR), expand=False)


# --- while it runs ---------------------------------------------------------------------------------------


@contextmanager
def watch(folder: Path, interrupt: Interrupt, *, console: Console) -> Iterator[None]:
    """Show the study in `folder` while the body runs it, and pass the user's interrupt on to the record."""
    ended = Event()
    tell = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        if console.is_terminal:
            every_s, show = LIVE_EVERY_S, lambda seen: live.update(_view(seen), refresh=True)
        else:
            every_s, show = LOG_EVERY_S, lambda seen: tell(line(seen))
        thread = Thread(target=_watch, args=(folder, interrupt, ended, every_s, show, tell), name="progress")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _watch(
    folder: Path,
    interrupt: Interrupt,
    ended: Event,
    every_s: float,
    show: Callable[[Snapshot], None],
    tell: Callable[[str], None],
) -> None:
    ledger, asked, due = Ledger.read(folder), False, time.monotonic() + every_s
    while not ended.wait(LOOK_S):
        began = time.monotonic()
        try:
            if interrupt.asked.is_set() and not asked:
                asked = ledger.request_stop()
                tell("stopping; a second signal ends the run at once")
            if began < due:
                continue
            show(snapshot(ledger))
        except DATABASE_ERRORS as error:
            tell(f"the record cannot be read now: {str(error).splitlines()[0]}")
            ended.wait(every_s)
        due = time.monotonic() + max(every_s, COST * (time.monotonic() - began))
    ledger.close()
