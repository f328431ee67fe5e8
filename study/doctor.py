"""Checks for `study doctor`: libraries, limits, devices, data, and the lanes that a spec gets."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from study import limits
from study.runtime.placement import Node, seats, summary
from study.spec import StudySpec
from trainable.data.registry import known

NEEDED = ("torch", "numba", "ray", "optuna", "moocore")

GPU_NAMES = (
    "import torch; print(*map(torch.cuda.get_device_name, range(torch.cuda.device_count())), sep='\\n')"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a study needs or can use, as found on this machine."""

    what: str
    found: str
    fine: bool


def findings() -> Iterator[Check]:
    """Check Python, libraries, limits, cores, GPUs and cached data.

    Each library is imported in a process of its own: if memory is short, an import may end its process.
    """
    yield Check("pareto-study", version("pareto-study"), fine=True)
    yield Check("python", platform.python_version(), fine=True)
    with ThreadPoolExecutor() as pool:
        yield from pool.map(_library, NEEDED)
    faults = list(limits.faults(ray=True))
    for fault in faults:
        yield Check("limits", fault, fine=False)
    if not faults:
        yield Check("limits", "memory, processes, files: enough", fine=True)
    yield Check("CPU cores", str(os.cpu_count()), fine=True)
    yield _gpus()
    for source in known():
        yield Check(
            f"data {source.name}", "cached" if source.cached else "downloaded on first use", fine=True
        )


def offers(spec: StudySpec | None, address: str | None) -> tuple[list[Node], bool]:
    """Nodes for a study, and if an autoscaler may add some: of the cluster at `address`, of the cluster that
    the spec names, or this machine. StudyError if the cluster does not answer.
    """
    if address is not None:
        from study.remote.jobs import Head  # Ray takes a second to import

        head = Head(address)
        return head.nodes(), head.grows
    if spec is not None and spec.runtime.address == "auto":
        from study.runtime import ray_start

        with ray_start.connected(spec):
            return ray_start.nodes(), ray_start.grows()
    gpus = len(_gpu_names() or ())
    return [Node("", "this machine", float(os.cpu_count() or 1), float(gpus))], False


def offered(nodes: Sequence[Node]) -> Iterator[Check]:
    """A finding for each node, with its resources."""
    for node in nodes:
        yield Check("node", str(node), fine=True)


def gets(spec: StudySpec, nodes: Sequence[Node], *, grows: bool) -> Iterator[str]:
    """Lanes that a spec gets on these nodes, in words. StudyError if there is no room for any."""
    for words in summary(seats(spec.runtime, nodes, grows=grows)):
        yield f"lanes of {spec.name}: {words}"


def _library(name: str) -> Check:
    found = _python(f"import {name}; print(getattr({name}, '__version__', 'imported'))")
    lines = (found.stdout if found.returncode == 0 else found.stderr).strip().splitlines()
    last = lines[-1] if lines else f"its import ends with code {found.returncode}"
    return Check(name, last, fine=found.returncode == 0)


def _gpus() -> Check:
    names = _gpu_names()
    if names is None:
        return Check("GPUs", "unknown without torch", fine=False)
    return Check("GPUs", ", ".join(names) or "none: studies train on the CPU", fine=True)


@cache
def _gpu_names() -> list[str] | None:
    """Names of the GPUs here; None if torch cannot be imported."""
    found = _python(GPU_NAMES)
    return [*filter(None, found.stdout.splitlines())] if found.returncode == 0 else None


def _python(code: str) -> "subprocess.CompletedProcess[str]":
    """Run code in another process of this Python."""
    return subprocess.run(  # noqa: S603 - the code is this module's
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
