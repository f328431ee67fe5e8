"""A search on recorded curves: two lanes, one epoch per unit of time, the real samplers, rules and fronts."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from curves import Curves, Floats
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from analysis.front import hypervolume
from analysis.objective import objectives
from study.loop.rules.rule import Candidate, Rule
from study.search.samplers.keyed import KeyedSampler
from study.search.space import SearchSpace
from trainable.contract import Decision

LANES = 2


@dataclass
class Trace:
    """Hypervolume history: the values after each increase, and their member-epochs."""

    corner: Floats
    member_epochs: list[int] = field(default_factory=lambda: [0])
    volumes: list[float] = field(default_factory=lambda: [0.0])
    decisions: list[Decision] = field(default_factory=list)
    _front: Floats = field(default_factory=lambda: np.empty((0, 2)))

    def add(self, member_epochs: int, row: Floats) -> None:
        """Add a point that was measured after `member_epochs`."""
        if (row < self.corner).all() and not (self._front <= row).all(axis=1).any():
            self._front = np.vstack([self._front[~(row <= self._front).all(axis=1)], row])
            self.member_epochs.append(member_epochs)
            self.volumes.append(hypervolume(self._front, self.corner))

    def reached(self, target: float) -> float:
        """Member-epochs to a hypervolume; infinite if it was not reached."""
        index = int(np.searchsorted(self.volumes, target))
        return self.member_epochs[index] if index < len(self.volumes) else np.inf

    def at(self, member_epochs: float) -> float:
        """Hypervolume after `member_epochs`."""
        return self.volumes[int(np.searchsorted(self.member_epochs, member_epochs, side="right")) - 1]


def replay(
    curves: Curves, proposals: "Proposals", rule: Rule, *, most: int, least: int = 0, target: float = np.inf
) -> Trace:
    """Replay a search for `most` member-epochs, or until all configurations are used.

    After `least` member-epochs it ends once the hypervolume is `target`. As in the referee, the sampler gets
    the values of an ended trial before the next ask, and a trial at a rung is judged against earlier ones.
    """
    trace, corner, spent = Trace(curves.corner), tuple(curves.corner.tolist()), 0
    rungs: dict[int, list[Candidate]] = {}

    def lease() -> list[int]:
        """The next content of a lane: a configuration and its epochs, or nothing if all are used."""
        number = proposals.ask()
        return [] if number is None else [number, 0]

    lanes = [lease() for _ in range(LANES)]
    while any(lanes):
        for lane in filter(None, lanes):
            lane[1] += 1
            spent += 1
            number, epoch = lane
            trace.add(spent, curves.losses[number, epoch - 1])
            if spent >= most or (spent >= least and trace.volumes[-1] >= target):
                return trace
            ended = epoch == curves.epochs
            if not ended and rule.judges(epoch):
                *own, candidate = curves.candidates[number][:epoch]
                rung = rungs.setdefault(epoch, [])
                trace.decisions.append(rule.judge(corner, rung, own, candidate))
                rung.append(candidate)
                ended = trace.decisions[-1].verdict == "stop"
            if ended:
                proposals.tell(number, epoch)
                lane[:] = lease()
    return trace


class Proposals:
    """Configurations in the order of their trials; here a given order."""

    def __init__(self, order: Iterator[int]) -> None:
        self._order = order

    def ask(self) -> int | None:
        """The next configuration to train; None if none is left."""
        return next(self._order, None)

    def tell(self, number: int, epochs: int) -> None:
        """Report the end of a configuration after `epochs` epochs."""


class Sampled(Proposals):
    """Proposals of a spec's sampler, each replaced by the nearest recorded configuration."""

    def __init__(self, curves: Curves, *, sampler: str, seed: int, explore: float | None = None) -> None:
        search = curves.spec.search
        changed = {
            "sampler": sampler,
            "seed": seed,
            "explore": search.explore if explore is None else explore,
        }
        spec = curves.spec.model_copy(update={"search": search.model_copy(update=changed)})
        self._curves, self._space = curves, SearchSpace(spec)
        self._nearest = Nearest(KeyedSampler(spec, self._space), self._space, curves.parameters)
        directions = ["maximize" if o.larger_is_better else "minimize" for o in objectives(spec.objectives)]
        self._optuna = optuna.create_study(directions=directions, sampler=self._nearest, study_name=spec.name)
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self) -> int | None:
        """The next configuration to train; None if none is left."""
        if not self._nearest.left:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            trial = self._optuna.ask()
            self._space.suggest(trial)
        self._trials[self._nearest.taken] = trial
        return self._nearest.taken

    def tell(self, number: int, epochs: int) -> None:
        """Report the end of a configuration after `epochs` epochs."""
        self._optuna.tell(self._trials[number], self._curves.told(number, epochs))


class Nearest(BaseSampler):
    """A sampler that replaces a draw by the nearest unused recorded configuration with the same sharing.

    Distances are on the space's own scale, each range of length 1. If all of that sharing are used, it takes
    the nearest of the others, by the parameters that both have.
    """

    def __init__(self, inner: BaseSampler, space: SearchSpace, recorded: tuple[dict[str, Any], ...]) -> None:
        self._inner, self._space, self._recorded = inner, space, recorded
        self._places = [self._place(parameters) for parameters in recorded]
        self.left = set(range(len(recorded)))
        self.taken = -1

    def infer_relative_search_space(
        self, optuna_study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that the sampler draws together."""
        return self._inner.infer_relative_search_space(optuna_study, trial)

    def sample_relative(
        self, optuna_study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of the nearest configuration."""
        self.taken = self.nearest(self._inner.sample_relative(optuna_study, trial, search_space))
        self.left.remove(self.taken)
        return self._recorded[self.taken]

    def nearest(self, drawn: Mapping[str, Any]) -> int:
        """The number of the unused configuration that is nearest to these parameters."""
        place = self._place(drawn)

        def distance(number: int) -> tuple[bool, float]:
            other = self._places[number]
            gap = sum((place[name] - other[name]) ** 2 for name in place.keys() & other.keys())
            return self._recorded[number].get("sharing") != drawn.get("sharing"), gap

        return min(sorted(self.left), key=distance)

    def sample_independent(
        self, optuna_study: optuna.Study, trial: FrozenTrial, param_name: str, distribution: BaseDistribution
    ) -> Any:
        """Pass on to the sampler; not called, because all parameters are drawn together."""
        return self._inner.sample_independent(optuna_study, trial, param_name, distribution)

    def _place(self, parameters: Mapping[str, Any]) -> dict[str, float]:
        """Positions of the numerical parameters in their ranges, from 0 to 1."""
        place = {}
        for name, value in parameters.items():
            match self._space.distributions[name]:
                case FloatDistribution(low=low, high=high, log=True):
                    place[name] = float(np.log(value / low) / np.log(high / low))
                case CategoricalDistribution():
                    continue
                case distribution:
                    place[name] = (value - distribution.low) / (distribution.high - distribution.low)
        return place
