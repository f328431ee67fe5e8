"""Pick a point of the front by the study's own values, and train its model again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np

from analysis import front as fronts
from analysis.objective import OBJECTIVES, Floats, written
from study.record.front import losses, reference
from study.record.location import MODELS_FOLDER
from study.record.reader import Reader
from study.record.rows import Point
from study.results import retrain
from study.spec import StudySpec
from study.status.searching import Searching
from trainable.artifact import Model
from trainable.contract import METRICS, Config, StudyError

RANKING_METRICS = ("mrr", "mrr_all")
LENGTH_KEYS = ("epochs", "evaluate_every")
"""Values of a configuration that say how long it trains, not how; a point has its own epochs."""


@dataclass(frozen=True, slots=True)
class Picked:
    """A point of the front, by values on `part` of the data, and its model in `folder`.

    `spread` is the sample sd of each metric over its `replicates` seeds, None with one seed. The model is
    that of the first seed, a fresh one if the point was confirmed; `recorded` has its metrics on record.
    """

    point: Point
    part: str
    replicates: int
    spread: Mapping[str, float | None]
    recorded: Mapping[str, float]
    model: Model
    folder: Path


def pick(
    ledger: Reader,
    folder: Path,
    *,
    knee: bool = False,
    max_mse: float | None = None,
    min_mrr: float | None = None,
    watch: retrain.Progress = iter,
) -> Picked:
    """Choose a point of the study in `folder` as `choose` does; save its model in `folder`/models."""
    spec = ledger.spec
    best, corner = Searching.of(ledger).front, reference(ledger.baseline, spec)
    point = choose(best.points, spec, corner, knee=knee, max_mse=max_mse, min_mrr=min_mrr)
    record, number = retrain.source(ledger, point)
    card = retrain.card_of(record, number, point.epoch)
    place = folder / MODELS_FOLDER / f"{point.trial}-{point.epoch}"
    model = retrain.exported(
        card, place, lambda: retrain.fold_of(record), engine=spec.runtime.engine, watch=watch
    )
    seeds = [m for m in ledger.measurements() if (m.trial, m.epoch) == (point.trial, point.epoch)]
    spread = {n: stdev(getattr(m, n) for m in seeds) if len(seeds) > 1 else None for n in METRICS}
    part = "validation" if ledger.baseline.data["has_validation"] else "test"
    return Picked(point, part, len(seeds), spread, card.metrics, model, place)


def choose(
    points: Sequence[Point],
    spec: StudySpec,
    corner: Floats,
    *,
    knee: bool = False,
    max_mse: float | None = None,
    min_mrr: float | None = None,
) -> Point:
    """The knee of a front, or the best point within a bound by the other objective; the first of equals.

    The knee is that of the part inside the reference point `corner` (2,), if any point is; see
    `analysis.front.knee`. A bound may select any point of the front.
    `max_mse` bounds MSE from above. `min_mrr` bounds the study's ranking objective from below: `mrr`, or
    `mrr_all` if the study has no other. StudyError unless exactly one of the three is given and fits the
    study, or if no point qualifies.
    """
    if [knee, max_mse is not None, min_mrr is not None].count(True) != 1:
        raise StudyError("pick: give exactly one of --knee, --max-mse X and --min-mrr X")
    if not points:
        raise StudyError(f"{spec.name}: the front is empty, nothing is measured yet; run the study first")
    if max_mse is not None:
        return _within(points, spec, "--max-mse", "mse", max_mse)
    if min_mrr is not None:
        name = next(name for name in RANKING_METRICS if name in spec.objectives)
        return _within(points, spec, "--min-mrr", name, min_mrr)
    array = losses(points, spec)
    row = fronts.knee(array, corner)
    if row is None:
        beats = " that beat the trivial models" if (array < corner).all(axis=1).any() else ""
        count = int(np.count_nonzero(fronts.inside(array, corner)))
        raise StudyError(
            f"--knee: the front of {spec.name} has no knee: none of its {count} points{beats} lies below the "
            "line between their two ends; use --max-mse X or --min-mrr X"
        )
    return points[row]


def _within(points: Sequence[Point], spec: StudySpec, option: str, name: str, bound: float) -> Point:
    """The best point by the other objective among those whose `name` is at least as good as `bound`."""
    if name not in spec.objectives:
        given = " and ".join(spec.objectives)
        raise StudyError(f"{option}: {spec.name} has the objectives {given}; use --knee or --min-mrr X")
    if not isfinite(bound):
        raise StudyError(f"{option}: {bound} is not a bound; use a finite number")
    column, array = spec.objectives.index(name), losses(points, spec)
    rows = [i for i in range(len(points)) if array[i, column] <= OBJECTIVES[name].sign * bound]
    if not rows:
        nearest = points[int(array[:, column].argmin())].metrics[name]
        raise StudyError(
            f"{option}: no point of the front of {spec.name} has {name} of {bound:g} or better; "
            f"the best has {nearest!r}"
        )
    return points[min(rows, key=lambda i: float(array[i, 1 - column]))]


# --- in words --------------------------------------------------------------------------------------------


def lines(picked: Picked) -> list[str]:
    """Lines on the picked point: its values, its model, and three lines of Python that use the model."""
    card, point = picked.model.card, picked.point
    seeds = f" (mean ± sd of {picked.replicates} seeds)" if picked.replicates > 1 else ""
    words = [
        f"trial {point.trial} after {point.epoch} epochs: {_values(card.config)}",
        f"{picked.part}: {', '.join(_value(picked, name) for name in METRICS)}{seeds}",
        f"model: {picked.folder}, trained on {card.trained_on}; {card.measured_on}: {_metrics(card.metrics)}",
    ]
    if card.metrics != picked.recorded:
        words.append(f"recorded: {_metrics(picked.recorded)}; the difference is rounding")
    return [*words, "", *example(picked)]


def example(picked: Picked) -> list[str]:
    """Three lines of Python that load the model and recommend for one of its users."""
    return [
        "from study import load_model",
        f"model = load_model({str(picked.folder)!r})",
        f"print(model.recommend({_somebody(picked.model)!r}))",
    ]


def as_dict(picked: Picked) -> dict[str, Any]:
    """The picked point, JSON-ready."""
    point = picked.point
    return {
        "trial": point.trial,
        "epoch": point.epoch,
        **point.metrics,
        **{f"{name}_sd": sd for name, sd in picked.spread.items()},
        "replicates": picked.replicates,
        "split": picked.part,
        "config": picked.model.card.config.as_dict(),
        "folder": str(picked.folder),
        "model": asdict(picked.model.card),
        "example": example(picked),
    }


def _values(config: Config) -> str:
    """The values that decide what is learned, by their names in a spec."""
    values = {n: v for n, v in config.as_dict().items() if n not in LENGTH_KEYS and v is not None}
    return ", ".join(f"{n} {v:.4g}" if isinstance(v, float) else f"{n} {v}" for n, v in values.items())


def _value(picked: Picked, name: str) -> str:
    spread = picked.spread[name]
    return f"{name} {written(picked.point.metrics[name])}" + (
        "" if spread is None else f" ± {written(spread)}"
    )


def _metrics(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {written(metrics[name])}" for name in METRICS)


def _somebody(model: Model) -> str:
    """The first user with a rating in the model's training data."""
    return next(user for user in model.users if model.seen(user))
