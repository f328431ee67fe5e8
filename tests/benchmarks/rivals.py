"""Stopping rules to compare with: pareto-asha without one of its parts."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from study.loop.rules.median import Median
from study.loop.rules.never import Never
from study.loop.rules.pareto_asha import ParetoAsha
from study.loop.rules.rule import Candidate, Rule
from study.spec.sections import Stopping
from trainable.contract import Decision


class Impatient(ParetoAsha):
    """Pareto-asha that does not stop trials without improvement."""

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],
        candidate: Candidate,
    ) -> Decision:
        """Judge as if this were the trial's first point, which counts as an improvement."""
        return super().judge(reference, rung, [], candidate)


class Plain(Impatient):
    """The same without a reference point: non-dominated rank, then hypervolume up to the worst losses."""

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],
        candidate: Candidate,
    ) -> Decision:
        """Judge with a reference point just outside all candidates of the rung."""
        worst = np.max([c.losses for c in (*rung, candidate)], axis=0)
        return super().judge(tuple((worst + 1e-3 * np.abs(reference)).tolist()), rung, own, candidate)


RULES: Mapping[str, Callable[[Stopping], Rule]] = {
    "never": Never,
    "median": Median,
    "pareto-asha": ParetoAsha,
    "pareto-asha without patience": Impatient,
    "plain ranks": Plain,
}
"""The package's rules, and the rivals."""
