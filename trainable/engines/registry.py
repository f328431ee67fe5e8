"""Engines: the same mathematics on different hardware. A new engine is one file and one line in `ENGINES`."""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from trainable.contract import StudyError
from trainable.data.interactions import Fold
from trainable.engines.engine import Engine

ENGINES = {
    "numba": "trainable.engines.numba:NumbaEngine",
    "torch": "trainable.engines.torch:TorchEngine",
    "plain": "trainable.engines.plain:PlainEngine",
}

AUTO = {"cpu": "numba", "cuda": "torch"}
"""The fastest engine on each kind of device."""


def engine(
    name: str,
    fold: Fold,
    *,
    seed: int,
    device: str,
    threads: int,
    dtype: str = "float32",
    gpu_share: float | None = None,
) -> Engine:
    """Make the engine `name`, or with "auto" the fastest for the device. StudyError for an unknown engine.

    `gpu_share` limits this process to that part of the GPU's memory.
    """
    name = AUTO[device] if name == "auto" else name
    if name not in ENGINES:
        raise StudyError(f"engine: {name!r} is not known; use {', '.join(ENGINES)}")
    if gpu_share is not None:
        import_module("trainable.engines.device").limit(gpu_share)
    module, _, attribute = ENGINES[name].partition(":")
    made = getattr(import_module(module), attribute)(
        fold, seed=seed, device=device, threads=threads, dtype=dtype
    )
    return cast(Engine, made)


def prepare(name: str, compiling: Callable[[], object]) -> None:
    """Compile the code of the engine `name` for this machine's CPU, in this process and on disk.

    `compiling` is called first if that takes seconds, usually once per machine. "auto" is the fastest engine
    on a CPU. Does nothing for an engine without compiled code.
    """
    if (AUTO["cpu"] if name == "auto" else name) == "numba":
        import_module("trainable.engines.numba").prepare(compiling)
