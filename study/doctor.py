"""What works on this machine: what a study needs, what was found, whether it will do."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version

from trainable.data import known

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
    yield Finding("CPU cores", str(os.cpu_count()), fine=True)
    yield _gpus()
    for source in known():
        yield Finding(
            f"data {source.name}", "cached" if source.cached else "fetched when asked for", fine=True
        )


def _library(name: str) -> Finding:
    try:
        module = import_module(name)
    except ImportError as error:
        return Finding(name, str(error), fine=False)
    return Finding(name, str(getattr(module, "__version__", "imported")), fine=True)


def _gpus() -> Finding:
    try:
        cuda = import_module("torch").cuda
    except ImportError:
        return Finding("GPUs", "unknown without torch", fine=False)
    names = [cuda.get_device_name(i) for i in range(cuda.device_count())]
    return Finding("GPUs", ", ".join(names) or "none: studies train on the CPU", fine=True)
