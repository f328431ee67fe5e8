"""Recorded learning curves: the points of a study without stopping, to replay searches on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from study.loop.rules.rule import Candidate
from study.record.front import losses, reference, stands_for
from study.record.rows import Baseline, Point
from study.search.space import SearchSpace
from study.spec import StudySpec
from trainable.contract import METRICS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """The points of every configuration after every epoch, (configurations, epochs), and its parameters.

    `parameters` are Optuna's, as `space` draws them; `corner` holds the losses of the reference point.
    """

    spec: StudySpec
    corner: Floats
    points: tuple[tuple[Point, ...], ...]
    parameters: tuple[dict[str, object], ...]

    @classmethod
    def read(cls, folder: Path) -> "Curves":
        """Read the curves in a study's folder; trials without their last epoch are left out."""
        spec = StudySpec.load(folder / "study.toml")
        manifest = pd.read_json(folder / "manifest.json", typ="series")
        trials = pd.read_parquet(folder / "tables" / "trials.parquet").query("state == 'completed'")
        rows = pd.read_parquet(folder / "tables" / "points.parquet").sort_values(["trial", "epoch"])
        points = {
            trial: tuple(
                Point(int(row["trial"]), int(row["epoch"]), *(float(row[name]) for name in METRICS))
                for row in some.to_dict("records")
            )
            for trial, some in rows.groupby("trial")
        }
        baseline = Baseline(data={}, reference=manifest["reference"])
        return cls(
            spec=spec,
            corner=reference(baseline, spec),
            points=tuple(points[trial] for trial in trials["trial"]),
            parameters=tuple(_parameters(SearchSpace(spec), row) for row in trials.to_dict("records")),
        )

    def part(self, first: int, step: int) -> "Curves":
        """Select every `step`-th configuration, from number `first`."""
        chosen = slice(first, None, step)
        return Curves(self.spec, self.corner, self.points[chosen], self.parameters[chosen])

    def __len__(self) -> int:
        return len(self.points)

    @property
    def epochs(self) -> int:
        """Epochs of each configuration."""
        return len(self.points[0])

    @cached_property
    def losses(self) -> Floats:
        """Losses (configurations, epochs, objectives)."""
        return np.array([losses(own, self.spec) for own in self.points])

    @cached_property
    def candidates(self) -> list[list[Candidate]]:
        """The points as a stopping rule's candidates; trials have the numbers of their configurations."""
        return [
            [Candidate(number, epoch, tuple(row)) for epoch, row in enumerate(own.tolist(), start=1)]
            for number, own in enumerate(self.losses)
        ]

    def told(self, number: int, epochs: int) -> list[float]:
        """Values for the sampler of a configuration after `epochs` epochs: those of its best point."""
        point = stands_for(self.points[number][:epochs], self.spec, self.corner)
        if point is None:
            raise ValueError("a configuration that was not trained has no values")
        return [point.metrics[name] for name in self.spec.objectives]


def _parameters(space: SearchSpace, row: dict[str, object]) -> dict[str, object]:
    """Optuna's parameters of a trial in the table; without sharing there is no weight."""
    return {
        space._parameter(name): space._encode(name, row[name])
        for name in space.searched
        if name != "weight" or row["sharing"] != "none"
    }
