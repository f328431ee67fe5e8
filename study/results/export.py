"""Export of a study as plain files: tables, the front as CSV, the manifest."""

import json
import os
import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from study.record.front import PointKey, candidates, front, reference, repeated
from study.record.reader import Reader
from study.record.rows import Point, Run, TrialRecord, shown_state
from study.record.tables import MEASUREMENT_COLUMNS
from study.record.tested import confirmed, tested
from study.status.snapshot import Snapshot, snapshot
from trainable.contract import METRICS, UserMetrics
from trainable.disk import write_atomically

EXPORT_SCHEMA = 1
SD_COLUMNS = tuple(f"{metric}_sd" for metric in METRICS)
CONFIG = (
    *("weight", "sharing", "learning_rate", "weight_decay", "ranking_loss", "batch_size", "dim", "hidden"),
    *("average", "negatives"),
)
TRIAL = (
    *("trial", "state", "reason", "origin", *CONFIG, "max_epochs", "epochs", "epoch"),
    *("started", "finished", "lane", "attempt"),
)
MEASUREMENT_KEY = ("trial", "replicate", "epoch")
LATER_TABLES = ("fresh", "confirmed", "users")
"""Tables of the stages after the search: their files exist once the stage has begun."""

NOTED_PACKAGES = ("torch", "numba", "numpy", "ray", "optuna", "moocore")


@dataclass(frozen=True, slots=True)
class ExportedTables:
    """The tables of a study, the records behind them, and the hypervolume of their front. `beats_trivial`
    says, by trial and epoch, which points of the front beat both trivial models.
    """

    trials: pd.DataFrame
    points: pd.DataFrame
    measurements: pd.DataFrame
    records: Mapping[int, TrialRecord]
    hypervolume: float
    beats_trivial: Mapping[PointKey, bool]
    same: Mapping[PointKey, PointKey]


def tables(ledger: Reader) -> ExportedTables:
    """The tables of the present record."""
    records = {r.trial: r for r in ledger.records()}
    measurements = _numbers(map(attrgetter(*MEASUREMENT_COLUMNS), ledger.measurements()), MEASUREMENT_COLUMNS)
    points = [p for p in ledger.points() if p.trial in records]
    chosen = candidates(points, records, ledger.spec)
    best = front(chosen, ledger.spec, reference(ledger.baseline, ledger.spec))
    table = _points(points, measurements, ledger.spec.search.replicates)
    for name, some in (("candidate", chosen), ("front", best.points)):
        keys = {(p.trial, p.epoch) for p in some}
        table[name] = pd.Series([(p.trial, p.epoch) in keys for p in points], dtype=bool)
    beats = dict(zip([(p.trial, p.epoch) for p in best.points], best.beats_trivial, strict=True))
    driven = any(run.alive for run in ledger.runs())
    trials = _trials(records, table, measurements, driven=driven)
    same = repeated(points, records, chosen)
    once = pd.Series([(p.trial, p.epoch) not in same for p in points], dtype=bool)  # a list may be empty
    table = table[once].reset_index(drop=True)
    return ExportedTables(trials, table, measurements, records, best.hypervolume, beats, same)


def export(ledger: Reader, folder: Path) -> None:
    """Write `tables/`, `front.csv` and `manifest.json` of the present record into `folder`.

    Each file is replaced whole: a reader never sees half of one.
    """
    made = tables(ledger)
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    for name in ("measurements", "points", "trials"):
        write_atomically(folder / "tables" / f"{name}.parquet", getattr(made, name).to_parquet(index=False))
    later = dict[str, pd.DataFrame]()
    if (fresh := ledger.fresh()) is not None:
        later["fresh"] = _fresh(fresh, made.same)
    if (confirmation := confirmed(ledger, made.same)) is not None and confirmation.fixed:
        later |= {"confirmed": _confirmed(confirmation), "users": _users(confirmation)}
    for name in LATER_TABLES:
        path = folder / "tables" / f"{name}.parquet"
        if name in later:
            write_atomically(path, later[name].to_parquet(index=False))
        else:  # an earlier record was restored
            path.unlink(missing_ok=True)
    write_atomically(folder / "front.csv", _front(made, ledger).to_csv(index=False).encode())
    facts = manifest(ledger, made.records.values(), made.hypervolume, made.same)
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    write_atomically(folder / "manifest.json", text.encode())


def _front(made: ExportedTables, ledger: Reader) -> pd.DataFrame:
    """The front with its configurations, and the test values of its confirmed points."""
    rows = made.points[made.points["front"]].merge(made.trials[["trial", *CONFIG]], on="trial")
    keys = [*zip(rows["trial"], rows["epoch"], strict=True)]
    rows["beats_trivial"] = [made.beats_trivial[key] for key in keys]
    known = {key: test.as_dict() for key, test in tested(confirmed(ledger, made.same)).items()}
    columns = [*METRICS, *SD_COLUMNS, "replicates"]
    test = pd.DataFrame([known.get(key, {}) for key in keys], columns=columns, index=rows.index)
    test = test.astype({"replicates": "Int64"}).add_prefix("test_")
    return rows[["trial", "epoch", *CONFIG, *columns, "beats_trivial"]].join(test)


def manifest(
    ledger: Reader,
    records: Collection[TrialRecord],
    hypervolume: float,
    same: Mapping[PointKey, PointKey] = MappingProxyType({}),
) -> dict[str, Any]:
    """The content of `manifest.json`: what the tables lack, such as the question, the data and the runs."""
    spec, baseline, runs, seen = ledger.spec, ledger.baseline, ledger.runs(), snapshot(ledger)
    fresh, confirmation = ledger.fresh(), confirmed(ledger, same)
    return {
        "schema": EXPORT_SCHEMA,
        "name": spec.name,
        "fingerprint": spec.fingerprint,
        "version": version("pareto-study"),
        "objectives": list(spec.objectives),
        "spec": spec.model_dump(mode="json", exclude_none=True),
        "data": dict(baseline.data),
        "trivial": {
            "popularity": {name: baseline.reference[name] for name in ("mrr", "mrr_all")},
            "bias": {"mse": baseline.reference["mse"]},
        },
        "reference": {name: baseline.reference[name] for name in spec.objectives},
        "split": "validation" if baseline.data["has_validation"] else "test",
        "counts": dict(seen.counts),
        "member_epochs": sum(r.epochs for r in records) * spec.search.replicates,
        "wall_s": sum(run.wall_s for run in runs),
        "stages": _stages(ledger, (fresh, confirmation), records),
        "started": _iso(runs[0].started) if runs else None,
        "finished": _iso(runs[-1].ended) if runs and runs[-1].ended else None,
        "complete": seen.stage is None,
        "state": seen.state,
        "reason": seen.stage.words if seen.state == "running" and seen.stage is not None else seen.reason,
        "hypervolume": hypervolume,
        "test_opened": confirmation.plan.opened if confirmation and confirmation.plan else None,
        "fresh": None if seen.fresh is None else asdict(seen.fresh),
        "confirmation": _confirmation(confirmation, seen),
        "lanes": _lanes(ledger, fresh, confirmation),
        "environment": _environment(),
    }


def _lanes(*stages: Reader | None) -> list[dict[str, Any]]:
    """Places of the lanes of these records, each with its stage."""
    return [{"stage": r.stage, **asdict(place)} for r in stages if r is not None for place in r.places()]


def _environment() -> dict[str, Any]:
    """Versions of Python and packages, and the machine, that wrote the tables."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in NOTED_PACKAGES},
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }


def _stages(
    ledger: Reader, later: Iterable[Reader | None], records: Iterable[TrialRecord]
) -> list[dict[str, Any]]:
    """The work and the time of the search and of each stage after it that was planned."""
    runs = ledger.runs()
    ends = [datetime.fromisoformat(r.finished).timestamp() for r in records if r.finished]
    stages, since = [ledger], [sum(run.wall_s for run in runs)]
    for stage in later:
        if stage is not None and stage.plan is not None:
            planned = datetime.fromisoformat(stage.plan.opened).timestamp()
            stages.append(stage)
            since.append(sum(_confirming(run, planned, ends) for run in runs))
    spent = [began - next_ for began, next_ in zip(since, [*since[1:], 0.0], strict=True)]
    return [_stage(stage, wall_s) for stage, wall_s in zip(stages, spent, strict=True)]


def _confirming(run: Run, opened: float, ends: Iterable[float]) -> float:
    """Seconds of a run after a stage was planned and after the last of the search's `ends` in it."""
    if run.began is None:
        return 0.0
    began, ended = run.began, run.ended or run.renewed
    return max(0.0, ended - max(began, opened, *(end for end in ends if began <= end <= ended)))


def _stage(record: Reader, wall_s: float) -> dict[str, Any]:
    """The work of a stage; measured epochs of running trials count. `wall_s` is the time of its runs,
    `trained_s` the lanes' time for epochs and measurements, summed over lanes.
    """
    trial_summaries, trained = record.trial_summaries(), record.trained()
    epochs = sum(max(s.epochs, trained.get(n, (0, 0.0))[0]) for n, s in trial_summaries.items())
    return {
        "stage": record.stage,
        "configurations": len(trial_summaries),
        "member_epochs": epochs * record.spec.search.replicates,
        "wall_s": wall_s,
        "trained_s": sum(seconds for _, seconds in trained.values()),
    }


def _fresh(fresh: Reader, same: Mapping[PointKey, PointKey]) -> pd.DataFrame:
    """A row for each measurement of the fresh-seed stage; trial and epoch as in the search's tables."""
    points = () if fresh.plan is None else fresh.plan.points
    rows = []
    for m in fresh.measurements():
        key = points[m.trial].trial, m.epoch
        trial, epoch = same.get(key, key)
        rows.append((trial, m.replicate, "validation", epoch, *(getattr(m, name) for name in METRICS)))
    table = pd.DataFrame(rows, columns=["trial", "replicate", "split", "epoch", *METRICS])
    return table.drop_duplicates(["trial", "epoch", "replicate"], ignore_index=True)


def _confirmed(confirmation: Reader) -> pd.DataFrame:
    """A row for each fresh seed of a confirmed point; trial and epoch are those of the search."""
    points = () if confirmation.plan is None else confirmation.plan.points
    rows = pd.DataFrame(
        [
            {
                "trial": points[m.trial].trial,
                "replicate": m.replicate,
                "split": "test",
                "epoch": points[m.trial].epoch,
                **{name: getattr(m, name) for name in METRICS},
            }
            for m in confirmation.measurements()
        ],
        columns=["trial", "replicate", "split", "epoch", *METRICS],
    )
    return rows.drop_duplicates(["trial", "epoch", "replicate"], ignore_index=True)


def _users(confirmation: Reader) -> pd.DataFrame:
    """The same by user: a row for each user with test items; empty if the record has none."""
    points = () if confirmation.plan is None else confirmation.plan.points
    names = [f.name for f in fields(UserMetrics)]
    table = pd.DataFrame(confirmation.by_user(), columns=["trial", "replicate", "epoch", *names])
    table = table.assign(trial=table["trial"].map({n: p.trial for n, p in enumerate(points)}))
    return table.drop_duplicates(["trial", "epoch", "replicate", "user"], ignore_index=True)


def _confirmation(confirmation: Reader | None, seen: Snapshot) -> dict[str, Any] | None:
    """The planned points with reason and state, and the trivial models' scores on the test set."""
    if confirmation is None or confirmation.plan is None or not confirmation.fixed:
        return None
    records = {r.trial: r for r in confirmation.records()}
    numbers: dict[PointKey, int] = {}
    for number, p in enumerate(confirmation.plan.points):
        numbers.setdefault((p.trial, p.epoch), number)
    return {
        "replicates": confirmation.spec.search.replicates,
        "points": [
            {
                "trial": trial,
                "epoch": epoch,
                "why": confirmation.plan.points[number].reason,
                "state": shown_state(records[number].state, driven=seen.state == "running")
                if number in records
                else "not begun",
            }
            for (trial, epoch), number in numbers.items()
        ],
        "found_later": 0 if seen.confirmation is None else seen.confirmation.found_later,
        "reference": dict(confirmation.baseline.reference),
    }


def _numbers(rows: Iterable[Sequence[float]], columns: Sequence[str]) -> pd.DataFrame:
    """A table of numbers; the types of its columns do not depend on its rows."""
    types = {name: "int64" if name in MEASUREMENT_KEY else "float64" for name in columns}
    return pd.DataFrame(list(rows), columns=list(columns)).astype(types)


def _points(points: Sequence[Point], measurements: pd.DataFrame, replicates: int) -> pd.DataFrame:
    """Every point, with the spread over its replicates."""
    rows = _numbers(points, Point._fields)
    spread = measurements.groupby(["trial", "epoch"])[list(METRICS)].std().add_suffix("_sd")
    return rows.merge(spread, on=["trial", "epoch"], how="left").assign(replicates=replicates)


def _trials(
    records: Mapping[int, TrialRecord], points: pd.DataFrame, measurements: pd.DataFrame, *, driven: bool
) -> pd.DataFrame:
    """A row for each trial: its configuration, its state and reason, and the point that stands for it."""
    rows = pd.DataFrame([_trial(r, driven=driven) for r in records.values()], columns=list(TRIAL))
    rows["epoch"] = rows["epoch"].astype("Int64")
    for name in ("started", "finished"):
        rows[name] = pd.to_datetime(rows[name], utc=True)
    means = points[["trial", "epoch", *METRICS, *SD_COLUMNS]].astype({"epoch": "Int64"})
    rows = rows.merge(means, on=["trial", "epoch"], how="left")
    rows["front"] = rows["trial"].isin(points.loc[points["front"], "trial"])
    rows["wall_s"] = rows["trial"].map(measurements.groupby("trial")["wall_s"].sum()).fillna(0.0)
    return rows


def _trial(record: TrialRecord, *, driven: bool) -> dict[str, Any]:
    config = {} if record.config is None else record.config.as_dict()
    return {
        **{name: config.get(name) for name in CONFIG},
        **{name: getattr(record, name) for name in TRIAL if hasattr(record, name)},
        "state": shown_state(record.state, driven=driven),
        "batch_size": str(config.get("batch_size")),
        "max_epochs": config.get("epochs"),
        "lane": None if record.holder is None else record.holder.lane,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
