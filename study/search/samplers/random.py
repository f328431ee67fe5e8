"""Random search: each parameter is uniform on its own scale."""

from optuna.samplers import RandomSampler

from study.search.samplers.registry import Draw


def make(draw: Draw) -> RandomSampler:
    """Optuna's random sampler."""
    return RandomSampler(draw.seed)
