"""The origin of a trial's configuration: named in the spec, drawn at random, or proposed by the sampler."""

from math import floor
from typing import Literal, get_args

from study.spec.sections import SamplerName, Search

ConfigOrigin = Literal["initial", "explore", "unknown"] | SamplerName
"""A sampler's name for its own proposals; "unknown" in records that did not keep it."""

ORIGINS: tuple[str, ...] = ("initial", "explore", "unknown", *get_args(SamplerName))


def origin(search: Search, trial: int) -> ConfigOrigin:
    """The origin of a trial's configuration, which its number alone decides."""
    if trial < len(search.initial):
        return "initial"
    return search.sampler if explored(search, trial) is None else "explore"


def explored(search: Search, trial: int) -> int | None:
    """Number of explorations before trial `trial` if it is one itself, else None.

    Explorations are spread evenly over the trials after the initial ones.
    """
    ask = trial - len(search.initial)
    before, after = floor(ask * search.explore), floor((ask + 1) * search.explore)
    return before if ask >= 0 and after > before else None
