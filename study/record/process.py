"""The process that drives a study, identified beyond its number, which later processes may reuse."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its host, its number, and the scope and start time that make the number unique.

    `kernel` names the boot and the process namespace of the number, "" if unknown; `born` is the start time
    in clock ticks since that boot, 0 if unknown.
    """

    host: str
    kernel: str
    pid: int
    born: int

    @classmethod
    def here(cls) -> "Owner":
        """The calling process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "Owner":
        """The process that has this number on this machine now."""
        return cls(socket.gethostname(), _kernel(), pid, _born(pid) or 0)

    @property
    def running(self) -> bool | None:
        """True if it runs; None if that is not visible from here: on another host, in another boot or
        namespace, or without start times.
        """
        if (self.host, self.kernel) != (socket.gethostname(), _kernel()):
            return None
        if (found := _born(self.pid)) is None:
            return False
        return found == self.born if found and self.born else None


def _kernel() -> str:
    """The boot and the process namespace, "" if unknown: in another container, or after a restart of the
    machine, the number of a process has another meaning.
    """
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _born(pid: int) -> int | None:
    """Start time of a process in clock ticks since the boot, 0 if unknown; None if it does not run. A zombie,
    as containers without an init process keep them, does not run.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it belongs to another user
        pass
    try:
        words = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    state, *numbers = words.rpartition(")")[2].split()  # its name, in brackets, may hold anything
    return None if state == "Z" else int(numbers[18])
