"""Checks for `study doctor`: libraries, limits, devices, data, and the lanes that a spec gets."""

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
class Check:
    """One thing that a study needs or can use, as found on this machine."""

    what: str
    found: str
    fine: bool


def findings() -> Iterator[Check]:
    """Check Python, libraries, limits, cores, GPUs and cached data; each library is imported."""
    yield Check("pareto-study", version("pareto-study"), fine=True)
    yield Check("python", platform.python_version(), fine=True)
    for name in NEEDED:
        yield _library(name)
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


def offers(spec: StudySpec | None, address: str | None) -> list[Node]:
    """Nodes for a study: of the cluster at `address`, of the cluster that the spec names, or this machine.

    StudyError if the cluster does not answer.
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


def offered(nodes: Sequence[Node]) -> Iterator[Check]:
    """A finding for each node, with its resources."""
    for node in nodes:
        yield Check("node", str(node), fine=True)


def gets(spec: StudySpec, nodes: Sequence[Node]) -> Iterator[str]:
    """Lanes that a spec gets on these nodes, in words. StudyError if there is no room for any."""
    for words in summary(seats(spec.runtime, nodes)):
        yield f"lanes of {spec.name}: {words}"


def _library(name: str) -> Check:
    try:
        module = import_module(name)
    except ImportError as error:
        return Check(name, str(error), fine=False)
    return Check(name, str(getattr(module, "__version__", "imported")), fine=True)


def _gpus() -> Check:
    try:
        names = _gpu_names()
    except ImportError:
        return Check("GPUs", "unknown without torch", fine=False)
    return Check("GPUs", ", ".join(names) or "none: studies train on the CPU", fine=True)


def _gpu_names() -> list[str]:
    cuda = import_module("torch").cuda
    return [cuda.get_device_name(i) for i in range(cuda.device_count())]
