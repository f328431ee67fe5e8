"""Who drives a study: a process, told from all others, and from those that get its number after it."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: the host it is on, its number there, and what no other process of that number shares.

    `kernel` names the boot and the process namespace in which the number holds, "" where the system does not
    say; `born` counts clock ticks from that boot to the process's start, 0 where the system does not say.
    """

    host: str
    kernel: str
    pid: int
    born: int

    @classmethod
    def here(cls) -> "Owner":
        """The process that asks."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "Owner":
        """The process of this number on this machine, now."""
        return cls(socket.gethostname(), _kernel(), pid, _born(pid) or 0)

    @property
    def running(self) -> bool | None:
        """Whether it runs; None where that cannot be seen from here: on another host, in another boot or
        namespace, or because the system does not say when a process started.
        """
        if (self.host, self.kernel) != (socket.gethostname(), _kernel()):
            return None
        if (found := _born(self.pid)) is None:
            return False
        return found == self.born if found and self.born else None


def _kernel() -> str:
    """The boot and the process namespace: a process's number says nothing in another container, or after a
    restart of the machine.
    """
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _born(pid: int) -> int | None:
    """When a process started, in clock ticks after the boot, 0 where the system does not say; None where it
    does not run. One that was killed and that nobody has reaped, as in many containers, does not.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # another user's
        pass
    try:
        words = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    state, *numbers = words.rpartition(")")[2].split()  # its name, in brackets, may hold anything
    return None if state == "Z" else int(numbers[18])
