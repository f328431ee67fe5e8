"""A device as PyTorch's engines use it: what tensors on it are like, and how it computes."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainable.contract import StudyError

CONTEXT_BYTES = 640 << 20
"""What is left to CUDA itself in each process, which no allocator counts: a high estimate, not measured."""

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def like(device: str, dtype: str) -> Tensor:
    """An empty tensor (0,) of that kind on "cpu" or "cuda"; StudyError where there is no GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        raise StudyError("device: 'cuda' was asked for, but PyTorch sees no GPU here; use cpu")
    return torch.empty(0, dtype=DTYPES[dtype], device=device)


def limit(share: float) -> None:
    """Give this process `share` of the GPU's memory, CUDA's own part included; StudyError where that is all.

    Ray divides GPUs by count only; without this, one of four lanes could take the memory of all.
    """
    _, total = torch.cuda.mem_get_info()
    if (own := share - CONTEXT_BYTES / total) <= 0:
        raise StudyError(
            f"runtime.gpus_per_lane: {share:g} of this GPU leave no room beside CUDA's own; use more"
        )
    torch.cuda.set_per_process_memory_fraction(own)


def free_bytes() -> int:
    """What this process may still take of the GPU's memory, and would find."""
    free, total = torch.cuda.mem_get_info()
    mine = torch.cuda.get_per_process_memory_fraction() * total - torch.cuda.memory_allocated()
    return int(min(free, mine))


def ids(values: NDArray[np.integer], like: Tensor) -> Tensor:
    """A copy of ids, as integers on the device of `like`."""
    return torch.tensor(values, dtype=torch.int64, device=like.device)


@contextmanager
def arithmetic(threads: int) -> Iterator[None]:
    """So many threads; and numbers below the normal range are 0, or waiting rows are 15 times slower."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
