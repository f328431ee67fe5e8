"""Decide if a search and its confirmation are complete: compare the budget with the work done."""

from collections.abc import Collection
from dataclasses import dataclass
from math import inf

from study.loop.plateau import Plateau
from study.record.reader import Reader
from study.record.rows import TrialRecord, TrialSummary
from study.search.distinct import Tried, space_size
from study.spec import StudySpec
from study.spec.sections import Budget


@dataclass(frozen=True, slots=True)
class Spent:
    """Resources that a study has used: trials begun, member-epochs trained and promised, seconds with lanes.

    `plateau` has the reason to stop if the last trials brought too little hypervolume, else None.
    `tried` counts distinct configurations, `untried` the rest of the space.
    """

    trials: int
    member_epochs: int
    wall_s: float
    plateau: str | None = None
    tried: int = 0
    untried: float = inf


def spent_out(spec: StudySpec, spent: Spent) -> str | None:
    """The reason that no further trial begins, or None while there is budget."""
    budget = spec.budget
    if spent.untried <= 0:
        tried = (
            f"all {spent.tried} distinct configurations were"
            if spent.tried > 1
            else "the only configuration was"
        )
        return f"{tried} tried"
    if budget.trials is not None and spent.trials >= budget.trials:
        return f"trials: {spent.trials} of {budget.trials}"
    if budget.member_epochs is not None and spent.member_epochs >= budget.member_epochs:
        return f"member-epochs: {spent.member_epochs} of {budget.member_epochs}"
    return spent.plateau or out_of_time(spec, spent)


def most_trials(spec: StudySpec, trials: Collection[TrialRecord | TrialSummary]) -> int | None:
    """Largest number of trials of a search, by its budget and its space; None if neither is finite."""
    _, untried = _tried(spec, trials)
    most = min(len(trials) + untried, inf if spec.budget.trials is None else spec.budget.trials)
    return None if most == inf else int(most)


def _tried(spec: StudySpec, trials: Collection[TrialRecord | TrialSummary]) -> tuple[int, float]:
    """Numbers of distinct configurations: tried, and untried.

    If the space has more configurations than there are trials, all trials count as distinct.
    """
    if (left := space_size(spec) - len(trials)) > 0:
        return len(trials), left
    tried = Tried.of(enumerate(trials))
    return len(tried), tried.left(spec, len(trials))


def out_of_time(spec: StudySpec, spent: Spent) -> str | None:
    """The reason to end running trials, which is spent wall time, or None."""
    limit = spec.budget.wall_time_s
    if limit is not None and spent.wall_s >= limit:
        return f"wall time: {spent.wall_s:.0f} s of {limit:g} s"
    return None


def exceeds(spec: StudySpec, other: StudySpec) -> bool:
    """True if `spec` allows more work than `other`: a limit is higher or gone, or it adds a confirmation."""
    limits = zip(_limits(spec.budget), _limits(other.budget), strict=True)
    if any(was is not None and (now is None or now > was) for now, was in limits):
        return True
    return spec.confirm is not None and other.confirm is None


def _limits(budget: Budget) -> tuple[float | None, ...]:
    """The limits of a budget, each the weaker the larger it is."""
    rest = budget.plateau
    plateau = (None, None) if rest is None else (rest.trials, -rest.gain)
    return budget.trials, budget.member_epochs, budget.wall_time_s, *plateau


def complete(ledger: Reader, trials: Collection[TrialRecord | TrialSummary] | None = None) -> str | None:
    """The reason that the study on record is complete, or None: its budget is spent and no trial is running.

    `trials` are all trials, if the caller has read them.
    """
    trials = ledger.trial_summaries().values() if trials is None else trials
    if any(t.state == "running" for t in trials):
        return None
    spec = ledger.spec
    trained = sum(t.epochs for t in trials) * spec.search.replicates
    wall_s = sum(run.wall_s for run in ledger.runs())
    tried, untried = _tried(spec, trials) if ledger.plan is None else (0, inf)
    spent = Spent(len(trials), trained, wall_s, Plateau.of(ledger).reached, tried, untried)
    return spent_out(spec, spent)


def done(enough: str | None, confirmation: Reader | None, *, asked: bool) -> str | None:
    """The reason that a study is complete, or None. `enough` is the reason that its search is complete.

    A confirmation counts if its record has begun or it is `asked` for, by a spec or by a fresh-seed stage.
    """
    if enough is None or (confirmation is None and not asked):
        return enough
    confirmed = complete(confirmation) if confirmation is not None and confirmation.fixed else None
    return confirmed and f"{enough}; confirmed"
