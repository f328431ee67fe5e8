"""The section `curves`: training curves of the trials on the front."""

import pandas as pd

from analysis import text
from analysis.figures.curves import curves as draw
from analysis.figures.style import spaced
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.report.common import POINT, point, spreads
from analysis.tables import Tables

TITLE = "How did training go?"

MOST_CURVES = 8
"""Most trials drawn, evenly spaced along the front."""

MOST_EPOCHS_LISTED = 16
"""Most epochs of a trial in the table, not counting those on the front."""


def curves(tables: Tables) -> Section:
    """Both goals over the epochs of the front's trials, with the points of the front marked."""
    trials = tables.front.drop_duplicates("trial")
    if not len(trials):
        return Section("curves", TITLE, [Text("The front has no points, so there are no curves to show.")])
    chosen = spaced(trials[["trial", "weight", "sharing"]], MOST_CURVES)
    lines = tables.points.merge(chosen, on="trial").sort_values(["trial", "epoch"])
    if lines["epoch"].nunique() < 2:
        note = "Every trial of the front was measured once, at its last epoch: there are no curves to show."
        return Section("curves", TITLE, [Text(note)])
    blocks: list[Block] = [Text(_answer(tables), "answer"), draw(tables, lines), _data(tables, lines)]
    if len(chosen) < len(trials):
        blocks.append(
            Text(f"{len(chosen)} of the {len(trials):,} trials on the front are drawn, evenly spaced.")
        )
    return Section("curves", TITLE, blocks, {"trials": len(trials), "drawn": len(chosen)})


def _answer(tables: Tables) -> str:
    """The epochs of the front's points, in a sentence."""
    if tables.manifest["spec"].get("train", {}).get("candidates") == "last":
        return "Only the last epoch of a trial is a point here; the curves show the epochs before it."
    epochs = tables.front["epoch"]
    first, last = text.whole(epochs.min()), text.whole(epochs.max())
    lie = f"epoch {first}" if first == last else f"epochs {first} to {last}"
    return (
        f"The points of the front lie at {lie}, and its trials have {_trained(tables)}. The front takes the "
        "best of many noisy epochs, so a point before the last epoch does not show that stopping there helps."
    )


def _trained(tables: Tables) -> str:
    """The epochs that the front's trials were trained for, as text."""
    trained = tables.trials.loc[tables.trials["trial"].isin(tables.front["trial"]), "epochs"]
    low, high = text.whole(trained.min()), text.whole(trained.max())
    return f"{low} epochs" if low == high else f"{low} to {high} epochs"


def _data(tables: Tables, lines: pd.DataFrame) -> TableBlock:
    """Table of the curves, with some epochs of each."""
    some = pd.concat([spaced(line, MOST_EPOCHS_LISTED) for _, line in lines.groupby("trial")])
    shown = pd.concat([some, lines[lines["front"]]]).drop_duplicates(["trial", "epoch"])
    shown = shown.sort_values(["trial", "epoch"])
    rows = [
        [*point(row), *spreads(row, tables.goals), "yes" if row["front"] else "no"]
        for row in shown.to_dict("records")
    ]
    columns = (*POINT, *(goal.label for goal in tables.goals), "on the front")
    more = "" if len(shown) == len(lines) else ", some epochs of each trial; all are in tables/points.parquet"
    numeric = frozenset(columns) - {"sharing", "on the front"}
    return TableBlock(f"Data of the figure, {tables.split}{more}", columns, rows, numeric, folded=True)
