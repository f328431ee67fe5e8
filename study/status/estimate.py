"""Estimates of a study's training: the share done, and the time left.

Work is counted in member-epochs and costed in lane-seconds. The start of Ray and of its lanes is not
training, so no estimate contains it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import inf

KNOWN = 10
"""The fewest measured member-epochs that a cost may rest on."""


@dataclass(frozen=True, slots=True)
class Work:
    """The training of a stage, in member-epochs; `planned` is infinite while unknown.

    `cost_s` is the cost of one member-epoch in lane-seconds; None while it is unknown.
    """

    done: float = 0.0
    planned: float = 0.0
    cost_s: float | None = None

    @property
    def rest_s(self) -> float | None:
        """Lane-seconds for the remaining work; None while it or its cost is unknown."""
        rest = max(0.0, self.planned - self.done)
        if rest == 0:
            return 0.0
        return None if self.cost_s is None or rest == inf else rest * self.cost_s


def cost_s(trained: Collection[tuple[int, float]], *, replicates: int) -> float | None:
    """Lane-seconds per member-epoch, from the measured epochs of each trial and their seconds; None below
    KNOWN member-epochs.

    >>> cost_s([(20, 1.0), (5, 0.5)], replicates=2), cost_s([(4, 1.0)], replicates=2)
    (0.03, None)
    """
    member_epochs = sum(epochs for epochs, _ in trained) * replicates
    return sum(seconds for _, seconds in trained) / member_epochs if member_epochs >= KNOWN else None


def pace(ends: Iterable[tuple[float, float]]) -> float | None:
    """Member-epochs a second, from trials as (time of the end in seconds, member-epochs).

    Counted from the first end to the last, without the first trial; None if no time lies between them.
    Waits between epochs and trials are included.

    >>> pace([(100.0, 20), (102.0, 20), (104.0, 20)])
    10.0
    """
    ordered = sorted(ends)
    seconds = ordered[-1][0] - ordered[0][0] if ordered else 0.0
    return sum(epochs for _, epochs in ordered[1:]) / seconds if seconds > 0 else None


def share(*stages: Work) -> float:
    """The part of all planned training that is done, 0 to 1; 0 if nothing is planned.

    >>> share(Work(300, 300), Work(100, 500))
    0.5
    """
    planned = sum(work.planned for work in stages)
    return min(1.0, sum(work.done for work in stages) / planned) if planned else 0.0


def left_s(
    search: Work, later: Sequence[tuple[Work, int]], *, lanes: int, limit_s: float | None = None
) -> float | None:
    """Seconds until all is trained on `lanes` lanes; None if no lane trains, or a cost is unknown.

    The search ends after `limit_s` at the latest. Each later stage has a number of points left to train, each
    on one lane.

    >>> left_s(Work(60, 100, 0.5), [(Work(0, 40, 0.5), 1)], lanes=2)
    30.0
    """
    searching_s, rests = search.rest_s, [(work.rest_s, points) for work, points in later]
    known = [rest_s / max(1, min(lanes, points)) for rest_s, points in rests if rest_s is not None]
    if not lanes or len(known) < len(rests):
        return None
    ends = [] if searching_s is None else [searching_s / lanes]
    ends += [] if limit_s is None else [max(0.0, limit_s)]
    return min(ends) + sum(known) if ends else None
