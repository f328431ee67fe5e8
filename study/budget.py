"""When a study has enough: the budget against what is spent."""

from collections.abc import Collection
from dataclasses import dataclass

from study.parts import Budget
from study.plateau import Plateau
from study.reader import Reader
from study.record import Record, Standing
from study.spec import StudySpec


@dataclass(frozen=True, slots=True)
class Spent:
    """What a study has used: trials begun, member-epochs trained and promised, seconds of driving.

    `plateau` says in words that the last trials brought too little hypervolume; None where they did not.
    """

    trials: int
    member_epochs: int
    wall_s: float
    plateau: str | None = None


def spent_out(spec: StudySpec, spent: Spent) -> str | None:
    """Why no further trial begins, or None while there is budget. Whichever limit comes first."""
    budget = spec.budget
    if (size := _grid(spec)) is not None and spent.trials >= size:
        return f"grid: all {size} configurations"
    if budget.trials is not None and spent.trials >= budget.trials:
        return f"trials: {spent.trials} of {budget.trials}"
    if budget.member_epochs is not None and spent.member_epochs >= budget.member_epochs:
        return f"member-epochs: {spent.member_epochs} of {budget.member_epochs}"
    return spent.plateau or out_of_time(spec, spent)


def most_trials(spec: StudySpec) -> int | None:
    """Trials that a study can come to, by its budget and its grid; None where neither says."""
    limits = (spec.budget.trials, _grid(spec))
    return min((limit for limit in limits if limit is not None), default=None)


def _grid(spec: StudySpec) -> int | None:
    """How many trials a grid has; None where the study is none."""
    if spec.search.sampler != "grid":
        return None
    from study.samplers.grid import grid_of  # with Optuna, which takes longer to import than most to answer

    return len(grid_of(spec))


def out_of_time(spec: StudySpec, spent: Spent) -> str | None:
    """Why running trials end where they are, or None: the wall time is spent."""
    limit = spec.budget.wall_time_s
    if limit is not None and spent.wall_s >= limit:
        return f"wall time: {spent.wall_s:.0f} s of {limit:g} s"
    return None


def exceeds(spec: StudySpec, other: StudySpec) -> bool:
    """Whether `spec` may go on where `other` ends: a limit is higher or gone, or a confirmation has come."""
    limits = zip(_limits(spec.budget), _limits(other.budget), strict=True)
    if any(was is not None and (now is None or now > was) for now, was in limits):
        return True
    return spec.confirm is not None and other.confirm is None


def _limits(budget: Budget) -> tuple[float | None, ...]:
    """What ends a study, each the later the larger it is."""
    rest = budget.plateau
    plateau = (None, None) if rest is None else (rest.trials, -rest.gain)
    return budget.trials, budget.member_epochs, budget.wall_time_s, *plateau


def complete(ledger: Reader, trials: Collection[Record | Standing] | None = None) -> str | None:
    """Why the study on record needs no further run, or None: budget spent, and no trial without an end.

    `trials` are all there are, where they were read already.
    """
    trials = ledger.standings().values() if trials is None else trials
    if any(t.state == "running" for t in trials):
        return None
    trained = sum(t.epochs for t in trials) * ledger.spec.search.replicates
    wall_s = sum(run.wall_s for run in ledger.runs())
    return spent_out(ledger.spec, Spent(len(trials), trained, wall_s, Plateau.of(ledger).reached))
