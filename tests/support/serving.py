"""The service on a real socket, with studies measured by a formula and a runner that only takes notes."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET
from threading import Thread

import httpx
import uvicorn
from command import until
from formula import BASELINE, SPEC, FormulaLane

from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.service.app import application
from study.service.runner import Begun, NoRunnerError
from study.service.schemas import JobOut
from study.service.serve import configured, listening
from study.spec import StudySpec


@dataclass
class Notes:
    """A runner that runs nothing and notes requests by study; `away` makes it refuse."""

    started: list[str] = field(default_factory=list)
    live: dict[str, tuple[StudySpec, float]] = field(default_factory=dict)
    away: bool = False

    def start(self, spec: StudySpec) -> Begun:
        if self.away:
            raise NoRunnerError("no Ray answers")
        if new := spec.name not in self.live:
            self.started.append(spec.name)
            self.live[spec.name] = spec, time.time()
        by, at = self.live[spec.name]
        job = JobOut(id=f"{spec.name}-{self.started.count(spec.name)}", state="running", said="")
        return Begun(job, same=by == spec, at=None if new else at)

    def last(self, name: str) -> JobOut | None:
        if self.away:
            raise NoRunnerError("no Ray answers")
        count = self.started.count(name)
        state = "running" if name in self.live else "stopped"
        return JobOut(id=f"{name}-{count}", state=state, said="") if count else None

    def stop(self, name: str) -> None:
        self.live.pop(name, None)


@dataclass(frozen=True)
class Served:
    """A running service: URL, home, runner and server."""

    url: str
    home: Path
    runner: Notes
    server: uvicorn.Server

    def client(self, **options: object) -> httpx.Client:
        """An HTTP client, which follows no redirects."""
        return httpx.Client(base_url=self.url, timeout=60, **options)


@contextmanager
def served(home: Path, *, port: int = 0, root_path: str = "", **options: object) -> Iterator[Served]:
    """Run a service of the studies in `home` in a thread, until the block ends."""
    runner = options.pop("runner", None) or Notes()
    app = application(home, runner, **options)
    (opened,) = listening([(AF_INET, "127.0.0.1")], "127.0.0.1", port)
    config = configured(app, root_path=root_path)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [opened]}, name="service")
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), "the service")
        yield Served(f"http://127.0.0.1:{opened.getsockname()[1]}", home, runner, server)
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Driven:
    """A study driven by hand: `step` is one exchange of its only lane."""

    ledger: Ledger
    run: int
    referee: Referee
    lane: FormulaLane

    def step(self) -> bool:
        """Make one exchange; False when the study is over."""
        if self.referee.over is None:
            self.lane.advance(self.referee.exchange)
        return self.referee.over is None

    def finish(self) -> None:
        while self.step():
            pass
        self.ledger.release(self.run, self.referee.over)
        self.ledger.close()


def driven(home: Path, name: str, *overrides: str, slots: int = 2) -> Driven:
    """Begin a formula study `name` in `home`."""
    spec = StudySpec.from_text(SPEC, where="test", overrides=(f"name={name}", *overrides))
    ledger = Ledger.open(spec, home / name, BASELINE)
    run = ledger.claim()
    ledger.adopt(home / name)
    return Driven(ledger, run, Referee(ledger, run), FormulaLane(f"{run}.0", slots))


def done(home: Path, name: str, *overrides: str) -> Path:
    """Run a formula study to its end; return its folder."""
    driven(home, name, *overrides).finish()
    return home / name


def renamed(folder: Path) -> None:
    """Give a copied study the name of its folder."""
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        with connection:
            (was,) = connection.execute("SELECT study_name FROM studies ORDER BY study_id").fetchone()
            for table, column in (("studies", "study_name"), ("study_user_attributes", "value_json")):
                change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
                connection.execute(change, (was, folder.name))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
