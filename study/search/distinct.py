"""Count the distinct configurations of a space, find those tried, and choose an untried one.

Two trials have the same configuration if all values but the seed that affect training are equal. Without
sharing the weight changes nothing (law 7), so there it counts only if an initial configuration names it.
Configurations are counted by arithmetic and never listed: five lists of thirty values make 24 million.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf, prod
from random import Random
from typing import Any

from study.record.rows import TrialRecord, TrialSummary
from study.spec import StudySpec
from study.spec.domains import Form, Range, Whole
from study.spec.sections import Space
from trainable.contract import Config

ParameterValues = Mapping[str, Any]
"""A full or partial configuration, by the names of its branch."""

Branch = Mapping[str, Sequence[Any] | None]
"""Values of each name under one sharing, in order; None for a range of real numbers."""


# --- the space -------------------------------------------------------------------------------------------


def branches(spec: StudySpec) -> dict[str, Branch]:
    """The space by sharing; the branch "none" has no weight."""
    choices = {name: _choices(spec.form(name)) for name in Space.model_fields}
    return {
        sharing: {
            name: (sharing,) if name == "sharing" else values
            for name, values in choices.items()
            if name != "weight" or sharing != "none"
        }
        for sharing in choices["sharing"] or ()
    }


def size(branch: Branch) -> float:
    """Number of configurations, exact; `inf` if a name has a range of real numbers."""
    lengths = [len(values) for values in branch.values() if values is not None]
    return prod(lengths) if len(lengths) == len(branch) else inf


def space_size(spec: StudySpec) -> float:
    """Number of distinct configurations of a spec's space; `inf` if real numbers are searched."""
    return sum(map(size, branches(spec).values()))


def _choices(form: Form) -> Sequence[Any] | None:
    match form:
        case Whole(bounds=(low, high)):
            return range(int(low), int(high) + 1)
        case Range():
            return None
        case tuple():
            return form
    return (form,)


def _narrowed(branch: Branch, pinned: ParameterValues) -> Branch | None:
    """The branch restricted to the pinned values, or None if it lacks one. Other names are ignored."""
    narrowed = dict(branch)
    for name in pinned.keys() & branch.keys():
        values = branch[name]
        if values is not None and pinned[name] not in values:
            return None
        narrowed[name] = (pinned[name],)
    return narrowed


def _index(branch: Branch, values: ParameterValues) -> int | None:
    """Position of a configuration in a finite branch, from 0; None if it is outside."""
    index = 0
    for name, choices in branch.items():
        if choices is None or name not in values or values[name] not in choices:
            return None
        index = index * len(choices) + choices.index(values[name])
    return index


def _at(branch: Branch, index: int) -> dict[str, Any]:
    """The inverse of `_index`."""
    values: dict[str, Any] = {}
    for name, choices in reversed([*branch.items()]):
        if choices is None:
            raise ValueError(f"{name} is a range of real numbers, which has no positions")
        index, position = divmod(index, len(choices))
        values[name] = choices[position]
    return values


class Untried:
    """Configurations with all `pinned` values that are not in `tried`; `counts` has their number by sharing.

    A pinned weight excludes the branch without one, unless only that branch has the other values.
    Sharings without an untried configuration are not in `counts`.
    """

    def __init__(
        self, space: Mapping[str, Branch], tried: Iterable[ParameterValues], pinned: ParameterValues
    ) -> None:
        fitting = {
            sharing: narrowed
            for sharing, branch in space.items()
            if (narrowed := _narrowed(branch, pinned)) is not None
        }
        complete = {sharing: branch for sharing, branch in fitting.items() if pinned.keys() <= branch.keys()}
        self._branches = complete or fitting
        found: dict[str, set[int]] = {sharing: set() for sharing in self._branches}
        only = next(iter(space)) if len(space) == 1 else None
        for values in tried:
            sharing = values.get("sharing", only)
            branch = self._branches.get(sharing)
            if branch is not None and (index := _index(branch, values)) is not None:
                found[sharing].add(index)
        self._taken = {sharing: sorted(indices) for sharing, indices in found.items()}
        counts = {sharing: size(branch) - len(found[sharing]) for sharing, branch in self._branches.items()}
        self.counts = {sharing: count for sharing, count in counts.items() if count > 0}

    def choose(self, chance: Random) -> tuple[str, dict[str, Any] | None]:
        """A sharing, and one of its untried configurations; None in a branch with real numbers.

        In a finite space all untried configurations are equally likely, else all sharings are. IndexError
        if all were tried.
        """
        weights = None if inf in self.counts.values() else [*self.counts.values()]
        (sharing,) = chance.choices([*self.counts], weights)
        count = self.counts[sharing]
        return sharing, None if count == inf else self._untried(sharing, chance.randrange(int(count)))

    def _untried(self, sharing: str, rank: int) -> dict[str, Any]:
        """The untried configuration at position `rank`, from 0."""
        for taken in self._taken[sharing]:
            if taken > rank:
                break
            rank += 1
        return _at(self._branches[sharing], rank)


# --- the trials ------------------------------------------------------------------------------------------


class Tried:
    """The configurations of trials, added by number; the length counts the distinct ones."""

    def __init__(self) -> None:
        self._first: dict[Config, int] = {}
        self._weightless: dict[Config, int] = {}

    @classmethod
    def of(cls, trials: Iterable[tuple[int, TrialRecord | TrialSummary]]) -> "Tried":
        """The configurations of these trials; trials without one are skipped."""
        tried = cls()
        for number, trial in trials:
            if trial.config is not None:
                tried.add(number, trial.config)
        return tried

    def add(self, number: int, config: Config) -> int | None:
        """Add a trial; return the earlier trial with this configuration, or None."""
        earlier = self._first.get(config, self._weightless.get(config))
        if earlier is None:
            self._first[config] = number
            self._weightless.setdefault(_weightless(config), number)
        return earlier

    def __len__(self) -> int:
        return len(self._first)

    def left(self, spec: StudySpec, begun: int) -> float:
        """Number of untried configurations of a spec's space, after `begun` trials.

        If all were tried: 1 if the next initial configuration shares nothing and names a new weight, else 0.
        """
        left = space_size(spec) - len(self._weightless)
        if left > 0 or begun >= len(spec.search.initial):
            return max(left, 0)
        named = spec.search.initial[begun].model_dump(exclude_none=True)
        weight = named.pop("weight", None) if isinstance(spec.form("weight"), Range | tuple) else None
        space = branches(spec)
        branch = _narrowed(space["none"], named) if "none" in space else None
        if weight is None or branch is None or (len(space) > 1 and "sharing" not in named):
            return 0
        taken = (c.as_dict() for c in self._first if c.weight == weight and c.sharing == "none")
        return int(sum(_index(branch, values) is not None for values in taken) < size(branch))


def repeats(trials: Mapping[int, TrialRecord | TrialSummary]) -> dict[int, int]:
    """Trials that repeat a configuration → the first trial with it. Empty except in old records."""
    tried, found = Tried(), {}
    for number, trial in sorted(trials.items()):
        if trial.config is not None and (earlier := tried.add(number, trial.config)) is not None:
            found[number] = earlier
    return found


def _weightless(config: Config) -> Config:
    """The configuration, with weight None if nothing is shared."""
    if config.sharing != "none" or config.weight is None:
        return config
    return replace(config, weight=None)
