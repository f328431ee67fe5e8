"""What works here: what a study needs, what was found, what a spec would get on which machines."""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version

from study import limits
from study.runtime.placement import Node, seats, summary
from study.spec import StudySpec
from trainable.data.registry import known

NEEDED = ("torch", "numba", "ray", "optuna", "moocore")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a study needs or can use, as found here."""

    what: str
    found: str
    fine: bool


def findings() -> Iterator[Finding]:
    """Python, the libraries, cores, GPUs and cached data, each imported or asked for real."""
    yield Finding("pareto-study", version("pareto-study"), fine=True)
    yield Finding("python", platform.python_version(), fine=True)
    for name in NEEDED:
        yield _library(name)
    faults = list(limits.faults(ray=True))
    for fault in faults:
        yield Finding("limits", fault, fine=False)
    if not faults:
        yield Finding("limits", "memory, processes, files: enough", fine=True)
    yield Finding("CPU cores", str(os.cpu_count()), fine=True)
    yield _gpus()
    for source in known():
        yield Finding(
            f"data {source.name}", "cached" if source.cached else "fetched when asked for", fine=True
        )


def offers(spec: StudySpec | None, address: str | None) -> list[Node]:
    """The machines that a study has: of the cluster at a URL, of the one that the spec finds, or this one.

    StudyError where the cluster does not answer.
    """
    if address is not None:
        from study.remote.jobs import Head  # Ray takes a second to import

        return Head(address).nodes()
    if spec is not None and spec.runtime.address == "auto":
        from study.runtime import ray_start

        with ray_start.connected(spec):
            return ray_start.nodes()
    try:
        gpus = len(_gpu_names())
    except ImportError:  # the findings report it
        gpus = 0
    return [Node("", "this machine", float(os.cpu_count() or 1), float(gpus))]


def offered(nodes: Sequence[Node]) -> Iterator[Finding]:
    """Each machine, and what it offers."""
    for node in nodes:
        yield Finding("node", str(node), fine=True)


def gets(spec: StudySpec, nodes: Sequence[Node]) -> Iterator[str]:
    """The lanes that a spec gets on these machines, in words. StudyError where there can be none."""
    for words in summary(seats(spec.runtime, nodes)):
        yield f"lanes of {spec.name}: {words}"


def _library(name: str) -> Finding:
    try:
        module = import_module(name)
    except ImportError as error:
        return Finding(name, str(error), fine=False)
    return Finding(name, str(getattr(module, "__version__", "imported")), fine=True)


def _gpus() -> Finding:
    try:
        names = _gpu_names()
    except ImportError:
        return Finding("GPUs", "unknown without torch", fine=False)
    return Finding("GPUs", ", ".join(names) or "none: studies train on the CPU", fine=True)


def _gpu_names() -> list[str]:
    cuda = import_module("torch").cuda
    return [cuda.get_device_name(i) for i in range(cuda.device_count())]
