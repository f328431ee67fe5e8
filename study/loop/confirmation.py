"""Plan the stages after a search: its front is trained again with fresh seeds, on validation, then on test.

A front is chosen among noisy measurements, so its own values are biased. In the fresh-seed stage, its points
are trained again on training data, with seeds that no search has used, and measured on validation data. Their
means choose the points of the confirmation. It trains them with other fresh seeds on training and validation
data, for exactly their epochs, and measures them once, at the end, on the test set.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from analysis.objective import Floats
from study.loop import choice
from study.record.front import Front, candidates, front, reference
from study.record.ledger import Ledger
from study.record.rows import Plan, Planned, Point, Stage
from study.spec.sections import Budget, Confirm, Stopping
from trainable.contract import Config, StudyError
from trainable.streams import derive


def begin_fresh(ledger: Ledger, confirm: Confirm) -> Ledger | None:
    """Open the record of a search's fresh-seed stage, or plan and create it; None if the study has none.

    It has none with `confirm.fresh` = 0, without validation data, and if its confirmation began without one.
    The stage is planned once. StudyError if the search has no point yet.
    """
    begun = ledger.fresh()
    if begun is None:
        has_validation = ledger.baseline.data["has_validation"]
        if not confirm.fresh or not has_validation or ledger.confirmation() is not None:
            return None
        begun = _planned(ledger, "fresh", choice.trained_again(_searched(ledger), confirm), confirm.fresh)
    return _here(begun, ledger)


def begin(ledger: Ledger, confirm: Confirm) -> Ledger:
    """Open the record of a search's confirmation, or plan and create it, which opens the test set.

    A confirmation is planned once, after the fresh-seed stage if there is one; later changes of the front do
    not change it. StudyError if there is no point to confirm.
    """
    begun = ledger.confirmation()
    if begun is None:
        searched, fresh = _searched(ledger), ledger.fresh()
        if fresh is None:
            points = choice.direct(searched, confirm)
        else:
            points = choice.confirmed(searched, *_again(fresh, searched.best), confirm)
        begun = _planned(ledger, "confirm", points, confirm.replicates)
    return _here(begun, ledger)


def _here(begun: Ledger, ledger: Ledger) -> Ledger:
    """A later stage, to be run where the search's present spec says."""
    begun.spec = begun.spec.model_copy(update={"runtime": ledger.spec.runtime})
    return begun


def _searched(ledger: Ledger) -> choice.Searched:
    """The points of a search. StudyError if there are none."""
    spec, corner = ledger.spec, reference(ledger.baseline, ledger.spec)
    chosen = candidates(ledger.points(), ledger.trial_summaries(), spec)
    if not chosen:
        raise StudyError(f"{spec.name}: has no point to confirm yet; `study run {spec.name}` trains some")
    return choice.Searched(spec, corner, chosen, front(chosen, spec, corner), noise(ledger))


def _again(fresh: Ledger, best: Front) -> tuple[list[Point], int]:
    """Means over fresh seeds of the points of the search's front `best` and of the plan, named as in the
    search, and the member-epochs of the plan. StudyError if no point has a mean.
    """
    name, plan = fresh.spec.name, fresh.plan
    if plan is None:
        raise RuntimeError(f"{name}: the fresh-seed stage has no plan")
    measured = candidates(fresh.points(), fresh.trial_summaries(), fresh.spec)
    named = [p._replace(trial=plan.points[p.trial].trial) for p in measured]
    keys = {(p.trial, p.epoch) for p in best.points} | {(p.trial, p.epoch) for p in plan.points}
    again = [p for p in named if (p.trial, p.epoch) in keys]
    if not again:
        raise StudyError(
            f"{name}: all {len(plan.points)} configurations of its front failed with fresh seeds, so there "
            f"is no point to confirm; `study logs {name}` shows the reasons"
        )
    return again, sum(p.epoch for p in plan.points) * fresh.spec.search.replicates


def _planned(ledger: Ledger, stage: Stage, points: choice.ChosenPoints, replicates: int) -> Ledger:
    """Create the record of a later stage that trains `points`, the longest first to balance the lanes."""
    spec = ledger.spec
    configs = {r.trial: r.config for r in ledger.records({p.trial for p in points})}
    planned = [
        Planned(p.trial, p.epoch, reason, _until(config, p.epoch, stage))
        for p, reason in sorted(points.items(), key=lambda entry: -entry[0].epoch)
        if (config := configs[p.trial]) is not None
    ]
    once: Mapping[str, str] = {"candidates": "last"} if stage == "confirm" else {}
    again = spec.model_copy(
        update={
            "train": spec.train.model_copy(update=once),
            "search": spec.search.model_copy(
                update={
                    "sampler": "random",
                    "replicates": replicates,
                    "seed": derive(spec.search.seed, use=stage, number=0),
                    "initial": (),
                }
            ),
            "stopping": Stopping(),
            "budget": Budget(trials=len(planned)),
            "confirm": None,
        }
    )
    plan = Plan(datetime.now(UTC).isoformat(timespec="seconds"), tuple(planned))
    return ledger.add_stage(stage, again, plan)


def _until(config: Config, epochs: int, stage: Stage) -> Config:
    """The configuration with these epochs; in a confirmation it is measured only after the last one."""
    every = epochs if stage == "confirm" else config.evaluate_every
    return replace(config, epochs=epochs, evaluate_every=every)


def noise(ledger: Ledger) -> Floats:
    """Standard deviation (2,) of a point's losses, in the objectives' units, estimated from the search.

    With several replicates it is that of their mean, pooled over the points. With one it is estimated from
    the distance of a measurement to the line between its neighbours (variance 3/2 of one measurement's: Rice
    1984, doi 10.1214/aos/1176346788). That is a lower bound: it lacks the constant effect of a seed.
    """
    spec = ledger.spec
    curves: dict[tuple[int, int], list[list[float]]] = {}
    for m in ledger.measurements():
        key = (m.trial, m.epoch) if spec.search.replicates > 1 else (m.trial, m.replicate)
        curves.setdefault(key, []).append([getattr(m, name) for name in spec.objectives])
    arrays = [np.asarray(curve) for curve in curves.values()]
    if spec.search.replicates > 1:
        spread = [a.var(axis=0, ddof=1) / len(a) for a in arrays if len(a) > 1]
    else:
        spread = [((a[1:-1] - (a[:-2] + a[2:]) / 2) ** 2).mean(axis=0) / 1.5 for a in arrays if len(a) > 2]
    return np.sqrt(np.mean(spread, axis=0)) if spread else np.zeros(len(spec.objectives))
