"""Improvement-based stopping of a search: `[budget] plateau`."""

from collections import deque
from collections.abc import Sequence

from analysis.front import GrowingFront
from analysis.objective import Floats
from study.record.front import candidates, losses, reference
from study.record.reader import Reader
from study.record.rows import Point
from study.spec import StudySpec


class Plateau:
    """Hypervolume gain of the last trials to end; `end` must be called for each end, in order.

    It keeps the front, and the hypervolume after each of the trials in the limit, so the cost of an end does
    not depend on the length of the record. `reached` has the reason to stop if they brought too little
    hypervolume; else None, also without a limit and before the first trial that beats both trivial models.
    """

    def __init__(self, spec: StudySpec, corner: Floats) -> None:
        self._spec = spec
        self._limit = limit = spec.budget.plateau
        self._front = GrowingFront(corner)
        self._volumes = deque([0.0], maxlen=None if limit is None else limit.trials + 1)
        self.reached: str | None = None

    @classmethod
    def of(cls, ledger: Reader) -> "Plateau":
        """The plateau after the trials on record, in the order of their ends."""
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
        """Add the end of a trial; `points` are its candidates."""
        limit = self._limit
        if limit is None:
            return
        self._volumes.append(self._front.add(losses(points, self._spec)))
        before, now = self._volumes[0], self._volumes[-1]
        self.reached = None
        if before > 0.0 and now < (1 + limit.gain) * before:
            brought = f"{now / before - 1:.2%} of hypervolume"
            self.reached = f"plateau: the last {limit.trials} trials brought {brought}"
