"""What did it cost, and what went wrong?"""

import pandas as pd

from analysis import text
from analysis.sections import Block, Grid, Section, Text
from analysis.tables import Tables

ROWS = 50
"""Trials listed at most."""


def cost(tables: Tables) -> Section:
    """Time and work spent, and every trial that did not run to its end, with its reason."""
    manifest = tables.manifest
    spent, epochs = float(manifest["wall_s"]), int(manifest["member_epochs"])
    rate = f", {epochs / spent:,.1f} a second" if spent > 0 and epochs else ""
    said = (
        f"{text.duration(spent)} of wall time for {text.count(len(tables.trials), 'trial')} and "
        f"{text.count(epochs, 'member-epoch')} (one configuration, one seed, one epoch){rate}."
    )
    restarted = int((tables.trials["attempt"] > 1).sum())
    if restarted:
        said += f" {text.count(restarted, 'trial')} had to start again."
    blocks: list[Block] = [Text(said)]
    ended = tables.trials[tables.trials["state"] != "completed"].sort_values(["state", "trial"])
    blocks.append(_unfinished(ended) if len(ended) else Text("Every trial ran to its end."))
    return Section("cost", "What did it cost, and what stopped?", blocks)


def _unfinished(trials: pd.DataFrame) -> Grid:
    """Trials stopped, failed or running, and why."""
    columns = ("trial", "state", "epochs", "reason")
    rows = [
        (f"{row['trial']:g}", str(row["state"]), text.general(row["epochs"]), text.general(row["reason"]))
        for _, row in trials.head(ROWS).iterrows()
    ]
    more = (
        f" (the first {ROWS} of {len(trials):,}; the rest in tables/trials.parquet)"
        if len(trials) > ROWS
        else ""
    )
    return Grid(
        f"Trials that did not run to their end{more}", columns, rows, numeric=frozenset({"trial", "epochs"})
    )
