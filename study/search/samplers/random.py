"""Each parameter at random, even on its own scale."""

from optuna.samplers import RandomSampler

from study.search.samplers.registry import Draw


def chance(draw: Draw) -> RandomSampler:
    """The sampler that learns nothing."""
    return RandomSampler(draw.seed)
