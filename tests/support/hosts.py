"""Hosts in network namespaces of this machine, made by iproute2 and unshare: with their own addresses, links
and /tmp. They share only a folder that a test gives them, and are removed afterwards.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command import with_pid

ROOT = Path(__file__).parents[2]
NETWORK = "10.213.77"
"""First three bytes of every address; the switch has no address, so the network is separate."""

SHARED = Path("/tmp/shared")
"""The shared folder, as a host sees it."""

HEALTH = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""Ray gives up a node whose link is cut after nine seconds instead of minutes."""


@dataclass
class Host:
    """One host: its namespace, its address, and the folder that is its /tmp."""

    name: str
    address: str
    tmp: Path
    shared: Path | None
    switch: str
    secret: Mapping[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """Home folder of its user, as this machine sees it."""
        return self.tmp / "home"

    def start(self, *command: str | Path, log: str) -> subprocess.Popen[bytes]:
        """Start a command on this host, in its home folder; its output goes to `log` in its /tmp."""
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
            **self.secret,
            **HEALTH,
            "HOME": "/tmp/home",
            "TMPDIR": "/tmp",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with (self.tmp / log).open("ab") as file:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, "unshare", "--mount", "--uts",
                 "sh", "-euc", self._entering(), "sh", *command],
                env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def _entering(self) -> str:
        """Shell lines that mount the host's file systems and then execute the command."""
        kept = [place for place in (ROOT, Path(sys.prefix)) if place.is_relative_to("/tmp")]
        lines = ["mount --make-rprivate /", f"echo {self.name} > /proc/sys/kernel/hostname"]
        for place in kept:  # the project's code, if /tmp would hide it
            there = self.tmp / place.relative_to("/tmp")
            there.mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --bind {shlex.quote(str(place))} {shlex.quote(str(there))}")
        if self.shared is not None:
            lines.append(
                f"mount --bind {shlex.quote(str(self.shared))} {shlex.quote(str(self.tmp / 'shared'))}"
            )
        lines += [
            f"mount --rbind {shlex.quote(str(self.tmp))} /tmp",
            "mount -t tmpfs none /dev/shm",
            "cd /tmp/home",
            'exec "$@"',
        ]
        return "\n".join(lines)

    def link(self, state: str) -> None:
        """Cut its link ("down"), or restore it ("up")."""
        _ip("-n", self.switch, "link", "set", f"to-{self.address.rpartition('.')[2]}", state)

    def kill(self) -> None:
        """Kill all its processes."""
        while pids := _ip("netns", "pids", self.name).split():
            for pid in pids:
                with_pid(int(pid), signal.SIGKILL)
        for process in self.processes:
            process.wait()


@dataclass
class Network:
    """The switch that connects hosts."""

    switch: str
    folder: Path
    stack: ExitStack
    hosts: int = 0

    def host(self, secret: Mapping[str, str], *, shared: Path | None = None) -> Host:
        """Add a host, with its link up; it sees the folder `shared` of this machine as /tmp/shared."""
        self.hosts += 1
        number = self.hosts
        name, link = f"{self.switch}-{number}", f"to-{number}"
        tmp = self.folder / f"host-{number}"
        for place in (tmp / "home", *([tmp / "shared"] if shared else [])):
            place.mkdir(parents=True)
        _ip("netns", "add", name)
        self.stack.callback(_ip, "netns", "del", name)
        _ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", link, "netns", self.switch)
        _ip("-n", self.switch, "link", "set", link, "master", "switch", "up")
        _ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")
        _ip("-n", name, "route", "add", "default", "dev", "eth0")  # Ray finds its own address by it
        host = Host(name, f"{NETWORK}.{number}", tmp, shared, self.switch, secret)
        self.stack.callback(host.kill)
        return host


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Make a switch; remove it and its hosts at the end. Skips without the privileges; fails in CI."""
    switch = f"study-{os.getpid()}"
    with ExitStack() as stack:
        try:
            _ip("netns", "add", switch)
            stack.callback(_ip, "netns", "del", switch)
            _ip("-n", switch, "link", "add", "switch", "type", "bridge")
            _ip("-n", switch, "link", "set", "switch", "up")
            subprocess.run(["unshare", "--mount", "--uts", "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = f"needs network and mount namespaces, which want root and iproute2: {error}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield Network(switch, folder, stack)


def _ip(*arguments: str) -> str:
    """Output of `ip`."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
