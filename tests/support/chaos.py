"""Chaos tests: the real `study run`, whose processes are killed one after another, drawn from one seed."""

import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import sqlalchemy as sa
from command import Ended, Running, started, title, until, with_pid
from postgres import Server

from study.record.ledger import Ledger
from study.record.tables import measurements

DATABASE = "STUDY_CHAOS_DATABASE"
NAME = "storm"
BASE = """
name = "storm"
[data]
source = "ratings.csv"
[train]
dim = 4
hidden = 4
batch_size = "full"
[space]
weight = [0.5, 0.9, 0.99, 0.999]
learning_rate = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1]
"""
"""8 × (4 × 3 + 1) quick configurations on the ratings beside the spec."""

TRIALS, EPOCHS, FIRST_RUNG = 14, 120, 60
SEARCHES = (
    ("random", "never"),
    ("tpe", "pareto-asha"),
    ("grid", "never"),
    ("nsga2", "median"),
    ("qmc", "pareto-asha"),
)
KILLS = 10
"""Kills in each study; few enough that no trial can reach its last start."""

PATIENCE_S = 400.0
"""Enough for a busy machine to start Ray; only a hang exceeds it."""

WEIGHTS: Mapping[str, int] = {
    "lane": 10,
    "referee": 7,
    "database": 4,
    "driver": 2,
    "raylet": 2,
    "power": 2,
}
"""Relative frequency of each kill. Those that end the driver are rarer, because each costs a start of Ray."""

ENDS = {"driver": -signal.SIGKILL, "power": -signal.SIGKILL, "raylet": 1, "INT": 130, "TERM": 130}
"""Exit codes of a command, by the blow that ends it."""

STAGES = ("", "/raylet/raylet ", "RefereeActor", "ray::Lane")
"""Titles of the processes of a starting run, by stage: none yet, a Ray, a referee, a lane."""

TITLES = {"lane": "ray::Lane", "referee": "RefereeActor", "raylet": "/raylet/raylet "}
"""Titles of the processes of a Ray."""


@dataclass(frozen=True)
class Blow:
    """One disturbance of a study, when `at` measurements are on record and all lanes train again.

    `away_s` is the time that a database stays down. With `soon` it strikes a starting run instead, once this
    has printed its first line and has a process with that title.
    """

    at: int
    what: str
    away_s: float = 0.0
    soon: str | None = None


@dataclass(frozen=True)
class Forecast:
    """One study and its disturbances; all of it follows from the seed and the study's number."""

    number: int
    overrides: tuple[str, ...]
    lanes: int
    postgres: bool
    blows: tuple[Blow, ...]

    @property
    def same_tables(self) -> bool:
        """True if the undisturbed study has the same tables: no learning sampler, no stopping."""
        return "stopping.rule=never" in self.overrides


def forecast(seed: int, number: int) -> Forecast:
    """Study `number` of the storm `seed`: database, search and checkpoints alternate, the rest is drawn."""
    chance = Random(f"{seed}/{number}")
    postgres = number % 2 == 1
    sampler, rule = SEARCHES[number % len(SEARCHES)]
    lanes, slots = chance.choice([(1, 1), (1, 4), (2, 1), (2, 2)])
    replicates, every = chance.choice([1, 2]), chance.choice([1, 3])
    overrides = [
        f"search.sampler={sampler}",
        f"search.seed={chance.randrange(1000)}",
        f"search.replicates={replicates}",
        f"stopping.rule={rule}",
        f"train.epochs={EPOCHS}",
        f"train.evaluate_every={every}",
        f"runtime.engine={chance.choice(['numba', 'plain'])}",
        f"runtime.lanes={lanes}",
        f"runtime.slots={slots}",
        *([] if rule == "never" else [f"stopping.min_epochs={FIRST_RUNG}"]),
        *([f"storage.url=env:{DATABASE}"] if postgres else []),
        *(["runtime.save_every_s=0.3"] if number // 2 % 2 else []),
    ]
    sure = TRIALS * (EPOCHS if rule == "never" else FIRST_RUNG) // every * replicates
    kinds = [kind for kind in WEIGHTS if postgres or kind != "database"]
    drawn = chance.choices(kinds, [WEIGHTS[kind] for kind in kinds], k=KILLS - 1)
    whats = [*drawn, chance.choice(["driver", "power"]), chance.choice(["INT", "TERM"])]
    chance.shuffle(whats)
    moments = sorted(chance.sample(range(1, int(0.6 * sure)), len(whats)))
    blows = [Blow(at, what, chance.uniform(0, 4)) for at, what in zip(moments, whats, strict=True)]
    after = chance.choice([i for i, blow in enumerate(blows) if blow.what in ENDS])
    soon = Blow(0, chance.choice(["driver", "power", "INT", "TERM"]), soon=chance.choice(STAGES))
    blows.insert(after + 1, soon)
    return Forecast(number, tuple(overrides), lanes, postgres, tuple(blows))


@dataclass
class Tally:
    """Counts of blows by kind, seconds, and recorded member-epochs that were trained again."""

    studies: int = 0
    blows: Counter[str] = field(default_factory=Counter)
    wall_s: float = 0.0
    lost: int = 0

    def add(self, other: "Tally") -> None:
        """Add another tally."""
        self.studies += other.studies
        self.blows += other.blows
        self.wall_s += other.wall_s
        self.lost += other.lost

    def __str__(self) -> str:
        kills = sum(n for what, n in self.blows.items() if what in WEIGHTS)
        kinds = ", ".join(f"{n} {what}" for what, n in sorted(self.blows.items()))
        return (
            f"{kills} kills in {self.studies} studies ({kinds}), {self.wall_s:.0f} s; "
            f"{self.lost} member-epochs lost"
        )


class Progress:
    """Progress of the record in a study's folder, while others write it; 0 before it exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: Ledger | None = None

    @property
    def ledger(self) -> Ledger | None:
        """The record, or None before it is complete, which study.toml shows."""
        if self._opened is None and (self._folder / "study.toml").is_file():
            self._opened = Ledger.read(self._folder)
        return self._opened

    def measured(self) -> int:
        """Number of measurements on record."""
        if (ledger := self.ledger) is None:
            return 0
        with ledger._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(measurements)).scalar_one()

    def training(self, driver: int) -> int:
        """Number of lanes of the run of process `driver` that have measured since their last start."""
        if (ledger := self.ledger) is None or not ledger.runs() or ledger.runs()[-1].owner.pid != driver:
            return 0
        lanes = [ledger.lane(f"{ledger.runs()[-1].run}.{n}") for n in range(ledger.spec.runtime.lanes)]
        return sum(lane["incarnation"] > 0 and lane["starts"] == 0 for lane in lanes)

    def ended(self) -> int:
        """Number of ended trials."""
        return 0 if self.ledger is None else sum(r.state != "running" for r in self.ledger.records())

    def attempts(self) -> dict[int, tuple[int, int]]:
        """Trial → its attempt and its recorded member-epochs."""
        if (ledger := self.ledger) is None:
            return {}
        reached = {p.trial: p.epoch * ledger.spec.search.replicates for p in ledger.points()}
        return {r.trial: (r.attempt, reached.get(r.trial, 0)) for r in ledger.records()}

    def close(self) -> None:
        """Close the record."""
        if self._opened is not None:
            self._opened.close()


class Storm:
    """A study that runs in `here` until its command ends by itself, under the blows of `forecast`.

    Its budget of `trials` grows if it is spent too early, since surviving lanes of a killed driver train on
    for a while.
    """

    def __init__(self, forecast: Forecast, here: Path, server: Server) -> None:
        self.forecast = forecast
        self.tally = Tally(studies=1)
        self.trials = TRIALS
        self._here, self._server = here, server
        self._chance = Random(str(forecast))
        self._progress = Progress(here / "studies" / NAME)
        self._runs: list[Running] = []

    def rage(self) -> Ended:
        """Run the study until it is over and no process of any command is left; return its last command."""
        began = time.monotonic()
        with closing(self._progress), ExitStack() as self._stack:
            self._start()
            measured, attempts = 0, {}
            for blow in self.forecast.blows:
                until(partial(self._ripe, blow, measured), f"the moment of {blow}", PATIENCE_S)
                measured, attempts = self._progress.measured(), self._lost_since(attempts)
                self._strike(blow)
                self.tally.blows[blow.what] += 1
            ended = self._run.wait(PATIENCE_S)
            self._lost_since(attempts)
            until(
                lambda: not any(r.descendants() for r in self._runs), "the end of every process", PATIENCE_S
            )
        self.tally.wall_s = time.monotonic() - began
        return ended

    @property
    def _run(self) -> Running:
        return self._runs[-1]

    def _start(self) -> None:
        checkpoints = f"runtime.storage_path={self._here / 'checkpoints'}"
        more = (f"budget.trials={self.trials}", checkpoints)
        overrides = [word for o in (*self.forecast.overrides, *more) for word in ("--set", o)]
        self._runs.append(self._stack.enter_context(started("run", "storm.toml", *overrides, cwd=self._here)))

    def _ripe(self, blow: Blow, before: int) -> bool:
        """True if a blow is due: the run has advanced since the last blow, and is not over.

        All lanes train before the next one is killed: a lane that starts in vain too often ends the study.
        """
        if not self._run.running:
            ended = self._run.wait()
            assert (ended.code, self._progress.ended()) == (0, self.trials), ended
            self.trials += TRIALS
            self._start()
        if blow.soon is not None:
            return self._run.printed("study storm ") and bool(self._run.titled(blow.soon))
        now, training = self._progress.measured(), self._progress.training(self._run.process.pid)
        if now <= before or now < blow.at or training < (self.forecast.lanes if blow.what == "lane" else 1):
            return False
        return self._progress.ended() < self.trials

    def _strike(self, blow: Blow) -> None:
        match blow.what:
            case "database":
                self._server.kill()
                time.sleep(blow.away_s)
                self._server.start()
            case "lane" | "referee":
                self._kill([self._chance.choice(self._there(blow.what))])
            case "raylet":
                self._kill([*self._there("raylet"), *self._run.titled("ray::")])
            case "driver":
                self._kill([self._run.process.pid])
            case "power":
                self._kill([pid for run in self._runs for pid in run.descendants()])
                if self.forecast.postgres:
                    self._server.kill()
                    self._server.start()
            case "INT":
                self._run.send(signal.SIGINT)
            case "TERM":
                with_pid(self._run.process.pid, signal.SIGTERM)
        if (code := ENDS.get(blow.what)) is not None:
            ended = self._run.wait(PATIENCE_S)
            assert ended.code == code, (blow, ended)
            self._start()

    def _there(self, what: str) -> list[int]:
        """Processes of the present run with this title; a title may be missing while it changes."""
        found: list[int] = []
        until(lambda: found or found.extend(self._run.titled(TITLES[what])), f"a living {what}")
        return found

    def _kill(self, pids: list[int]) -> None:
        assert any(map(title, pids)), "no process to kill"
        self._chance.shuffle(pids)
        for pid in pids:
            with_pid(pid, signal.SIGKILL)
        if self._run.process.pid not in pids:
            until(lambda: not any(map(title, pids)), "the end of what was killed")

    def _lost_since(self, before: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """Return the present attempts; count recorded epochs of abandoned ones as lost."""
        now = self._progress.attempts()
        self.tally.lost += sum(done for n, (attempt, done) in before.items() if now[n][0] > attempt)
        return now
