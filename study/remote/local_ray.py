"""A Ray on this machine; while jobs run on it, it outlives the process that started it.

It is a separate process, with a dashboard on loopback and a token that only its user can read. A file beside
the studies has its address, so that later processes find it. The last process that uses it ends it, if no job
runs.
"""

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import gettempdir
from typing import IO
from urllib.request import ProxyHandler, Request, build_opener

from study.record.process import Owner
from study.runtime import temporary
from study.runtime.private_ray import HERE, LOOPBACK, folder
from trainable.contract import StudyError
from trainable.disk import write_atomically

RAY_FILE, RAY_TOKEN_FILE, RAY_LOG_FILE = ".ray.json", ".ray.token", ".ray.log"
LOCK, USERS = ".ray.lock", ".ray.users"
"""Lock files: one is held while Ray is started or ended, the other shared by each process that uses it."""

STARTS_S, ENDS_S = 60.0, 120.0
RAY_LOOK_S = 0.2


@contextmanager
def dashboard(home: Path, say: Callable[[str], None]) -> Iterator[str]:
    """Start the Ray for the studies in `home` unless it runs; yield the URL of its dashboard.

    This process keeps access to it. When the block ends, that Ray ends, unless a job runs on it or another
    process uses it: then `say` gets the command that ends it. StudyError if Ray does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / USERS).open("w") as users:
        with _locked(home):
            os.environ.update(_entry(home))
            os.environ.pop("RAY_AUTH_TOKEN", None)  # Ray would prefer it
            url, _ = _known(home)
            if not url or not _answers(url, home):
                url = _started(home)
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield url
        finally:
            with _locked(home):
                say(_left(home, users, say) or "the Ray of these studies has ended")


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the lock for starting and ending the Ray of `home`."""
    with (home / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _known(home: Path) -> tuple[str, int]:
    """The URL and pid on file; an empty URL and 0 if there are none."""
    try:
        known = json.loads((home / RAY_FILE).read_text(encoding="utf-8"))
        return str(known["url"]), int(known["pid"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # missing or incomplete: it is written again
        return "", 0


def _left(home: Path, users: IO[str], say: Callable[[str], None]) -> str:
    """End the Ray for `home` if nothing uses it; else return why it keeps running, and how to end it."""
    url, pid = _known(home)
    if not url or not _answers(url, home):
        return ""
    how = f"`kill {pid}` ends it"
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"the Ray of these studies keeps running: another service uses it; {how}"
    try:
        from study.remote.jobs import Head  # Ray reads its token when it is imported

        live = Head(url).live()
    except StudyError as error:
        return f"the Ray of these studies keeps running: its jobs cannot be listed ({error}); {how}"
    if live:
        return f"the Ray of these studies keeps running: jobs run on it ({', '.join(live)}); {how}, and them"
    say("ending the Ray of these studies …")
    process = Owner.of(pid)
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + ENDS_S
    while process.running and time.monotonic() < deadline:
        time.sleep(RAY_LOOK_S)
    if process.running:
        return f"the Ray of these studies does not end; `kill -9 {pid}` ends it"
    (home / RAY_FILE).unlink(missing_ok=True)
    temporary.remove_orphans(gettempdir())
    return ""


def _started(home: Path) -> str:
    port, made = _free_port(), folder()
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
        *(f"--node-ip-address={HERE}", f"--port={_free_port()}", f"--dashboard-host={HERE}"),
        *(f"--dashboard-port={port}", f"--dashboard-agent-listen-port={_free_port()}"),
        f"--temp-dir={made / 'ray'}",  # in the default one, jobs go to the Ray that was started last
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with (home / RAY_LOG_FILE).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - no words of a user
            command,
            env=os.environ | LOOPBACK | {"PATH": path},  # jobs are started with its `python`
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://{HERE}:{port}"
    try:
        temporary.give(made, process.pid)
        _await(process, url, home)
    except BaseException:  # also for an interrupt: without its file no process would find this Ray
        process.terminate()
        process.wait()
        raise
    write_atomically(home / RAY_FILE, json.dumps({"pid": process.pid, "url": url}).encode())
    return url


def _await(process: "subprocess.Popen[bytes]", url: str, home: Path) -> None:
    """Wait until the Ray of this process answers. StudyError if it ends before, or takes too long."""
    deadline = time.monotonic() + STARTS_S
    while not _answers(url, home):
        if process.poll() is not None or time.monotonic() > deadline:
            lines = (home / RAY_LOG_FILE).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise StudyError(
                f"Ray does not start here ({lines[-1] if lines else 'no output'}); see {home / RAY_LOG_FILE}"
            )
        time.sleep(RAY_LOOK_S)


def _entry(home: Path) -> Mapping[str, str]:
    """Environment variables that give access; makes a missing token. StudyError for a damaged one."""
    path = home / RAY_TOKEN_FILE
    if not path.is_file():
        write_atomically(path, secrets.token_hex(32).encode(), mode=0o600)
    if not path.read_bytes().strip().isalnum():
        raise StudyError(f"{path}: holds no token; end the Ray that uses it, and delete the file")
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)}


def _answers(url: str, home: Path) -> bool:
    """True if a Ray that accepts our token answers at `url`."""
    token = (home / RAY_TOKEN_FILE).read_text(encoding="utf-8").strip()
    request = Request(f"{url}/api/version", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=5) as answer:
            return "ray_version" in json.loads(answer.read())
    except (OSError, HTTPException, ValueError, TypeError):
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HERE, 0))
        return int(found.getsockname()[1])
