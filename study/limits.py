"""Limits of the process: memory, processes, open files, and a folder for temporary files.

They are checked before training. Below them libraries fail with obscure errors, or retry for ever. This
module imports only the standard library.
"""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainable.contract import StudyError

GB = 1_000_000_000
INLINE = 'set runtime.address = "inline", which needs less'


@dataclass(frozen=True, slots=True)
class ProcessLimit:
    """A limit of the shell's `ulimit`, and the amount that a study needs free, alone and with Ray."""

    what: str
    option: str
    kind: int
    least: int
    with_ray: int
    unit: int = 1


PROCESS_LIMITS = (
    ProcessLimit("kB of address space", "-v", resource.RLIMIT_AS, int(1.5 * GB), 16 * GB, unit=1024),
    ProcessLimit("processes and threads", "-u", resource.RLIMIT_NPROC, 100, 1000),
    ProcessLimit("open files", "-n", resource.RLIMIT_NOFILE, 128, 1024),
)


def faults(*, ray: bool, instead: str = INLINE) -> Iterator[str]:
    """Reasons that training cannot work here, each with its remedy.

    `ray` checks for a local Ray too; `instead` is another remedy for its needs.
    """
    for limit in PROCESS_LIMITS:
        given, _ = resource.getrlimit(limit.kind)
        shared = limit.kind == resource.RLIMIT_NPROC  # by all processes of the user; root has no such limit
        if given == resource.RLIM_INFINITY or (shared and os.getuid() == 0):
            continue
        used = _running_elsewhere() if shared else 0
        least = used + (limit.with_ray if ray else limit.least)
        if given >= least:
            continue
        in_use = f", {used:,} of them in use," if shared else ""
        other = f"; or {instead}" if ray else ""
        yield (
            f"ulimit {limit.option}: {given // limit.unit:,} {limit.what}{in_use} are too few; raise the "
            f"limit to {least // limit.unit:,} or more{other}"
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        yield "TMPDIR: no folder for temporary files; set it to a writable one"


def _running_elsewhere() -> int:
    """Number of this user's processes and threads, without this process; 0 without /proc."""
    count, user = 0, os.getuid()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if process.stat().st_uid == user and process.name != str(os.getpid()):
                count += (process / "task").stat().st_nlink - 2
    return count


def check(*, ray: bool = False, instead: str = INLINE) -> None:
    """StudyError if training cannot work here, with one line for each of `faults`."""
    if found := list(faults(ray=ray, instead=instead)):
        raise StudyError("\n".join(found))
