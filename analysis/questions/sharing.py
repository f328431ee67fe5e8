"""The effect of sharing: differences between matched configurations, and the front of each way of sharing."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import text
from analysis.front import hypervolume, non_dominated
from analysis.objective import Floats, to_losses
from analysis.stats import MOST_ROWS, Finding, paired
from analysis.tables import SHARINGS, Tables

SUBSETS = 100
"""Random samples of configurations of each way of sharing, of equal size."""

UNTUNED = ("explore", "random", "qmc", "grid")
"""Origins of configurations that no earlier result has influenced."""

PERMUTATIONS, FEWEST_PERMUTATIONS = 999, 99
"""Random permutations of the ways of sharing over configurations, and the fewest if there are very many."""

NAMED = {"none": "nothing", "users": "users", "items": "items", "both": "users and items"}
"""The shared tables in words."""


def matched(tables: Tables) -> list[Finding]:
    """Differences in each goal between two ways of sharing, by λ, with all else and the epochs equal.

    Values are those at the end of training. With several matched configurations of the same λ, each seed's
    differences are averaged first: the pairs are seeds, not configurations. A configuration that shares
    nothing matches any λ, which has no effect there. Only configurations with two or more seeds count, since
    one seed shows no noise. Empty if nothing matches.
    """
    done = tables.trials[tables.trials["state"] == "completed"].sort_values("trial")
    alike = done.groupby([done[name].astype(str) for name in ("epochs", *tables.configured)], sort=False)
    keyed = done[["trial", "sharing", "weight", "epochs"]].assign(alike=alike.ngroup())
    several = keyed.groupby("alike")["sharing"].transform("nunique") > 1
    keyed = keyed[several].assign(shown=[str(text.weight(w)) for w in keyed.loc[several, "weight"]])
    found: list[Finding] = []
    for less, more in combinations(SHARINGS, 2):
        pairs = _pairs(keyed, more, less)
        for weight, same in pairs.groupby("shown"):
            found += _findings(tables, (more, less, str(weight)), same)
    return found


def _pairs(keyed: pd.DataFrame, more: str, less: str) -> pd.DataFrame:
    """Pairs of trials that share `more` and `less` and are equal in all else; the first of equal trials."""
    first = keyed[(keyed["sharing"] == more) & keyed["weight"].notna()].drop_duplicates(["alike", "shown"])
    second = keyed.loc[keyed["sharing"] == less, ["alike", "shown", "trial"]]
    pairs = first.merge(second, on="alike", suffixes=("", "_less"))
    pairs["same"] = pairs["shown"] == pairs["shown_less"]
    if less != "none":
        pairs = pairs[pairs["same"]]
    return pairs.sort_values("same", ascending=False, kind="stable").drop_duplicates("trial")


def _findings(tables: Tables, key: tuple[str, str, str], pairs: pd.DataFrame) -> Iterator[Finding]:
    """The difference in each goal, over the replicates that every matched pair has."""
    one, two, weight = key
    columns = ["trial", "epoch", "replicate", *tables.names]
    ends = tables.measurements[columns].replace([np.inf, -np.inf], np.nan).dropna()
    at_end = pairs.rename(columns={"epochs": "epoch"}).merge(ends, on=["trial", "epoch"])
    others = ends.rename(columns={name: f"{name}_less" for name in ("trial", *tables.names)})
    both = at_end.merge(others, on=["trial_less", "epoch", "replicate"])
    by_seed = both.groupby("replicate").filter(lambda rows: len(rows) == len(pairs)).groupby("replicate")
    means = by_seed[[*tables.names, *(f"{name}_less" for name in tables.names)]].mean()
    if len(means) < 2:
        return
    lengths = sorted({int(epochs) for epochs in pairs["epochs"]})
    after = f"after {text.count(lengths[0], 'epoch')}" if len(lengths) == 1 else "at the end of training"
    scope = f"{tables.split}, {after}, {text.count(len(pairs), 'matched configuration')}"
    for goal in tables.goals:
        more, less = (means[name].to_numpy(np.float64) for name in (goal.name, f"{goal.name}_less"))
        sentence = (
            f"{goal.label}, λ = {weight}: {text.fixed(float(more.mean()), 4)} (shared: {NAMED[one]}) "
            f"against {text.fixed(float(less.mean()), 4)} ({NAMED[two]})"
        )
        yield paired(more, less, sentence=sentence, scope=scope)


@dataclass(frozen=True, slots=True)
class Attained:
    """The front of one way of sharing: with all its configurations, and with samples of equal size.

    `on_front` counts points on the study's front. `equal` is the mean hypervolume of random samples of
    `tries` configurations, and `low` to `high` holds 95 % of them; `best` has the goals' best values (2,).
    """

    sharing: str
    configurations: int
    points: int
    on_front: int
    best: Floats
    hypervolume: float
    tries: int
    equal: float
    low: float
    high: float


def attained(tables: Tables, points: pd.DataFrame) -> list[Attained]:
    """The front of each way of sharing among points, rows of `evaluated`; it describes this search only."""
    ways = [way for way in SHARINGS if (points["sharing"] == way).any()]
    tries = min((points.loc[points["sharing"] == way, "trial"].nunique() for way in ways), default=0)
    return [_attained(tables, points[points["sharing"] == way], way, tries) for way in ways]


def _attained(tables: Tables, points: pd.DataFrame, way: str, tries: int) -> Attained:
    """One way of sharing; the random samples are the same every time."""
    losses, reference = tables.losses(points), to_losses(tables.reference, tables.goals)
    trials, owner = np.unique(points["trial"].to_numpy(), return_inverse=True)
    inside = (losses < reference).all(axis=1)
    within, owners = losses[inside], owner[inside]
    rng, volumes = np.random.default_rng(0), []
    for _ in range(SUBSETS if tries < len(trials) else 1):
        chosen = np.zeros(len(trials), dtype=np.bool_)
        chosen[rng.permutation(len(trials))[:tries]] = True
        volumes.append(hypervolume(within[chosen[owners]], reference))
    low, high = np.quantile(volumes, (0.025, 0.975))
    return Attained(
        sharing=way,
        configurations=len(trials),
        points=len(points),
        on_front=int(points["front"].sum()),
        best=to_losses(losses.min(axis=0), tables.goals),
        hypervolume=hypervolume(within, reference),
        tries=tries,
        equal=float(np.mean(volumes)),
        low=float(low),
        high=float(high),
    )


@dataclass(frozen=True, slots=True)
class Untuned:
    """The front of each way of sharing among configurations that no earlier result has influenced.

    `p` is the share of permutations of the ways over these configurations in which their hypervolumes differ
    at least as much: a test of the hypothesis that sharing has no effect.
    """

    ways: tuple[Attained, ...]
    p: float


def untuned(tables: Tables) -> Untuned | None:
    """The comparison of ways of sharing that a sampler did not tune; None if fewer than two have any.

    A sampler tunes the ways that it prefers, so its own proposals do not compare them. Ways are exchangeable
    over random configurations if sharing has no effect (Fisher's randomisation test). The statistic is the
    variance of the ways' hypervolumes, weighted by their numbers of configurations.
    """
    origin = tables.trials.set_index("trial")["origin"]
    points = tables.evaluated
    points = points[points["trial"].map(origin).isin(UNTUNED)]
    ways = tuple(attained(tables, points))
    if len(ways) < 2:
        return None
    _, first, owner = np.unique(points["trial"].to_numpy(), return_index=True, return_inverse=True)
    losses, reference = tables.losses(points), to_losses(tables.reference, tables.goals)
    inside = (losses < reference).all(axis=1)
    labels = points["sharing"].to_numpy()[first]
    return Untuned(ways, _permutation_p(labels, owner[inside], losses[inside], reference))


def _permutation_p(
    labels: NDArray[np.object_], owner: NDArray[np.intp], losses: Floats, reference: Floats
) -> float:
    """Share of permutations of labels (k,) over trials after which the hypervolumes differ at least as much.

    `owner` (n,) has the trial of each of the losses (n, 2). The same data draw the same permutations. One set
    for all data would reject too often or too seldom in all studies alike.
    """
    ways = sorted(set(labels))

    def variance(labels: NDArray[np.object_]) -> float:
        parts = [labels == way for way in ways]
        volumes = [hypervolume(losses[part[owner]], reference) for part in parts]
        counts = [int(part.sum()) for part in parts]
        return float(np.cov(volumes, fweights=counts, ddof=0))

    times = int(np.clip(MOST_ROWS // max(len(losses), 1), FEWEST_PERMUTATIONS, PERMUTATIONS))
    key = np.frombuffer(sha256(losses.tobytes() + owner.tobytes()).digest(), np.uint32)
    rng, least = np.random.default_rng(key), variance(labels) * (1 - 1e-9)
    more = sum(variance(rng.permutation(labels)) >= least for _ in range(times))
    return (1 + more) / (1 + times)


def fronts(tables: Tables) -> dict[str, pd.DataFrame]:
    """The front of the candidates of each way of sharing, the best in the first goal first."""
    made = {}
    for way in SHARINGS:
        points = tables.evaluated[tables.evaluated["sharing"] == way]
        if len(points):
            rows = points[non_dominated(tables.losses(points))]
            made[way] = rows.iloc[np.lexsort(tables.losses(rows).T[::-1])]
    return made
