"""How far confirmed points might move if other users of the same kind had come: a bootstrap over users."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from analysis.compare import bootstrap
from analysis.objective import Floats
from analysis.tables import Tables

USERS_FROM = 200
"""Users that an interval needs: of 100, some with one rating and some with many, one for the MSE covers in
less than 93 % of cases (measured as in tests/analysis/test_calibration.py)."""

STATISTICS: Mapping[str, tuple[tuple[str, ...], Callable[[Floats], float]]] = {
    "mrr": (("reciprocal_rank",), lambda rows: float(rows[:, 0].mean())),
    "mrr_all": (("reciprocal_rank_all",), lambda rows: float(rows[:, 0].mean())),
    "mse": (("squared_error", "ratings"), lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum())),
}
"""What each metric is made of, user by user, and how."""


def intervals(tables: Tables, points: pd.DataFrame) -> dict[str, Floats]:
    """By goal the ends (n, 2) of the 95 % interval over users of points, named by trial and epoch.

    Each user counts with the mean over the seeds that the point was trained with, so the luck of the seed is
    not in it. NaN where a point has fewer than 200 users.
    """
    columns = sorted({column for name in tables.names for column in STATISTICS[name][0]})
    by_user = tables.users.groupby(["trial", "epoch", "user"])[columns].mean()
    rows = dict(iter(by_user.groupby(level=["trial", "epoch"])))
    ends: dict[str, Floats] = {}
    for name in tables.names:
        parts, statistic = STATISTICS[name]
        ends[name] = np.full((len(points), 2), np.nan)
        for place, key in enumerate(zip(points["trial"], points["epoch"], strict=True)):
            users = rows[key][list(parts)].dropna().to_numpy(np.float64) if key in rows else np.empty((0, 1))
            if len(users) >= USERS_FROM:
                ends[name][place] = bootstrap(users, statistic)
    return ends
