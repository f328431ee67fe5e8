"""The `study` command as a user starts it: the console script in its own process, and its record."""

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
"""Environment variable that marks all descendants of a command, in any session."""

DEADLINE_S = 240.0
"""Far above the time of any command on a busy machine: only a hang exceeds it."""

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
"""A quick study on the ratings beside it."""

ENDLESS = ("run", "tiny.toml", "--set", "train.epochs=1000000", "--set", "train.evaluate_every=20")
"""The same study, which does not end."""


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
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Running:
    """A command in its own session, as from a terminal, with its output in files."""

    process: subprocess.Popen[bytes]
    token: str
    out: IO[bytes]
    err: IO[bytes]

    @property
    def running(self) -> bool:
        """True until the command has ended."""
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its process group, as a terminal does on Ctrl-C."""
        os.killpg(self.process.pid, number)

    def wait(self, deadline_s: float = DEADLINE_S) -> Ended:
        """Wait for its end; return exit code and output."""
        return Ended(self.process.wait(deadline_s), _content(self.out), _content(self.err))

    def printed(self, words: str) -> bool:
        """True if its stdout contains these words."""
        return words in _content(self.out)

    @property
    def out_text(self) -> str:
        """Its stdout so far."""
        return _content(self.out)

    @property
    def err_text(self) -> str:
        """Its stderr so far."""
        return _content(self.err)

    def descendants(self) -> list[int]:
        """Pids of the command and of all its living descendants."""
        wanted = f"{MARK}={self.token}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:  # ended, or of another user
                    continue
        return found

    def titled(self, words: str) -> list[int]:
        """Those of `descendants` with these words in their command line or title."""
        return [pid for pid in self.descendants() if words in title(pid)]


def title(pid: int) -> str:
    """The command line or title of a process; "" if it has ended."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def _content(file: IO[bytes]) -> str:
    """Content of a file that another process may be writing; keeps the shared position."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


@contextmanager
def started(
    *arguments: str, cwd: Path, terminal: int | None = None, within: Sequence[str] = ()
) -> Iterator[Running]:
    """Run `study` with `arguments` in `cwd`, on `terminal` if given, wrapped in the command `within`.

    `elsewhere.host` makes such a command. At the end of the block all remaining processes are killed.
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
    """Run `study` with `arguments` in `cwd`, wrapped in the command `within`, to its end."""
    with started(*arguments, cwd=cwd, within=within) as running:
        return running.wait()


def answer(*arguments: str, cwd: Path) -> Any:
    """Parsed output of `study` with `arguments` and --json."""
    ended = study(*arguments, "--json", cwd=cwd)
    assert ended.code == 0, ended
    return json.loads(ended.out)


def with_pid(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, if it still exists."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until the condition holds; fail with the name `what` after the deadline."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {deadline_s:g} s for {what}"
        time.sleep(0.02)


# --- the record ------------------------------------------------------------------------------------------


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Result of a query on the record in a study's folder; empty if there is none."""
    path = folder / "ledger.db"
    if not path.is_file():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=DEADLINE_S)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # being created
                return []
            raise


def measured(folder: Path) -> int:
    """Number of measurements on record."""
    return sum(count for (count,) in rows(folder, "SELECT count(*) FROM measurements"))


def record(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of the record about trials and measurements, by table."""
    tables = ("trials", "trial_params", "trial_values", "trial_user_attributes", "measurements")
    return {table: rows(folder, f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4") for table in tables}
