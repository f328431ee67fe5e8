"""Stopping rules to compare with: pareto-asha less one of its parts."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from study.loop.rules.median import Median
from study.loop.rules.never import Never
from study.loop.rules.pareto_asha import ParetoAsha
from study.loop.rules.rule import Candidate, Rule
from study.spec.sections import Stopping
from trainable.contract import Decision


class Impatient(ParetoAsha):
    """Without the ending of trials that no longer improve."""

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],
        candidate: Candidate,
    ) -> Decision:
        """As if this were the trial's first point: then it has just improved."""
        return super().judge(reference, rung, [], candidate)


class Plain(Impatient):
    """Nor with a reference: non-dominated rank, then hypervolume, as far as the worst that came."""

    def judge(
        self,
        reference: tuple[float, ...],
        rung: Sequence[Candidate],
        own: Sequence[Candidate],
        candidate: Candidate,
    ) -> Decision:
        """As if the reference were just outside all that came to this rung."""
        worst = np.max([c.losses for c in (*rung, candidate)], axis=0)
        return super().judge(tuple((worst + 1e-3 * np.abs(reference)).tolist()), rung, own, candidate)


RULES: Mapping[str, Callable[[Stopping], Rule]] = {
    "never": Never,
    "median": Median,
    "pareto-asha": ParetoAsha,
    "pareto-asha without patience": Impatient,
    "plain ranks": Plain,
}
"""Those of the package, and the rivals."""
