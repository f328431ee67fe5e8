"""A real Ray head with a dashboard and a token, on this machine's loopback."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

from command import until

BIN = Path(sys.executable).parent
UP_S = 90.0


@dataclass(frozen=True)
class Head:
    """A running head: address of the dashboard, environment for a client, home; `end` ends it abruptly."""

    address: str
    environment: Mapping[str, str]
    home: Path
    end: Callable[[], None]


def free_port() -> int:
    """A port that is free now."""
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def head(home: Path, *, cpus: int = 2) -> Iterator[Head]:
    """Run a head with `cpus` CPUs and the home folder `home`; leave no process."""
    token, dashboard = uuid.uuid4().hex, free_port()
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    environment = (
        os.environ
        | secret
        | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    )
    home.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="ray-") as temp, (home / "ray.log").open("wb") as log:
        process = subprocess.Popen(
            [BIN / "ray", "start", "--head", "--block", f"--num-cpus={cpus}", "--num-gpus=0",
             "--node-ip-address=127.0.0.1", f"--port={free_port()}", f"--temp-dir={temp}",
             "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
             f"--dashboard-agent-listen-port={free_port()}"],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        found = Head(f"http://127.0.0.1:{dashboard}", secret, home, process.terminate)
        try:
            until(lambda: answers(dashboard) or process.poll() is not None, "Ray's dashboard", UP_S)
            assert process.poll() is None, (home / "ray.log").read_text()
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def answers(port: int) -> bool:
    """True if a process listens on this port of the loopback."""
    with socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0
