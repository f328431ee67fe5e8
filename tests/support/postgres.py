"""A PostgreSQL server of the tests' own: on a free loopback port, its data in a folder that goes with it."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from command import title, until, with_pid

PASSWORD = "s3cret-Pa55"  # must appear nowhere; tests look for it


def programs() -> Path:
    """The folder of PostgreSQL's programs; skips where there is none, fails in CI."""
    found = shutil.which("initdb") or next(
        map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None
    )
    if found is None:
        reason = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(found).resolve().parent


class Server:
    """A server that can be stopped and started again; `database` makes a new database and gives its URL."""

    def __init__(self, folder: Path) -> None:
        self._programs = programs()
        self._data = folder / "data"
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "postgres")
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        self._run(
            "initdb",
            "-D",
            self._data,
            "-U",
            "tester",
            "-A",
            "scram-sha-256",
            "--no-sync",
            f"--pwfile={folder / 'password'}",
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a power cut would."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def kill(self) -> None:
        """SIGKILL to it and all its processes; its lock goes too, for nobody may have reaped them."""
        lock = self._data / "postmaster.pid"
        server = int(lock.read_text().split()[0])
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        everything = [server, *map(int, children)]
        for pid in everything:
            with_pid(pid, signal.SIGKILL)
        until(lambda: not any(map(title, everything)), "the end of a killed server")
        lock.unlink()

    def log(self) -> str:
        """All that it has logged: errors, deadlocks and statements that failed among it."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    def database(self, *, encoding: str = "UTF8") -> str:
        """The URL of a new, empty database, password and all."""
        name = f"test_{uuid4().hex[:12]}"
        environment = os.environ | {"PGPASSWORD": PASSWORD}
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "tester")
        kind = (f"--encoding={encoding}", "--locale=C", "--template=template0")
        subprocess.run([self._programs / "createdb", *where, *kind, name], env=environment, check=True)
        return f"postgresql://tester:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: object) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run(
            [*as_user, self._programs / program, *map(str, arguments)],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def server() -> Iterator[Server]:
    """A running server; ended by its own pg_ctl."""
    folder = Path(tempfile.mkdtemp(prefix="pareto-pg-"))
    folder.chmod(0o755)
    made = Server(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)
