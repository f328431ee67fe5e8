"""A private PostgreSQL server for tests, on a free loopback port, with its data in a temporary folder."""

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

VARIABLE = "STUDY_TEST_DATABASE"
"""The variable that a spec names for a database of the server."""


def programs() -> Path:
    """Folder of PostgreSQL's programs. Skips if it is not installed; fails in CI."""
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
    """A server that can be stopped and started again."""

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
        """Start the server, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop the server at once, like a power cut."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def kill(self) -> None:
        """Send SIGKILL to all its processes and remove its lock, since the processes may not be reaped."""
        lock = self._data / "postmaster.pid"
        server = int(lock.read_text().split()[0])
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        everything = [server, *map(int, children)]
        for pid in everything:
            with_pid(pid, signal.SIGKILL)
        until(lambda: not any(map(title, everything)), "the end of a killed server")
        lock.unlink()

    def log(self) -> str:
        """Text of its log, with errors, deadlocks and failed statements."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    def database(self, *, encoding: str = "UTF8") -> str:
        """Create an empty database; return its URL with the password."""
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
    """Run a server; stop it with its own pg_ctl."""
    folder = Path(tempfile.mkdtemp(prefix="pareto-pg-"))
    folder.chmod(0o755)
    made = Server(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)
