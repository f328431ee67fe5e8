"""A private Docker engine for tests: its own data, socket and, for containers, network namespace.

Builds need the machine's network, so the engine is started twice on the same data: on the machine's network
to build, then in a namespace with bridges and firewall to run the images.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from threading import Thread

import pytest
from command import until

ROOT = Path(__file__).parents[2]
DOCKER = "/usr/bin/docker"  # Debian's, which goes with its engine
COMPOSE = Path(sys.executable).with_name("docker-compose")
NEEDED = {
    DOCKER: "docker.io",
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
}
"""Program → its Debian package."""

BARE = ("--iptables=false", "--ip6tables=false", "--bridge=none")


def require() -> None:
    """Skip without root or a needed program; fail in CI."""
    missing = {package for program, package in NEEDED.items() if shutil.which(program) is None}
    reason = (
        f"Docker is not installed (Debian: apt-get install {' '.join(sorted(missing))})" if missing else ""
    )
    reason = reason or ("a Docker engine needs root" if os.getuid() else "")
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


class Engine:
    """An engine with all its files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = os.environ | {
            "DOCKER_HOST": f"unix://{folder}/socket",
            "DOCKER_BUILDKIT": "1",
            "DOCKER_API_VERSION": "1.41",  # of Debian's engine; Compose's default is newer
        }

    @contextmanager
    def running(self, *, isolated: bool = False) -> Iterator[None]:
        """Run the engine; `isolated` in its own network namespace, where it makes bridges and rules."""
        places = (
            f"--host=unix://{self._folder}/socket",
            f"--data-root={self._folder}/data",
            f"--exec-root={self._folder}/exec",
            f"--pidfile={self._folder}/pid",
        )
        command = ["dockerd", "--storage-driver=overlay2", *places, *(() if isolated else BARE)]
        if isolated:
            command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(self._answers, f"Docker's engine; its log is {self._folder / 'log'}")
            yield
        finally:
            self._process.terminate()  # it stops its containers
            self._process.wait(120)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        asked = subprocess.run([DOCKER, "info"], env=self._environment, capture_output=True, check=False)
        return asked.returncode == 0

    def docker(self, *arguments: object) -> str:
        """Output of Docker's client; AssertionError with all output if it fails."""
        return self._run([DOCKER, *map(str, arguments)])

    def compose(self, *arguments: str, variables: dict[str, str]) -> str:
        """Output of Docker Compose, with these variables for its file."""
        return self._run([str(COMPOSE), "--file", str(ROOT / "docker/compose.yaml"), *arguments], variables)

    def near(self, command: Sequence[object], variables: dict[str, str], cwd: Path) -> str:
        """Output of a command in the engine's network, which has the published ports."""
        assert self._process is not None
        network = f"--net=/proc/{self._process.pid}/ns/net"
        return self._run(["nsenter", network, *map(str, command)], variables, cwd)

    def _run(
        self, command: list[str], variables: dict[str, str] | None = None, cwd: Path | None = None
    ) -> str:
        environment = self._environment | (variables or {})
        done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def base(engine: Engine, folder: Path, name: str) -> None:
    """Make an image of this machine's Debian release, with Python, from Debian packages."""
    release = dict(
        line.split("=", 1)
        for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
        if line
    )["VERSION_CODENAME"]
    archive = folder / "base.tar"
    packages = "--include=python3,python3-venv,ca-certificates"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", packages, release, archive]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    engine.docker("import", archive, name)


@contextmanager
def wheels(folder: Path) -> Iterator[str]:
    """Serve all wheels that the image needs on loopback; yield a pip.conf that finds them only there.

    This machine's pip downloads them with its own configuration.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [project["optional-dependencies"][extra] for extra in ("postgres", "service")]
    needs = [*project["dependencies"], *chain(*extras), "hatchling"]
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--constraint", ROOT / "constraints.txt"]
    subprocess.run([*download, "--dest", folder, *needs], check=True)
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"[global]\nno-index = true\nfind-links = http://127.0.0.1:{server.server_port}/\n"
        finally:
            server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """A folder over HTTP, without a line for each request."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the base names it
        """Log nothing."""
