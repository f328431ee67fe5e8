"""A Ray on this machine that outlives whoever started it: what is submitted to it goes on without them.

It runs as a process of its own, with a dashboard on loopback and a token that only its user can read. A file
beside the studies says where it is, so that whoever comes later finds it.
"""

import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from urllib.error import URLError
from urllib.request import Request, urlopen

from trainable.contract import StudyError

FILE, TOKEN, LOG = ".ray.json", ".ray.token", ".ray.log"
STARTS_S = 60.0
LOOK_S = 0.2
HERE = "127.0.0.1"


def dashboard(home: Path) -> str:
    """The URL of the dashboard of the Ray for the studies in `home`, which is started where none runs.

    This process is let in from here on. StudyError where Ray does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".ray.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.environ.update(_entry(home))
        known = _known(home)
        return known if known is not None and _answers(known, home) else _started(home)


def _known(home: Path) -> str | None:
    """The URL that was written down."""
    try:
        return str(json.loads((home / FILE).read_text(encoding="utf-8"))["url"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # none yet, or torn: it is written anew
        return None


def _started(home: Path) -> str:
    port = _free_port()
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
        *(f"--node-ip-address={HERE}", f"--port={_free_port()}", f"--dashboard-host={HERE}"),
        *(f"--dashboard-port={port}", f"--dashboard-agent-listen-port={_free_port()}"),
        f"--temp-dir={mkdtemp(prefix='study-ray-')}",  # jobs go to the last Ray that was started in theirs
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with (home / LOG).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - the words are ours
            command,
            env=os.environ | {"PATH": path},  # jobs are started with its `python`
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url, deadline = f"http://{HERE}:{port}", time.monotonic() + STARTS_S
    while not _answers(url, home):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            said = (home / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise StudyError(
                f"Ray does not start here ({said[-1] if said else 'it said nothing'}); see {home / LOG}"
            )
        time.sleep(LOOK_S)
    (home / FILE).write_text(json.dumps({"pid": process.pid, "url": url}), encoding="utf-8")
    return url


def _entry(home: Path) -> Mapping[str, str]:
    """The environment of whoever is let in; the token is made where there is none."""
    path = home / TOKEN
    if not path.is_file():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="utf-8")
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)}


def _answers(url: str, home: Path) -> bool:
    """Whether a Ray answers there that knows our token."""
    token = (home / TOKEN).read_text(encoding="utf-8").strip()
    request = Request(f"{url}/api/version", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    try:
        with urlopen(request, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HERE, 0))
        return int(found.getsockname()[1])
