"""Devices of the PyTorch engines: dtype, memory share, floating-point mode."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainable.contract import StudyError

CONTEXT_BYTES = 640 << 20
"""Memory of CUDA itself in each process, which no allocator counts: a high estimate, not measured."""

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def like(device: str, dtype: str) -> Tensor:
    """Empty tensor (0,) of `dtype` on "cpu" or "cuda"; StudyError if there is no GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        raise StudyError("device: 'cuda' needs a GPU, and PyTorch finds none; use cpu")
    return torch.empty(0, dtype=DTYPES[dtype], device=device)


def limit(share: float) -> None:
    """Limit the process to `share` of the GPU's memory, with CUDA's own part; StudyError if it is too small.

    Ray divides GPUs by count only: without a limit, one of four lanes could take all memory.
    """
    _, total = torch.cuda.mem_get_info()
    if (own := share - CONTEXT_BYTES / total) <= 0:
        raise StudyError(
            f"runtime.gpus_per_lane: {share:g} of this GPU's memory is less than CUDA itself needs; use more"
        )
    torch.cuda.set_per_process_memory_fraction(own)


def free_bytes() -> int:
    """Bytes of GPU memory that are free and within this process's limit."""
    free, total = torch.cuda.mem_get_info()
    mine = torch.cuda.get_per_process_memory_fraction() * total - torch.cuda.memory_allocated()
    return int(min(free, mine))


def ids(values: NDArray[np.integer], like: Tensor) -> Tensor:
    """Copy ids to the device of `like`, as int64."""
    return torch.tensor(values, dtype=torch.int64, device=like.device)


@contextmanager
def arithmetic(threads: int) -> Iterator[None]:
    """Set the number of threads; flush subnormal numbers, which make rarely drawn rows 15 times slower."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
