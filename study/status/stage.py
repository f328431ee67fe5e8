"""The stage of a run, from its start to the confirmation, and the progress in it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

from study.spec.sections import Budget

StageName = Literal["starting", "searching", "validating", "confirming"]
Unit = Literal["trials", "member-epochs", "seconds", "configurations", "points"]

STARTING = {"local": "starting Ray", "auto": "waiting for lanes", "inline": "starting"}
"""Words for a run before its first lane reports, by the address of its Ray."""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """The stage of a run and its progress: `done` of `planned` units (None: without a limit).

    `words` say the same, as in "searching 31 of 60 trials".
    """

    name: StageName
    done: int
    planned: int | None
    unit: Unit
    words: str


class BudgetLimit(NamedTuple):
    """A limit of a search's budget: the spent share, running trials included, and `done` of `planned`."""

    share: float
    done: int
    planned: int
    unit: Unit


def limits(
    budget: Budget,
    *,
    most: int | None,
    ended: int,
    begun: Collection[float],
    member_epochs: int,
    wall_s: float,
) -> list[BudgetLimit]:
    """The limits of a search: those of its budget, and the `most` trials that it can have.

    `begun` has the trained part of each trial without an end.
    """
    found = list[BudgetLimit]()
    if most is not None:
        found.append(BudgetLimit((ended + sum(begun)) / most, ended, most, "trials"))
    if (epochs := budget.member_epochs) is not None:
        found.append(BudgetLimit(member_epochs / epochs, member_epochs, epochs, "member-epochs"))
    if (limit_s := budget.wall_time_s) is not None:
        found.append(BudgetLimit(wall_s / limit_s, round(wall_s), round(limit_s), "seconds"))
    return found


def starting(address: str) -> StageProgress:
    """A run without a lane yet."""
    words = STARTING.get(address, "starting")
    return StageProgress("starting", 0, None, "trials", words)


def searching(spent: Collection[BudgetLimit], ended: int) -> StageProgress:
    """A search, by the nearest limit of its budget."""
    if not spent:
        return StageProgress("searching", ended, None, "trials", f"searching, {ended} trials ended")
    nearest = max(spent, key=lambda limit: limit.share)
    words = f"searching {nearest.done} of {nearest.planned} {nearest.unit}"
    return StageProgress("searching", nearest.done, nearest.planned, nearest.unit, words)


def validating(ended: int, planned: int) -> StageProgress:
    """A fresh-seed stage: configurations of the front are trained again and measured on validation data."""
    words = f"validating {ended} of {planned} configurations with fresh seeds"
    return StageProgress("validating", ended, planned, "configurations", words)


def confirming(ended: int, planned: int | None) -> StageProgress:
    """A confirmation; `planned` is None before its points are chosen."""
    words = "confirming the front" if planned is None else f"confirming {ended} of {planned} points"
    return StageProgress("confirming", ended, planned, "points", words)
