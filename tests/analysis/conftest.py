"""Studies with known numbers, written as a study exports them."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import report

SHARINGS = ["none", "users", "items", "both"]
METRICS = ["mrr", "mrr_all", "mse"]
LOSSES = ["ranking_loss", "rating_loss", "joint_loss"]
TRIAL: dict[str, Any] = {
    "state": "completed", "reason": "trained to its end", "origin": "explore", "weight": 0.9,
    "sharing": "both", "learning_rate": 1e-3, "weight_decay": 0.0, "ranking_loss": "one-minus-sigmoid",
    "batch_size": "256", "dim": 32, "hidden": 64, "max_epochs": None, "started": "2025-01-01T00:00:00+00:00",
    "finished": "2025-01-01T00:01:00+00:00", "wall_s": 6.0, "lane": "lane-0", "attempt": 1,
}  # fmt: skip
MEASUREMENT = {"ranking_loss": 0.3, "rating_loss": 0.8, "joint_loss": 0.5, "mrr_all": 0.05, "wall_s": 0.1}

Write = Callable[..., Path]


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        "schema": 1, "name": "made-up", "fingerprint": "3f1c9e0a77b2", "version": "0.1.0",
        "objectives": ["mrr", "mse"], "spec": {"name": "made-up"},
        "data": {"source": "ml-100k", "split": "per-user", "sha256": "06416e59", "users": 943, "items": 1682,
                 "train": 80000, "validation": 10000, "test": 10000, "has_validation": True, "warnings": []},
        "trivial": {"popularity": {"mrr": 0.274, "mrr_all": 0.05}, "bias": {"mse": 0.871}},
        "reference": {"mrr": 0.274, "mse": 0.871}, "split": "validation",
        "counts": {"completed": 0, "stopped": 0, "failed": 0, "running": 0}, "member_epochs": 12,
        "wall_s": 100.0, "started": "2025-01-01T00:00:00+00:00", "finished": None, "complete": True,
        "reason": "trials: all", "hypervolume": 0.0, "test_opened": None,
        "confirmation": None,
        "environment": {"python": "3.11.2", "cpus": 2},
    } | changes  # fmt: skip


def dominated(row: pd.Series, rows: pd.DataFrame, up: str) -> bool:
    as_good = (rows[up] >= row[up]) & (rows["mse"] <= row["mse"])
    return bool((as_good & ((rows[up] > row[up]) | (rows["mse"] < row["mse"]))).any())


def write(
    folder: Path,
    trials: Sequence[dict[str, Any]],
    measurements: Sequence[dict[str, Any]],
    confirmed: Sequence[dict[str, Any]] = (),
    fresh: Sequence[dict[str, Any]] = (),
    **changes: Any,
) -> Path:
    """A study folder: points are means over replicates, all candidates; a trial stands for its last epoch."""
    if confirmed:
        keys = sorted({(row["trial"], row["epoch"]) for row in confirmed})
        changes = {"test_opened": "2025-02-03T04:05:06+00:00", "confirmation": {
            "replicates": len({row["replicate"] for row in confirmed}),
            "points": [{"trial": t, "epoch": e, "why": "made up", "state": "completed"} for t, e in keys],
            "reference": {"mrr": 0.29, "mrr_all": 0.055, "mse": 0.89},
        }} | changes  # fmt: skip
    facts = manifest(**changes)
    up = facts["objectives"][0]
    measured = pd.DataFrame(
        [MEASUREMENT | row for row in measurements],
        columns=["trial", "replicate", "epoch", *LOSSES, *METRICS, "wall_s"],
    )
    groups = measured.groupby(["trial", "epoch"])
    points = groups[METRICS].mean().join(groups[METRICS].std().add_suffix("_sd")).reset_index()
    points["replicates"] = groups.size().to_numpy()
    points["candidate"] = True
    points["front"] = [not dominated(row, points, up) for _, row in points.iterrows()]
    last = points.sort_values("epoch").groupby("trial").tail(1)
    table = pd.DataFrame([TRIAL | row for row in trials], columns=["trial", *TRIAL])
    table = table.merge(last.drop(columns=["replicates", "candidate", "front"]), on="trial", how="left")
    table["epochs"] = table["epoch"]
    table["max_epochs"] = table["max_epochs"].fillna(table["epoch"])
    table["epoch"] = table["epoch"].astype("Int64")
    table["front"] = table["trial"].isin(points.loc[points["front"], "trial"])
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    for name, rows in (("trials", table), ("points", points), ("measurements", measured)):
        rows.to_parquet(folder / "tables" / f"{name}.parquet", index=False)
    for name, split, rows in (("fresh", "validation", fresh), ("confirmed", "test", confirmed)):
        if rows:
            again = pd.DataFrame([{"split": split, "mrr_all": 0.05} | row for row in rows])
            again.to_parquet(folder / "tables" / f"{name}.parquet", index=False)
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Write:
    """Writes a study into a folder of its own."""
    return partial(write, tmp_path / "study")


def searched(study: Write) -> Path:
    """Twelve trials over all sharings, three epochs each, one replicate."""
    rng = np.random.default_rng(1)
    trials = [
        {"trial": t, "sharing": SHARINGS[t % 4], "weight": None if t % 4 == 0 else 1 - 0.5 ** (1 + t / 2)}
        for t in range(12)
    ]
    measured = [
        {"trial": t, "replicate": 0, "epoch": e, "mrr": 0.25 + 0.01 * t + 0.01 * e + 0.01 * rng.random(),
         "mse": 0.80 + 0.012 * t + 0.2 / e**2 + 0.01 * rng.random()}
        for t in range(12) for e in (1, 2, 3)
    ]  # fmt: skip
    return study(trials, measured)


def confirmed(study: Write) -> Path:
    """The same, its front trained again with fresh seeds, three on validation and five on test, and one trial
    stopped and one failed.
    """
    search = searched(study)
    trials = pd.read_parquet(search / "tables" / "trials.parquet")
    points = pd.read_parquet(search / "tables" / "points.parquet")
    rng = np.random.default_rng(2)
    again = [
        {"trial": int(p["trial"]), "replicate": r, "epoch": int(p["epoch"]), "mrr": p["mrr"] - 0.01 + noise,
         "mse": p["mse"] + 0.01 - noise}
        for p in points[points["front"]].to_dict("records")
        for r, noise in enumerate(0.004 * rng.standard_normal(5))
    ]  # fmt: skip
    fresh = [row | {"mrr": row["mrr"] + 0.003} for row in again if row["replicate"] < 3]
    rows = trials[["trial", "sharing", "weight"]].to_dict("records")
    rows[3] |= {"state": "stopped", "reason": "rung 1 epochs: rank 4 of 9, places 3"}
    rows[5] |= {"state": "failed", "reason": "loss is not finite at epoch 2"}
    for row in rows:
        row |= {"learning_rate": 1e-3 * 1.3 ** row["trial"],
                "finished": f"2025-01-01T00:{row['trial'] + 1:02}:00+00:00"}  # fmt: skip
    measured = pd.read_parquet(search / "tables" / "measurements.parquet").to_dict("records")
    return study(rows, measured, again, fresh)


@pytest.fixture
def search(study: Write) -> Path:
    """A search without a confirmation."""
    return searched(study)


@pytest.fixture
def confirmed_search(study: Write) -> Path:
    """A search and its confirmation."""
    return confirmed(study)


@pytest.fixture(scope="module")
def unchanged_search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search for tests that only read it."""
    return searched(partial(write, tmp_path_factory.mktemp("searched") / "study"))


@pytest.fixture(scope="module")
def confirmed_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a search and its confirmation; drawing it takes seconds."""
    made = confirmed(partial(write, tmp_path_factory.mktemp("confirmed") / "study"))
    return report.read(made).save(made / "report", Path.write_bytes)


@pytest.fixture(scope="module")
def page_of_several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of four studies: three seeds of one sampler, and one with a long name of another sampler."""
    folder, made = tmp_path_factory.mktemp("several"), []
    question = [("tpe-0", "tpe", 0), ("tpe-1", "tpe", 1), ("tpe-2", "tpe", 2),
                ("a-study-" * 7 + "of-random", "random", 0)]  # fmt: skip
    for name, sampler, seed in question:
        rng = np.random.default_rng(len(made))
        trials = [
            {"trial": t, "sharing": SHARINGS[t % 4], "finished": f"2025-01-01T00:{t:02}:00+00:00"}
            for t in range(8)
        ]
        measured = [
            {"trial": t, "replicate": 0, "epoch": e, "mrr": 0.25 + 0.01 * t + 0.02 * rng.random() * e,
             "mse": 0.7 + 0.02 * t + 0.15 * rng.random()}
            for t in range(8) for e in (1, 2, 3)
        ]  # fmt: skip
        spec = {"name": name, "search": {"sampler": sampler, "seed": seed}}
        made.append(write(folder / name, trials, measured, name=name, spec=spec))
    return report.read_several(made).save(folder / "together", Path.write_bytes)


CELLS = {
    # sharing, λ: ranking loss, rating loss, mrr_all, mse; the published values of the four runs
    ("both", 0.99): (0.2643, 0.9746, 0.0471, 1.0171),
    ("both", 0.5): (0.4285, 0.8331, 0.0202, 0.9066),
    ("none", 0.5): (0.2473, 0.8324, 0.0643, 0.9076),
    ("none", 0.99): (0.2472, 0.8325, 0.0646, 0.9073),
}


@pytest.fixture
def four_cells(study: Write) -> Callable[..., Path]:
    """Writes the four cells at the published values, plus ±noise over replicates and a shift a cell."""

    def made(
        replicates: int = 8, shifts: dict[tuple[str, float], float] | None = None, **changes: Any
    ) -> Path:
        noise = np.linspace(-1, 1, replicates) if replicates > 1 else np.zeros(1)
        trials, measured = [], []
        for trial, ((sharing, weight), (ranking, rating, mrr_all, mse)) in enumerate(CELLS.items()):
            trials.append({"trial": trial, "sharing": sharing, "weight": weight})
            for replicate in range(replicates):
                wobble = 1e-3 * noise[(replicate + trial) % replicates]
                shift = (shifts or {}).get((sharing, weight), 0.0)
                row = {"ranking_loss": ranking + wobble, "rating_loss": rating + wobble,
                       "mrr_all": mrr_all + wobble + shift, "mse": mse + wobble, "mrr": 0.2}  # fmt: skip
                measured.append({"trial": trial, "replicate": replicate, "epoch": 200, **row})
                measured.append({"trial": trial, "replicate": replicate, "epoch": 100, **row, "mse": 3.0})
        ps1 = manifest()["data"] | {"split": "ps1", "has_validation": False, "validation": 0}
        return study(
            trials, measured,
            **{"objectives": ["mrr_all", "mse"], "reference": {"mrr_all": 0.059, "mse": 0.903},
               "data": ps1, "split": "test"} | changes,
        )  # fmt: skip

    return made
