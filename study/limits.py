"""Limits of the process: memory, processes, open files, and a folder for temporary files.

They are checked before training. Below them libraries fail with obscure errors, or retry for ever. This
module imports only the standard library.
"""

import os
import resource
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from trainable.contract import StudyError

GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ProcessLimit:
    """A limit of the shell's `ulimit`, and the smallest value that a process needs, alone and with Ray."""

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


def faults(*, ray: bool) -> Iterator[str]:
    """Reasons that training cannot work here, each with its remedy; `ray` checks for a local Ray too."""
    for limit in PROCESS_LIMITS:
        given, _ = resource.getrlimit(limit.kind)
        least = limit.with_ray if ray else limit.least
        unchecked = limit.kind == resource.RLIMIT_NPROC and os.geteuid() == 0  # root has no such limit
        if given == resource.RLIM_INFINITY or given >= least or unchecked:
            continue
        other = '; or set runtime.address = "inline", which needs less' if ray else ""
        yield (
            f"ulimit {limit.option}: {given // limit.unit:,} {limit.what} are too few; raise the "
            f"limit to {least // limit.unit:,} or more{other}"
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        yield "TMPDIR: no folder for temporary files; set it to a writable one"


def check(*, ray: bool = False) -> None:
    """StudyError if training cannot work here, with one line for each reason."""
    if found := list(faults(ray=ray)):
        raise StudyError("\n".join(found))
