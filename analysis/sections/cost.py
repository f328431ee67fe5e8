"""What did it cost, and what went wrong?"""

import pandas as pd

from analysis import text
from analysis.sections import Block, Grid, Section, Text
from analysis.tables import Tables

ROWS = 50
"""Rows listed at most."""

KIND = "[:;(]"
"""What ends the part of a reason that trials have in common."""


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
    stopped = bool((tables.trials["state"] == "stopped").any())
    if stopped:
        blocks += _stopping(tables)
    ended = tables.trials[tables.trials["state"] != "completed"].sort_values(["state", "trial"])
    blocks.append(_unfinished(ended, folded=stopped) if len(ended) else Text("Every trial ran to its end."))
    return Section("cost", "What did it cost, and what stopped?", blocks)


def _stopping(tables: Tables) -> list[Block]:
    """How many trials a rule or the budget stopped, what that left untrained, and how each trial ended."""
    trials, spent = tables.trials, int(tables.manifest["member_epochs"])
    trained, full = trials["epochs"].sum(), trials["max_epochs"].fillna(trials["epochs"]).sum()
    stopped = int((trials["state"] == "stopped").sum())
    said = f"{stopped:,} of {text.count(len(trials), 'trial')} stopped before the end of training."
    if trained:
        said += (
            f" Full training of all takes {text.count(round(spent * full / trained), 'member-epoch')}; "
            f"{trained / full:.0%} of that was spent. What the stopped ones would have come to is not known."
        )
    kinds = trials.assign(kind=trials["reason"].fillna(text.NOTHING).str.split(KIND, n=1, regex=True).str[0])
    groups = kinds.groupby(["state", "kind"])["epochs"].agg(["size", "mean", "sum"]).reset_index()
    groups = groups.sort_values(["state", "mean", "kind"])
    columns = ("state", "reason", "trials", "epochs, mean", "epochs, all")
    rows = [
        (str(state), str(kind), f"{size:,}", text.general(float(mean)), f"{total:,.0f}")
        for state, kind, size, mean, total in groups.head(ROWS).to_numpy()
    ]
    grid = Grid("How trials ended", columns, rows, numeric=frozenset(columns) - {"state", "reason"})
    return [Text(said), grid]


def _unfinished(trials: pd.DataFrame, *, folded: bool) -> Grid:
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
    caption = f"Trials that did not run to their end{more}"
    return Grid(caption, columns, rows, numeric=frozenset({"trial", "epochs"}), folded=folded)
