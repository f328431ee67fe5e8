"""Slowdown of a study by a service beside it, and the service's response time with a thousand studies."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from urllib.request import urlopen

import numpy as np
from timing import table

from study.runtime.run import run
from study.spec import StudySpec

sys.path.append(str(Path(__file__).parents[1] / "support"))
from command import until
from heads import free_port
from serving import done, renamed

STREAMS, READERS, EVERY_S = 20, 50, 1.0
"""Event streams, and readers with one request each per second."""

SERVE = """
import sys
from pathlib import Path
import uvicorn
from serving import Notes
from study.service.app import application
uvicorn.run(application(Path(sys.argv[1]), Notes()), port=int(sys.argv[2]), log_level="critical")
"""
"""A service in its own process, which runs no studies."""

SPEC = """
name = "watched"
[data]
source = "synthetic"
[train]
epochs = 20
[search]
sampler = "random"
[budget]
trials = {trials}
[runtime]
address = "inline"
engine = "numba"
slots = 4
"""

ABOUT = """A study trains in this process (`inline`, one core; {trials} configurations of 20 epochs of
synthetic ratings), alone, then beside a service with {streams} event streams and {readers} readers, which
each request the study once per second; in turns, {rounds} times. The list has {studies:,} complete studies
of 6 trials, each with its own SQLite record."""


def section(*, trials: int, rounds: int, studies: int) -> str:
    """The two tables."""
    about = ABOUT.format(trials=trials, streams=STREAMS, readers=READERS, rounds=rounds, studies=studies)
    alone, watched, cores = [], [], []
    _trained(2)  # compiles the kernel
    for _ in range(rounds):
        alone.append(_trained(trials))
        watched.append(_trained(trials, partial(_watched, cores=cores)))
    ratio = np.median(np.divide(watched, alone))
    rows = [
        (f"{np.median(alone):.1f}", f"{np.median(watched):.1f}", f"{ratio:.3f}", f"{np.median(cores):.2f}")
    ]
    columns = ("alone, member-epochs/s", "with the service", "ratio (median of the pairs)", "service's cores")
    return "\n\n".join([about, table(columns, rows), _listed(studies)])


def _trained(trials: int, beside: "Callable[[Path], object] | None" = None) -> float:
    """Member-epochs per second of a study, within the context `beside`."""
    spec = StudySpec.from_text(SPEC.format(trials=trials), where="benchmark")
    with TemporaryDirectory() as folder:
        home = Path(folder) / "studies"
        home.mkdir()
        with (_nothing if beside is None else beside)(home):
            began = time.perf_counter()
            run(spec, home)
            return trials * 20 / (time.perf_counter() - began)


@contextmanager
def _nothing(_home: Path) -> Iterator[None]:
    yield


@contextmanager
def _watched(home: Path, cores: list[float]) -> Iterator[None]:
    """Run a service with its streams and readers; append the cores that it uses to `cores`."""
    port, ended = free_port(), Event()
    with _service(home, port) as (url, pid), ThreadPoolExecutor(STREAMS + READERS) as pool:
        for _ in range(STREAMS):
            pool.submit(_listen, f"{url}/studies/watched/events", ended)
        for number in range(READERS):
            pool.submit(_ask, f"{url}/studies/watched", ended, number / READERS)
        began, busy = time.perf_counter(), _busy_s(pid)
        try:
            yield
        finally:
            cores.append((_busy_s(pid) - busy) / (time.perf_counter() - began))
            ended.set()


@contextmanager
def _service(home: Path, port: int) -> Iterator[tuple[str, int]]:
    """Run a service; yield its URL and pid."""
    support = Path(__file__).parents[1] / "support"
    code = f"import sys; sys.path.insert(0, {str(support)!r}){SERVE}"
    process = subprocess.Popen([sys.executable, "-c", code, str(home), str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _read(f"{url}/health") is not None, "the service")
        yield url, process.pid
    finally:
        process.kill()
        process.wait()


def _busy_s(pid: int) -> float:
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _listen(url: str, ended: Event) -> None:
    """Read an event stream; reconnect if it is refused, as before the study has a record."""
    while not ended.is_set():
        try:
            with urlopen(url, timeout=2) as answer:
                while not ended.is_set() and answer.readline():
                    pass
        except OSError:
            ended.wait(EVERY_S)


def _ask(url: str, ended: Event, late: float) -> None:
    ended.wait(late)
    while not ended.is_set():
        _read(url)
        ended.wait(EVERY_S)


def _read(url: str) -> bytes | None:
    try:
        with urlopen(url, timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return None


def _listed(studies: int) -> str:
    """Time to list `studies` studies: before any was read, after a restart, and later."""
    with TemporaryDirectory() as folder:
        home = Path(folder) / "studies"
        made = done(home, "s0000")
        with closing(sqlite3.connect(made / "ledger.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(1, studies):
            renamed(shutil.copytree(made, home / f"s{number:04}"))
        with _service(home, free_port()) as (url, _):
            unread, began = _timed(f"{url}/studies"), time.perf_counter()
            until(lambda: b'"unread"' not in (_read(f"{url}/studies") or b'"unread"'), "all to be read", 600)
            reading = time.perf_counter() - began
        with _service(home, free_port()) as (url, _):
            first, *rest = [_timed(f"{url}/studies") for _ in range(11)]
    took = (f"{1e3 * seconds:.0f} ms" for seconds in (np.median(rest), max(rest), first, unread))
    columns = (
        "studies",
        "list (median of 10)",
        "slowest",
        "first after a restart",
        "first ever",
        "until all are read",
    )
    return table(columns, [(f"{studies:,}", *took, f"{reading:.1f} s")])


def _timed(url: str) -> float:
    began = time.perf_counter()
    with urlopen(url, timeout=600) as answer:
        answer.read()
    return time.perf_counter() - began
