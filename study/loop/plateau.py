"""Whether a search has come to rest: `[budget] plateau`."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from analysis.front import hypervolume, non_dominated
from study.record.front import Floats, candidates, losses, reference
from study.record.reader import Reader
from study.record.rows import Point
from study.spec import StudySpec


class Plateau:
    """What the last trials to end brought, told of each end in order.

    Of the trials that the limit looks back on it keeps each one's front, of all before them one front: an
    end costs the same however long the record is. `reached` says in words that they brought too little
    hypervolume; None while they did not, where there is no limit, and before the first trial that beats both
    trivial models.
    """

    def __init__(self, spec: StudySpec, corner: Floats) -> None:
        self._spec = spec
        self._limit = spec.budget.plateau
        self._corner = corner
        self._before: Floats = np.empty((0, len(spec.objectives)))
        self._last: deque[Floats] = deque()
        self.reached: str | None = None

    @classmethod
    def of(cls, ledger: Reader) -> "Plateau":
        """What the trials on record brought, in the order in which they ended."""
        rest = cls(ledger.spec, reference(ledger.baseline, ledger.spec))
        if ledger.spec.budget.plateau is None:
            return rest
        records = {r.trial: r for r in ledger.records() if r.state != "running"}
        points: dict[int, list[Point]] = {number: [] for number in records}
        for point in candidates([p for p in ledger.points() if p.trial in records], records, ledger.spec):
            points[point.trial].append(point)
        for number in sorted(records, key=lambda number: (records[number].finished or "", number)):
            rest.end(points[number])
        return rest

    def end(self, points: Sequence[Point]) -> None:
        """One more trial ended; `points` are its candidates."""
        limit = self._limit
        if limit is None:
            return
        self._last.append(_front(losses(points, self._spec)))
        if len(self._last) > limit.trials:
            self._before = _front(np.concatenate([self._before, self._last.popleft()]))
        before = hypervolume(self._before, self._corner)
        now = hypervolume(np.concatenate([self._before, *self._last]), self._corner)
        self.reached = None
        if before > 0.0 and now < (1 + limit.gain) * before:
            brought = f"{now / before - 1:.2%} of hypervolume"
            self.reached = f"plateau: the last {limit.trials} trials brought {brought}"


def _front(array: Floats) -> Floats:
    return array[non_dominated(array)]
