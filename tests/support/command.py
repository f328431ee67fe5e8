"""The `study` command as a user starts it: the console script in a process of its own, and its record."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryFile
from termios import TIOCSCTTY
from typing import IO, Any

STUDY = Path(sys.executable).with_name("study")
MARK = "STUDY_TEST_COMMAND"
"""Environment variable by which all descendants of a command are known, in whatever session they are."""

DEADLINE_S = 120.0
"""Far above what anything here takes on a busy machine: only a hang reaches it."""

TINY = """
name = "tiny"
[data]
source = "ratings.csv"
[train]
epochs = 3
dim = 4
hidden = 4
[space]
learning_rate = { log = [1e-3, 1e-1] }
[search]
sampler = "random"
[budget]
trials = 4
[runtime]
address = "inline"
"""
"""A study of a moment, on the ratings beside it."""

ENDLESS = ("run", "tiny.toml", "--set", "train.epochs=1000000", "--set", "train.evaluate_every=20")
"""The same, without an end."""


def ratings(*, users: int = 30, items: int = 25, each: int = 12) -> str:
    """A file of ratings with timestamps: `each` items at random for every user."""
    chance = Random(0)
    rows = [
        f"u{user},i{item},{chance.randint(1, 5)},{user * each + place}"
        for user in range(users)
        for place, item in enumerate(chance.sample(range(items), each))
    ]
    return "\n".join(["user,item,rating,timestamp", *rows, ""])


def prepare(folder: Path) -> Path:
    """The folder, with tiny.toml and ratings.csv in it."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.toml").write_text(TINY, encoding="utf-8")
    (folder / "ratings.csv").write_text(ratings(), encoding="utf-8")
    return folder


# --- commands --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Running:
    """A command in a session of its own, as from a terminal, its output in files."""

    process: subprocess.Popen[bytes]
    token: str
    out: IO[bytes]
    err: IO[bytes]

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """The signal to its whole process group, as the terminal does on Ctrl-C."""
        os.killpg(self.process.pid, number)

    def wait(self, deadline_s: float = DEADLINE_S) -> Ended:
        """Its end, and all that it said."""
        return Ended(self.process.wait(deadline_s), _content(self.out), _content(self.err))

    def said(self, words: str) -> bool:
        """Whether it has said these words on stdout."""
        return words in _content(self.out)

    @property
    def out_text(self) -> str:
        """What it has said on stdout."""
        return _content(self.out)

    @property
    def err_text(self) -> str:
        """What it has said on stderr."""
        return _content(self.err)

    def descendants(self) -> list[int]:
        """The pids of it and of all that it started and is still there."""
        wanted = f"{MARK}={self.token}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:  # it has ended, or is not ours
                    continue
        return found

    def titled(self, words: str) -> list[int]:
        """Those of its descendants, and it itself, that have these words in their command line or title."""
        return [pid for pid in self.descendants() if words in title(pid)]


def title(pid: int) -> str:
    """The command line of a process, or what it has put in its place; "" where it has ended."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def _content(file: IO[bytes]) -> str:
    """All that is in a file that somebody else may be writing: its one position is left alone."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


@contextmanager
def started(
    *arguments: str, cwd: Path, terminal: int | None = None, within: Sequence[str] = ()
) -> Iterator[Running]:
    """`study` with `arguments`, running in `cwd`; `terminal` is the one that it runs in, if it is in one.

    `within` is a command that runs it, as `elsewhere.host` makes one.
    Whatever of it is left at the end of the block is killed.
    """
    token = uuid.uuid4().hex
    with TemporaryFile() as out, TemporaryFile() as err:
        process = subprocess.Popen(
            [*within, STUDY, *arguments],
            cwd=cwd,
            env=os.environ | {"OMP_NUM_THREADS": "1", MARK: token},
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=out if terminal is None else terminal,
            stderr=err if terminal is None else terminal,
            start_new_session=True,
            preexec_fn=None if terminal is None else partial(ioctl, terminal, TIOCSCTTY, 0),
        )
        running = Running(process, token, out, err)
        try:
            yield running
        finally:
            for pid in running.descendants():
                with_pid(pid, signal.SIGKILL)
            process.wait()


def study(*arguments: str, cwd: Path, within: Sequence[str] = ()) -> Ended:
    """The end of `study` with `arguments`, run in `cwd`, by the command `within`."""
    with started(*arguments, cwd=cwd, within=within) as running:
        return running.wait()


def answer(*arguments: str, cwd: Path) -> Any:
    """What `study` with `arguments` and --json says."""
    ended = study(*arguments, "--json", cwd=cwd)
    assert ended.code == 0, ended
    return json.loads(ended.out)


def with_pid(pid: int, number: signal.Signals) -> None:
    """The signal to one process, if it is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Returns when the condition holds; fails, naming `what` was waited for, when it does not come."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {deadline_s:g} s for {what}"
        time.sleep(0.02)


# --- the record ------------------------------------------------------------------------------------------


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What the ledger in a study's folder answers; nothing while there is none."""
    path = folder / "ledger.db"
    if not path.is_file():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=DEADLINE_S)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # it is being made
                return []
            raise


def measured(folder: Path) -> int:
    """Measurements on record."""
    return sum(count for (count,) in rows(folder, "SELECT count(*) FROM measurements"))


def record(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that the ledger says of trials and measurements, by table."""
    tables = ("trials", "trial_params", "trial_values", "trial_user_attributes", "measurements")
    return {table: rows(folder, f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4") for table in tables}
