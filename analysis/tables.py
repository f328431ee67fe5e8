"""A study's exported tables and manifest, checked. The analysis reads nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.front import hypervolume
from analysis.objective import OBJECTIVES, Floats, Objective, objectives, to_losses

MANIFEST_SCHEMA = 1
SHARINGS = ("none", "users", "items", "both")
METRICS = tuple(OBJECTIVES)
LOSSES = ("ranking_loss", "rating_loss", "joint_loss")
SPREADS = tuple(f"{metric}_sd" for metric in METRICS)

TRIVIAL = {"popularity": "popularity", "bias": "bias model"}
"""The trivial models: name in the manifest → name in the report."""

MANIFEST_KEYS = (
    "schema",
    "name",
    "fingerprint",
    "version",
    "objectives",
    "spec",
    "data",
    "trivial",
    "reference",
    "split",
    "counts",
    "member_epochs",
    "wall_s",
    "started",
    "finished",
    "complete",
    "reason",
    "test_opened",
    "confirmation",
    "environment",
    *(f"trivial.{name}" for name in TRIVIAL),
    "data.source",
    "data.split",
    "data.sha256",
    "data.users",
    "data.items",
    "data.train",
    "data.validation",
    "data.test",
    "data.has_validation",
    "data.warnings",
)
TEXT_COLUMNS = {
    "trials": ("state", "reason", "origin", "sharing", "lane"),
    "fresh": ("split",),
    "confirmed": ("split",),
    "users": ("user",),
}
FLAG_COLUMNS = {"trials": ("front",), "points": ("candidate", "front")}
NUMBER_COLUMNS = {
    "trials": ("trial", "weight", "max_epochs", "epochs", "epoch", *METRICS, *SPREADS, "wall_s", "attempt"),
    "points": ("trial", "epoch", *METRICS, *SPREADS, "replicates"),
    "measurements": ("trial", "replicate", "epoch", *LOSSES, *METRICS, "wall_s"),
    "fresh": ("trial", "replicate", "epoch", *METRICS),
    "confirmed": ("trial", "replicate", "epoch", *METRICS),
    "users": (
        "trial",
        "replicate",
        "epoch",
        "reciprocal_rank",
        "reciprocal_rank_all",
        "squared_error",
        "ratings",
    ),
}
TIME_COLUMNS = {"trials": ("started", "finished")}
OPTIONAL_TABLES = ("fresh", "confirmed", "users")
"""Tables without a file before that stage of a study; they are empty then."""


@dataclass(frozen=True)
class Tables:
    """A study's manifest and tables, checked.

    `trials` has a row per trial, `points` per trial and epoch (means over replicates), `measurements` per
    trial, replicate and epoch. `fresh` has a row per measurement of the fresh-seed stage, on validation; it
    is empty without one. `confirmed` has a row per confirmed point (trial and epoch) and fresh seed, with the
    metrics on the test set; it is empty before a confirmation. `users` has the same for each user
    with test items: reciprocal rank of the first hit, mean reciprocal rank of all hits, squared error summed
    over the ratings, and their number.
    """

    manifest: Mapping[str, Any]
    trials: pd.DataFrame
    points: pd.DataFrame
    measurements: pd.DataFrame
    fresh: pd.DataFrame
    confirmed: pd.DataFrame
    users: pd.DataFrame

    @classmethod
    def load(cls, folder: Path) -> "Tables":
        """Read the study in `folder`; AnalysisError if a file, a key or a column is missing or invalid."""
        manifest = _manifest(folder / "manifest.json")
        tables = {name: _table(folder / "tables" / f"{name}.parquet", name) for name in NUMBER_COLUMNS}
        strange = sorted(set(tables["trials"]["sharing"].dropna()) - set(SHARINGS))
        if strange:
            raise AnalysisError(f"tables/trials.parquet: sharing {strange[0]!r}; use {', '.join(SHARINGS)}")
        orphans = sorted(set(tables["points"]["trial"]) - set(tables["trials"]["trial"]))
        if orphans:
            raise AnalysisError(
                f"tables/points.parquet: trial {orphans[0]:g} is not in tables/trials.parquet"
            )
        for name, split in (("fresh", "validation"), ("confirmed", "test")):
            if len(tables[name]):
                _check_again(name, split, tables[name], tables["points"])
        if len(tables["confirmed"]):
            _check_confirmation(folder / "manifest.json", manifest)
        return cls(manifest=manifest, **tables)

    @cached_property
    def goals(self) -> tuple[Objective, Objective]:
        """The study's two objectives, first the one with larger is better, which figures draw upwards."""
        first, second = sorted(objectives(self.manifest["objectives"]), key=lambda goal: goal.sign)
        return first, second

    @cached_property
    def reference(self) -> Floats:
        """The reference point (2,), values in the order of `goals`."""
        return np.array([self.manifest["reference"][goal.name] for goal in self.goals], dtype=np.float64)

    @property
    def split(self) -> str:
        """The part of the ratings on which the metrics were measured: validation or test."""
        return str(self.manifest["split"])

    @cached_property
    def evaluated(self) -> pd.DataFrame:
        """The candidates with finite objectives, their trial's values, and `stands`: True for the point that
        represents the trial.
        """
        finite = np.isfinite(self.points[self.names].to_numpy()).all(axis=1)
        values = ["trial", "weight", "sharing", *self.configured]
        standing = self.trials[[*values, "epoch"]].rename(columns={"epoch": "standing"})
        joined = self.points[self.points["candidate"] & finite].merge(standing, on="trial", validate="m:1")
        joined["stands"] = joined["epoch"] == joined["standing"]
        evaluated: pd.DataFrame = joined.drop(columns="standing").reset_index(drop=True)
        return evaluated

    @cached_property
    def front(self) -> pd.DataFrame:
        """The non-dominated rows of `evaluated`, the best in the first of `goals` first."""
        rows = self.evaluated[self.evaluated["front"]]
        return rows.iloc[np.lexsort(self.losses(rows).T[::-1])]

    @cached_property
    def useful(self) -> pd.DataFrame:
        """The rows of `front` that beat the reference, or all if none does: choices are made from these."""
        beats = self.beats_reference(self.front)
        return self.front[beats] if beats.any() else self.front

    @property
    def names(self) -> list[str]:
        """The names of `goals`."""
        return [goal.name for goal in self.goals]

    @property
    def configured(self) -> list[str]:
        """The columns of `trials` that hold a configuration's values, beside weight and sharing."""
        known = {
            *TEXT_COLUMNS["trials"],
            *FLAG_COLUMNS["trials"],
            *NUMBER_COLUMNS["trials"],
            *TIME_COLUMNS["trials"],
        }
        return [str(column) for column in self.trials.columns if column not in known]

    @cached_property
    def varying(self) -> list[str]:
        """The columns of `configured` with more than one value."""
        return [name for name in self.configured if self.trials[name].nunique() > 1]

    def losses(self, points: pd.DataFrame) -> Floats:
        """The losses (n, 2) of points, in the order of `goals`."""
        return to_losses(points[self.names].to_numpy(dtype=np.float64), self.goals)

    def beats_reference(self, points: pd.DataFrame) -> "pd.Series[bool]":
        """Mask of the points that are better than the reference in both objectives."""
        better = (self.losses(points) < to_losses(self.reference, self.goals)).all(axis=1)
        return pd.Series(better, index=points.index)

    @cached_property
    def hypervolume(self) -> float:
        """The hypervolume of the front against the reference, in the product of the objectives' units."""
        return hypervolume(self.losses(self.front), to_losses(self.reference, self.goals))


def _manifest(path: Path) -> Mapping[str, Any]:
    """The manifest as a mapping with all its keys."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AnalysisError(f"{path}: no such file; export the study first") from None
    except ValueError as error:
        raise AnalysisError(f"{path}: not JSON ({error}); export the study again") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != MANIFEST_SCHEMA:
        raise AnalysisError(f"{path}: not a manifest of schema {MANIFEST_SCHEMA}; export the study again")
    missing = [key for key in MANIFEST_KEYS if not _has(manifest, key)]
    if missing:
        raise AnalysisError(f"{path}: lacks {', '.join(missing)}; export the study again")
    goals = objectives(manifest["objectives"])
    if len(goals) != 2:
        raise AnalysisError(f"{path}: objectives {manifest['objectives']}; a study has two")
    for goal in goals:
        if not _finite(manifest["reference"].get(goal.name)):
            raise AnalysisError(f"{path}: reference has no finite {goal.name}; export the study again")
    return manifest


def _finite(value: object) -> bool:
    """True if a value of the manifest is a finite number."""
    return isinstance(value, int | float) and bool(np.isfinite(value))


def _has(manifest: Mapping[str, Any], key: str) -> bool:
    """True if the manifest has a key, or with a dot a key within another."""
    outer, _, inner = key.partition(".")
    return outer in manifest and (not inner or inner in manifest[outer])


def _check_again(name: str, split: str, again: pd.DataFrame, points: pd.DataFrame) -> None:
    """Raise AnalysisError if a row of a later stage has no point, is repeated, or is not of `split`."""
    path, keys = f"tables/{name}.parquet", ["trial", "epoch"]
    strange = again.loc[again["split"] != split, "split"]
    if len(strange):
        raise AnalysisError(f"{path}: split {strange.iloc[0]!r}; its points are measured on {split}")
    known = again[keys].merge(points[keys], how="left", indicator=True)["_merge"] == "both"
    twice = again.duplicated([*keys, "replicate"])
    faults = {"is not in tables/points.parquet": ~known.to_numpy(), "has a replicate twice": twice.to_numpy()}
    for fault, rows in faults.items():
        for trial, epoch in again.loc[rows, keys].head(1).to_numpy():
            raise AnalysisError(
                f"{path}: trial {trial:g} after {epoch:g} epochs {fault}; export the study again"
            )


def _check_confirmation(path: Path, manifest: Mapping[str, Any]) -> None:
    """Raise AnalysisError if the manifest lacks the confirmation's points, replicates or reference."""
    plan = manifest["confirmation"] or {}
    missing = [key for key in ("replicates", "points", "reference") if key not in plan]
    missing += [name for name in manifest["objectives"] if not _finite(plan.get("reference", {}).get(name))]
    if missing:
        raise AnalysisError(f"{path}: confirmation lacks {', '.join(missing)}; export the study again")


def _table(path: Path, name: str) -> pd.DataFrame:
    """One table with all its columns, converted to their types; other columns stay as they are."""
    needed = [
        c for kinds in (TEXT_COLUMNS, FLAG_COLUMNS, NUMBER_COLUMNS, TIME_COLUMNS) for c in kinds.get(name, ())
    ]
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        if name in OPTIONAL_TABLES:
            return pd.DataFrame({column: pd.Series(dtype=np.float64) for column in needed})
        raise AnalysisError(f"{path}: no such file; export the study first") from None
    except (OSError, ValueError) as error:
        raise AnalysisError(f"{path}: not a Parquet table ({error}); export the study again") from error
    missing = [column for column in needed if column not in table]
    if missing:
        raise AnalysisError(f"{path}: lacks columns {', '.join(missing)}; export the study again")
    for column in (*NUMBER_COLUMNS[name], *TIME_COLUMNS.get(name, ())):
        kind, values = ("times" if column in TIME_COLUMNS.get(name, ()) else "numbers"), table[column]
        try:
            if kind == "times":
                table[column] = pd.to_datetime(values, utc=True)
            else:
                table[column] = pd.to_numeric(values).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise AnalysisError(f"{path}: column {column} must hold {kind} ({error})") from error
    for column in FLAG_COLUMNS.get(name, ()):
        table[column] = table[column].fillna(value=False).astype(bool)
    return table
