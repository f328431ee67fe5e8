"""The section `cost`: time and work by stage, and the trials that did not complete."""

from math import nan

import numpy as np
import pandas as pd

from analysis import text
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.report.common import first
from analysis.tables import Tables

MOST_UNFINISHED_ROWS = 50
"""Most rows of a table."""

STAGES = {"search": "the search", "fresh": "the fresh-seed stage", "confirm": "the confirmation"}
"""The stages of a study: name in the manifest → words in the report."""


def cost(tables: Tables) -> Section:
    """Time and work spent, and every trial that is not completed, with its reason."""
    trials, stages = tables.trials, tables.manifest.get("stages", ())
    summary = _spent(tables)
    restarted = int((trials["attempt"] > 1).sum())
    if restarted:
        summary += f" {text.count(restarted, 'trial')} of the search started more than once."
    blocks: list[Block] = [Text(summary), *([_stages(tables)] if stages else [])]
    stopped = bool((trials["state"] == "stopped").any())
    if stopped:
        blocks += _stopping(tables)
    unfinished = trials[trials["state"] != "completed"].sort_values(["state", "trial"])
    if len(unfinished):
        columns = ("trial", "state", "epochs", "reason")
        rows = [
            (f"{row['trial']:g}", *(text.general(row[name]) for name in columns[1:]))
            for row in unfinished.head(MOST_UNFINISHED_ROWS).to_dict("records")
        ]
        caption = "Trials that did not complete" + first(MOST_UNFINISHED_ROWS, len(unfinished), "trials")
        blocks.append(TableBlock(caption, columns, rows, frozenset({"trial", "epochs"}), folded=stopped))
    else:
        blocks.append(Text("Every trial completed." if len(trials) else "No trial has begun."))
    numbers = {"wall_s": float(tables.manifest["wall_s"])}
    for stage in stages:
        for name in ("configurations", "member_epochs", "wall_s", "trained_s"):
            numbers[f"{stage['stage']} {name}"] = stage[name]
    return Section("cost", "What did it cost, and how did trials end?", blocks, numbers)


def _spent(tables: Tables) -> str:
    """The time and the member-epochs, in a sentence."""
    manifest = tables.manifest
    stages = manifest.get("stages", ())
    if stages:
        *rest, last = (
            f"{text.count(stage['member_epochs'], 'member-epoch')} of {STAGES[stage['stage']]}"
            for stage in stages
        )
        work = f"{', '.join(rest)} and {last}" if rest else last
    else:  # an export of an earlier version, without stages
        work = f"{text.count(int(manifest['member_epochs']), 'member-epoch')} of the search"
        work += ", including the time of the confirmation" if manifest["test_opened"] else ""
    time = text.duration(float(manifest["wall_s"]))
    return f"{time} of wall time for {work}; a member-epoch is one epoch of one configuration with one seed."


def _stages(tables: Tables) -> TableBlock:
    """The work, the time and the speed of each stage."""
    columns = (
        "stage",
        "configurations",
        "member-epochs",
        "wall time",
        "per second",
        "training",
        "per second of training",
    )
    rows = [
        [
            STAGES[stage["stage"]],
            text.whole(stage["configurations"]),
            text.Number(f"{stage['member_epochs']:,}", stage["member_epochs"]),
            text.duration(stage["wall_s"]),
            _rate(stage["member_epochs"], stage["wall_s"]),
            text.duration(stage["trained_s"]),
            _rate(stage["member_epochs"], stage["trained_s"]),
        ]
        for stage in tables.manifest["stages"]
    ]
    caption = (
        "Member-epochs and time by stage. Wall time includes the start of Ray and of the lanes; training is "
        "the time of epochs and measurements, summed over lanes"
    )
    return TableBlock(caption, columns, rows, numeric=frozenset(columns[1:]))


def _rate(epochs: int, seconds: float) -> text.Number:
    """Member-epochs per second; a dash if no time was spent."""
    return text.fixed(epochs / seconds if seconds > 0 else nan, 1)


def _stopping(tables: Tables) -> list[Block]:
    """The number of trials stopped early, the share of full training spent, and the reasons for all ends."""
    trials, spent = tables.trials, int(tables.manifest["member_epochs"])
    trained, full = trials["epochs"].sum(), trials["max_epochs"].fillna(trials["epochs"]).sum()
    stopped = int((trials["state"] == "stopped").sum())
    summary = f"{stopped:,} of {text.count(len(trials), 'trial')} stopped before their last epoch."
    if trained:
        summary += (
            f" Training all trials fully takes {text.count(round(spent * full / trained), 'member-epoch')}; "
            f"{text.percent(trained / full)} of that was spent. The final results of the stopped trials are "
            "unknown."
        )
    return [Text(summary), _reasons(trials)]


def _reasons(trials: pd.DataFrame) -> TableBlock:
    """Table of the reasons for ends; those that differ only in numbers share a row with the ranges."""
    alike: dict[tuple[str, ...], list[tuple[str, float]]] = {}
    for state, reason, epochs in zip(trials["state"], trials["reason"], trials["epochs"], strict=True):
        wording = text.general(reason)
        alike.setdefault((state, *text.pattern(wording)), []).append((wording, epochs))
    groups = [
        (state, text.merged([wording for wording, _ in ended]), np.array([epochs for _, epochs in ended]))
        for (state, *_), ended in alike.items()
    ]
    groups.sort(key=lambda group: (group[0], group[2].mean(), group[1]))
    rows = [
        [
            state,
            reason,
            text.whole(len(epochs)),
            text.general(float(epochs.mean())),
            text.Number(f"{epochs.sum():,.0f}", float(epochs.sum())),
        ]
        for state, reason, epochs in groups[:MOST_UNFINISHED_ROWS]
    ]
    columns = ("state", "reason", "trials", "epochs, mean", "epochs, all")
    return TableBlock("How trials ended", columns, rows, numeric=frozenset(columns) - {"state", "reason"})
