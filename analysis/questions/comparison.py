"""Comparison of several studies of one question: the pooled front, and each study's share in it.

The studies must agree in objectives, data, split and reference. Studies that differ only in the seed of the
search are replicates of one search and form a group.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import isclose, nan
from typing import Any

import numpy as np
import pandas as pd

from analysis import text
from analysis.attainment import epsilon, igd_plus, pooled, scaled, surface
from analysis.errors import AnalysisError
from analysis.front import hypervolume
from analysis.objective import Floats, Objective, to_losses
from analysis.questions.hypervolume_history import at_epochs, growth
from analysis.stats import Finding, paired
from analysis.tables import Tables

APART = ("name", "runtime", "storage", "confirm")
"""Sections and keys of a specification that do not change the search."""

MOST_DIFFERENCES_NAMED = 3
"""Most differences in the name of a group."""


@dataclass(frozen=True)
class StudyGroup:
    """Studies, by position, that differ only in the search's seed; the name says how other groups differ."""

    name: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """Comparable studies, in the order given."""

    studies: tuple[Tables, ...]
    groups: tuple[StudyGroup, ...]

    @property
    def goals(self) -> tuple[Objective, Objective]:
        """The common objectives."""
        return self.studies[0].goals

    @property
    def reference(self) -> Floats:
        """Losses (2,) of the common reference."""
        return to_losses(self.studies[0].reference, self.goals)

    @cached_property
    def fronts(self) -> list[Floats]:
        """The losses (n, 2) of each study's front."""
        return [study.losses(study.front) for study in self.studies]

    @cached_property
    def pooled(self) -> Floats:
        """The losses (k, 2) of the front of all studies together, by first loss."""
        return pooled(self.fronts)

    @cached_property
    def grown(self) -> list[pd.DataFrame]:
        """The hypervolume history of each study."""
        return [growth(study) for study in self.studies]

    @cached_property
    def budget(self) -> float:
        """The largest number of epochs that every study has spent."""
        return min((float(grown["epochs"].max()) for grown in self.grown if len(grown)), default=0.0)

    @cached_property
    def measures(self) -> pd.DataFrame:
        """A row per study: its contribution to the pooled front, and its distance from it.

        `points` counts points of the pooled front that it found (equal ones count for each study), `alone` is
        the hypervolume that the pooled front would lose without it, `at_budget` its hypervolume at the epochs
        that all have spent. ε and IGD+ are distances to the part of the pooled front that beats the
        reference, as shares of the way from the best known to the reference; NaN if no study beats it.
        """
        best = self.pooled[(self.pooled < self.reference).all(axis=1)]
        rows = []
        for place, (study, front, grown) in enumerate(
            zip(self.studies, self.fronts, self.grown, strict=True)
        ):
            others = [f for i, f in enumerate(self.fronts) if i != place]
            near = scaled(front, best, self.reference) if len(best) else front
            target = scaled(best, best, self.reference) if len(best) else best
            rows.append(
                {
                    "study": study.manifest["name"],
                    "group": next(i for i, group in enumerate(self.groups) if place in group.places),
                    "seed": int(_flat(study.manifest["spec"]).get("search.seed", 0)),
                    "trials": len(study.trials),
                    "epochs": float(grown["epochs"].max()) if len(grown) else 0.0,
                    "points": int((self.pooled[:, None] == front[None]).all(axis=2).any(axis=1).sum()),
                    "hypervolume": study.hypervolume,
                    "at_budget": float(at_epochs(grown, np.array([self.budget]))[0]),
                    "alone": self.hypervolume - hypervolume(np.vstack(others), self.reference),
                    "epsilon": epsilon(near, target) if len(target) else nan,
                    "igd_plus": igd_plus(near, target) if len(target) else nan,
                }
            )
        return pd.DataFrame(rows)

    @cached_property
    def hypervolume(self) -> float:
        """The hypervolume of the pooled front."""
        return hypervolume(self.pooled, self.reference)

    def surfaces(self, group: StudyGroup) -> dict[str, Floats]:
        """Corners (k, 2) of a group's attainment surfaces, by name.

        "best" is attained by at least one study, "median" by half of three or more, "worst" by all.
        """
        fronts = [self.fronts[place] for place in group.places]
        runs = {"best": 1, "median": (len(fronts) + 1) // 2, "worst": len(fronts)}
        some = runs if len(fronts) > 2 else {name: runs[name] for name in ("best", "worst")}
        return {name: surface(fronts, count) for name, count in some.items()}

    def spread(self, group: StudyGroup) -> Floats:
        """Quartiles of hypervolume over a group (n, 4): epochs, low, median, high.

        Ends at the largest number of epochs that all of its studies have spent.
        """
        grown = [self.grown[place] for place in group.places]
        ends = [float(rows["epochs"].max()) if len(rows) else 0.0 for rows in grown]
        epochs = np.unique(np.concatenate([[0.0], *(rows["epochs"].to_numpy() for rows in grown)]))
        epochs = epochs[epochs <= min(ends)]
        volumes = np.array([at_epochs(rows, epochs) for rows in grown])
        return np.column_stack([epochs, *np.quantile(volumes, (0.25, 0.5, 0.75), axis=0)])

    def differences(self) -> list[Finding]:
        """Differences in hypervolume at equal epochs, paired by seed, of groups with a common seed."""
        once = self.measures.drop_duplicates(["group", "seed"])
        by_seed = once.pivot(index="seed", columns="group", values="at_budget")
        scope = f"hypervolume on {self.studies[0].split} after {self.budget:,.0f} epochs"
        found = []
        for one, two in combinations(range(len(self.groups)), 2):
            first, second = by_seed[[one, two]].dropna().to_numpy(np.float64).T
            if len(first):
                sentence = (
                    f"{self.groups[one].name}: {text.general(float(first.mean()))} against "
                    f"{self.groups[two].name}: {text.general(float(second.mean()))}"
                )
                found.append(paired(first, second, sentence=sentence, scope=scope))
        return found


def compare(studies: Sequence[Tables]) -> Comparison:
    """The comparison of two or more studies.

    AnalysisError, which names both, if a study is given twice or two studies are not comparable.
    """
    first, names = studies[0], [study.manifest["name"] for study in studies]
    if len(studies) < 2 or len(set(names)) < len(names):
        raise AnalysisError(f"studies {', '.join(names)}: give two or more different studies")
    for other in studies[1:]:
        for what, one, two in _must_agree(first, other):
            rounded = isinstance(one, float) and isinstance(two, float) and isclose(one, two, rel_tol=1e-9)
            if one != two and not rounded:
                raise AnalysisError(
                    f"studies {names[0]} and {other.manifest['name']} cannot be compared: {what} is "
                    f"{text.general(one)} in one and {text.general(two)} in the other; they must agree in "
                    "objectives, data, split and reference"
                )
    return Comparison(tuple(studies), _groups(studies))


def _must_agree(one: Tables, two: Tables) -> Iterator[tuple[str, object, object]]:
    """Pairs of values that must be equal in two studies, floats up to rounding, each with its name."""
    yield "objectives", ", ".join(one.names), ", ".join(two.names)
    for key in ("source", "split", "sha256"):
        yield f"data.{key}", one.manifest["data"][key], two.manifest["data"][key]
    first, second = (_flat(study.manifest["spec"]).get("data.split_seed") for study in (one, two))
    yield "data.split_seed", first, second
    yield "the part measured on", one.split, two.split
    for goal, mine, other in zip(one.goals, one.reference, two.reference, strict=True):
        yield f"the reference's {goal.label}", float(mine), float(other)


def _groups(studies: Sequence[Tables]) -> tuple[StudyGroup, ...]:
    """The studies grouped by their specification without the seed, and named by the differences.

    A group of one study has its name.
    """
    specs = [_question(study) for study in studies]
    by_spec: dict[str, list[int]] = {}
    for place, spec in enumerate(specs):
        by_spec.setdefault(json.dumps(spec, sort_keys=True, default=str), []).append(place)
    firsts = [specs[places[0]] for places in by_spec.values()]
    keys = list(dict.fromkeys(key for spec in firsts for key in spec))
    apart = [key for key in keys if len({json.dumps(spec.get(key), default=str) for spec in firsts}) > 1]
    groups = []
    for places in by_spec.values():
        name = str(studies[places[0]].manifest["name"])
        if len(places) > 1:
            name = _named(specs[places[0]], apart) or f"{name} and its replicates"
        groups.append(StudyGroup(name, tuple(places)))
    return tuple(groups)


def _named(spec: Mapping[str, Any], apart: Sequence[str]) -> str:
    """The values of the keys that differ between groups, in words."""
    values = [
        f"{key.rpartition('.')[2].replace('_', ' ')} {_short(spec.get(key))}"
        for key in apart[:MOST_DIFFERENCES_NAMED]
    ]
    return ", ".join(values) + (" …" if len(apart) > MOST_DIFFERENCES_NAMED else "")


def _short(value: object) -> str:
    """A value of a specification in a few words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(part)}" for key, part in value.items())
    if isinstance(value, list):
        return " to ".join(map(_short, value)) if len(value) == 2 else f"of {len(value)}"
    return "not set" if value is None else text.general(value)


def _question(study: Tables) -> dict[str, Any]:
    """The specification by key, without the study's name, seed, runtime, storage and confirmation."""
    spec = _flat(study.manifest["spec"])
    return {k: v for k, v in spec.items() if k.partition(".")[0] not in APART and k != "search.seed"}


def _flat(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A specification's values by section and key, such as train.epochs."""
    return {
        f"{part}.{name}" if name else part: value
        for part, values in spec.items()
        for name, value in (values.items() if isinstance(values, Mapping) else [("", values)])
    }
