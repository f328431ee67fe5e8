"""A hundred thousand trials: the page stays small, thins only what it draws, and counts everything."""

import json
import time

import numpy as np
import pandas as pd
import pytest

from analysis.front import non_dominated
from analysis.report import read

SHARINGS = np.array(["none", "users", "items", "both"])
LOSSES = ["ranking_loss", "rating_loss", "joint_loss"]
METRICS = ["mrr", "mrr_all", "mse"]


def large(study, trials, *, epochs=3, equal=False):
    """A study of many trials, written table by table; with `equal` all points are the same."""
    folder = study([{"trial": 0}], [{"trial": 0, "replicate": 0, "epoch": 1, "mrr": 0.3, "mse": 0.8}])
    rng = np.random.default_rng(0)
    began = pd.Timestamp("2025-01-01", tz="UTC")
    sharing = SHARINGS[np.arange(trials) % 4]
    table = pd.DataFrame(
        {
            "trial": np.arange(trials),
            "state": np.where(rng.random(trials) < 0.5, "stopped", "completed"),
            "reason": [f"rung 1 epochs: rank {i} of {trials}, places 3" for i in range(trials)],
            "weight": np.where(sharing == "none", np.nan, 1 / (1 + np.exp(-rng.uniform(0, 8, trials)))),
            "sharing": sharing,
            "learning_rate": 10 ** rng.uniform(-4, -2, trials),
            "lane": "lane-0",
            "attempt": 1,
            "origin": "tpe",
            "max_epochs": epochs,
            "epochs": epochs,
            "epoch": epochs,
            "wall_s": 1.0,
            "started": began + pd.to_timedelta(np.arange(trials), "s"),
            "finished": began + pd.to_timedelta(np.arange(trials) + 60, "s"),
        }
    )
    angle = rng.uniform(0, np.pi / 2, trials * epochs)
    reach = 1 - 0.7 * rng.random(trials * epochs) ** 2
    points = pd.DataFrame(
        {
            "trial": np.repeat(table["trial"], epochs).to_numpy(),
            "epoch": np.tile(np.arange(1, epochs + 1), trials),
            "mrr": 0.5 if equal else 0.2 + 0.3 * reach * np.sin(angle),
            "mrr_all": 0.05,
            "mse": 0.8 if equal else 1.0 - 0.25 * reach * np.cos(angle),
            **{f"{name}_sd": np.nan for name in METRICS},
            "replicates": 1,
            "candidate": True,
        }
    )
    points["front"] = non_dominated(np.column_stack([-points["mrr"], points["mse"]]))
    own = points[points["epoch"] == epochs]
    for name in (*METRICS, *(f"{name}_sd" for name in METRICS)):
        table[name] = own[name].to_numpy()
    table["front"] = table["trial"].isin(points.loc[points["front"], "trial"])
    measured = points[["trial", "epoch", *METRICS]].assign(
        replicate=0, wall_s=0.1, **dict.fromkeys(LOSSES, 0.5)
    )
    for name, rows in (("trials", table), ("points", points), ("measurements", measured)):
        rows.to_parquet(folder / "tables" / f"{name}.parquet", index=False)
    path = folder / "manifest.json"
    spec = {"space": {"learning_rate": {"log": [1e-4, 1e-2]}, "weight": {"logit": [0.5, 0.9997]},
                      "sharing": SHARINGS.tolist()}}  # fmt: skip
    facts = json.loads(path.read_text()) | {"member_epochs": trials * epochs, "spec": spec}
    path.write_text(json.dumps(facts))
    return folder, points


def check(folder, points, *, thinned):
    """The page of a study is small and its numbers are of all points."""
    report = read(folder)
    html, numbers = report.html(), json.loads(report.json())["sections"]["verdict"]["numbers"]
    assert len(html.encode()) < 2_000_000
    assert len(report.markdown()) < 2_000_000
    assert numbers["evaluated"] == len(points)
    assert numbers["front"] == int(points["front"].sum())
    assert ("All points are counted, not all are drawn" in html) == thinned


@pytest.mark.long
@pytest.mark.parametrize("equal", [False, True])
def test_drawn_points_are_thinned_but_all_are_counted(study, equal):
    check(*large(study, 3000, equal=equal), thinned=True)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("equal", [False, True])
def test_a_hundred_thousand_trials(study, equal):
    folder, points = large(study, 100_000, equal=equal)
    began = time.perf_counter()
    check(folder, points, thinned=True)
    print(f"{len(points):,} points of 100,000 trials: {time.perf_counter() - began:.1f} s")
