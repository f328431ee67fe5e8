"""Description of the machine, in one line."""

import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy  # noqa: F401  loads BLAS
import torch
from threadpoolctl import threadpool_info

LIBRARIES = ("numpy", "torch", "numba", "scipy", "ray", "optuna")


def described() -> str:
    """CPU, cores, memory, BLAS kernel, GPU, versions, date, and load."""
    cores = len(os.sched_getaffinity(0))
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    parts = [f"{_cpu()}, {cores} cores, {memory_gb:.0f} GB", f"BLAS kernel {_blas()}"]
    if torch.cuda.is_available():
        parts.append(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    parts.append(", ".join([f"Python {platform.python_version()}", *filter(None, map(_library, LIBRARIES))]))
    load = os.getloadavg()[0]
    parts.append(f"{date.today():%Y-%m-%d}, load {load:.1f} at the start")
    return "; ".join(parts)


def quiet() -> bool:
    """True if the machine was nearly idle in the last minutes, apart from this process."""
    return os.getloadavg()[1] < 2


def _cpu() -> str:
    """The CPU's model; its architecture if the kernel does not know the model."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    values = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    found = {name.strip(): value.strip() for name, value in values.items()}
    if "model name" not in found:
        return platform.machine()
    return f"{found['model name']} (family {found['cpu family']}, model {found['model']})"


def _blas() -> str:
    """The kernels of NumPy's and SciPy's matrix products, as threadpoolctl reports them."""
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    kernels = {f"{library['internal_api']} {library.get('architecture', '')}".strip() for library in found}
    return ", ".join(sorted(kernels)) or "unknown"


def _library(name: str) -> str | None:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return None
