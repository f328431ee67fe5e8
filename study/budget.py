"""When a study has enough: the budget against what is spent."""

from dataclasses import dataclass

from study.ledger import Ledger
from study.spec import StudySpec


@dataclass(frozen=True, slots=True)
class Spent:
    """What a study has used: trials begun, member-epochs trained and promised, seconds of driving."""

    trials: int
    member_epochs: int
    wall_s: float


def spent_out(spec: StudySpec, spent: Spent) -> str | None:
    """Why no further trial begins, or None while there is budget. Whichever limit comes first."""
    budget = spec.budget
    if budget.trials is not None and spent.trials >= budget.trials:
        return f"trials: {spent.trials} of {budget.trials}"
    if budget.member_epochs is not None and spent.member_epochs >= budget.member_epochs:
        return f"member-epochs: {spent.member_epochs} of {budget.member_epochs}"
    return out_of_time(spec, spent)


def out_of_time(spec: StudySpec, spent: Spent) -> str | None:
    """Why running trials end where they are, or None: the wall time is spent."""
    limit = spec.budget.wall_time_s
    if limit is not None and spent.wall_s >= limit:
        return f"wall time: {spent.wall_s:.0f} s of {limit:g} s"
    return None


def complete(ledger: Ledger) -> str | None:
    """Why the study on record needs no further run, or None: budget spent, and no trial without an end."""
    records = ledger.records()
    if any(r.state == "running" for r in records):
        return None
    trained = sum(r.epochs for r in records) * ledger.spec.search.replicates
    wall_s = sum(run.wall_s for run in ledger.runs())
    return spent_out(ledger.spec, Spent(len(records), trained, wall_s))
