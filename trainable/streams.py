"""Random streams by key. A stream depends on its key alone, never on earlier draws (law 3)."""

from hashlib import blake2b

import numpy as np


def stream(seed: int, *, use: str, replicate: int = 0, epoch: int = 0) -> np.random.Generator:
    """The random stream of (seed, use, replicate, epoch), at its beginning; ValueError below 0.

    Equal keys give equal streams on every machine; different keys give independent ones. Counter-based
    (Philox: Salmon et al. 2011, doi 10.1145/2063384.2063405), keyed through NumPy's SeedSequence.

    >>> a, b = stream(0, use="batches", epoch=3), stream(0, use="batches", epoch=3)
    >>> bool((a.permutation(9) == b.permutation(9)).all())
    True
    """
    return np.random.Generator(np.random.Philox(_sequence(seed, use, replicate, epoch)))


def derive(seed: int, *, use: str, number: int) -> int:
    """A seed in [0, 2³²) for the `number`-th `use`, for objects that take a seed, such as samplers."""
    return int(_sequence(seed, use, number).generate_state(1, np.uint32)[0])


def _sequence(seed: int, use: str, *numbers: int) -> np.random.SeedSequence:
    name = int.from_bytes(blake2b(use.encode(), digest_size=8).digest(), "little")
    return np.random.SeedSequence(seed, spawn_key=(name, *numbers))
