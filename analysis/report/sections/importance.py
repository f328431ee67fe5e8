"""The section `importance`: shares of each objective's variance, for hyperparameters and their pairs."""

from collections.abc import Sequence

import numpy as np

from analysis import text
from analysis.errors import AnalysisError
from analysis.figures import effects as effects_figure
from analysis.figures import importance as importance_figure
from analysis.questions.importance import READABLE, Importance, VarianceShare, importance, responses
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.tables import Tables

TITLE = "Which hyperparameters matter?"

IMPORTANCE_METHOD = (
    "Importance is the share of an objective's variance over the searched range, with configurations drawn "
    "evenly from it; another range gives other shares. A polynomial of the hyperparameters, fitted to the "
    "configurations, gives the share of each one alone, and of each pair beyond its two; λ acts only where "
    "something is shared. Of several polynomials the one counts that best predicts configurations left out "
    "one by one. The 95 % intervals are from a wild bootstrap over configurations, which chooses the "
    "polynomial anew in each sample; they assume that the true effects are near one of these polynomials. A "
    "share whose interval begins at 0 % may be no effect at all. The unexplained share includes the noise of "
    "the seed."
)

SHOWN_LEVELS = 5
"""Values of a range in the table of effects."""


def matters(tables: Tables) -> Section:
    """The importance of the searched hyperparameters for each objective, or the reason for none."""
    try:
        found = importance(tables)
    except AnalysisError as error:
        return Section("importance", TITLE, [Text(f"Importance is not estimated: {error}.")])
    epochs = responses(tables)[0]
    blocks: list[Block] = [Text(_answer(each), "answer") for each in found]
    blocks += [Text(_unreadable(each), "warning") for each in found if not each.readable]
    blocks.append(Text(_compared(tables, epochs)))
    figure = importance_figure.importance(found, tables.split, epochs)
    blocks += [figure, *(_grid(each) for each in found), _tried(found)]
    curves = effects_figure.effects(found, tables.split, epochs)
    blocks += [curves, _effects(found, curves.title), Text(IMPORTANCE_METHOD)]
    numbers = {
        f"{each.objective.name} {name}": value
        for each in found
        for name, value in (
            *((text.pair(share.names), share.share) for share in each.shares),
            ("unexplained", each.unexplained),
            ("r2", each.chosen.r2),
            ("terms", each.chosen.terms),
        )
    }
    return Section("importance", TITLE, blocks, {**numbers, "epochs": epochs, "trials": found[0].trials})


def _answer(found: Importance) -> str:
    """The two largest shares in a sentence, if the fit is good enough."""
    label = found.objective.label
    if not found.readable:
        return f"{label}: the fit is too poor."
    first = ", ".join(
        f"{text.pair(s.names)} {text.percent(s.share)} [{text.percent(s.low)}, {text.percent(s.high)}]"
        for s in found.shares[:2]
    )
    return (
        f"{label}: the largest shares of its variance are {first}. Fitted: a polynomial of "
        f"{found.chosen.shape}; it misses {text.percent(1 - found.chosen.r2)} of the variance of "
        "configurations left out."
    )


def _unreadable(found: Importance) -> str:
    """Warning that the fit for an objective is too poor to interpret."""
    return (
        f"{found.objective.label}: for configurations left out, the fit predicts "
        f"{text.percent(found.chosen.r2)} of the variance, less than {text.percent(READABLE)}. Its shares "
        "are shown for completeness; do not interpret them."
    )


def _compared(tables: Tables, epochs: int) -> str:
    """The value that each configuration counts with, and the epochs that all have in common."""
    stopped = int((tables.trials["state"] == "stopped").sum())
    every = tables.manifest["spec"].get("train", {}).get("candidates") == "every"
    what = "the best value within" if every else "the value after"
    why = f" ({stopped:,} stopped early)" if stopped else ""
    return (
        f"Each configuration counts with {what} its first {text.count(epochs, 'epoch')} on {tables.split}. "
        f"All were trained for that long, so early stopping does not bias the comparison{why}."
    )


def _grid(found: Importance) -> TableBlock:
    """Table of every share, and of each hyperparameter's total with all its pairs."""
    columns = ("hyperparameter", "share", "95 % interval", "with all its pairs", "95 % interval of that")
    totals = {total.names: total for total in found.totals}
    rows = [
        [text.pair(names), *_cells(share), *(_cells(totals[names]) if names in totals else ("–", "–"))]
        for share in found.shares
        for names in [share.names]
    ]
    rows.append(["not explained", text.percent(found.unexplained), "–", "–", "–"])
    caption = (
        f"{found.objective.label}: shares of the variance. {text.count(found.trials, 'configuration')}, "
        f"{found.chosen.shape}, {found.chosen.terms} terms; the fit predicts "
        f"{text.percent(found.chosen.r2)} for configurations left out"
    )
    return TableBlock(caption, columns, rows, numeric=frozenset(columns[1:]))


def _tried(found: Sequence[Importance]) -> TableBlock:
    """Table of the polynomials that were fitted, with the quality of each for each objective."""
    labels = [each.objective.label for each in found]
    rows = [
        [str(same[0].shape), text.whole(same[0].terms), *(text.percent(tried.r2) for tried in same)]
        for same in zip(*(each.tried for each in found), strict=True)
    ]
    chosen = "; ".join(f"{each.objective.label}: {each.chosen.shape}" for each in found)
    caption = (
        "The polynomials that the configurations determine, and the share of the variance that each predicts "
        f"for configurations left out. Chosen: {chosen}"
    )
    columns = ("polynomial", "terms", *labels)
    return TableBlock(caption, columns, rows, numeric=frozenset(columns[1:]), folded=True)


def _effects(found: Sequence[Importance], title: str) -> TableBlock:
    """Table of the effects at some values of every hyperparameter."""
    columns = ["hyperparameter", "value"]
    for each in found:
        columns += [f"difference in {each.objective.label}", f"95 % interval, {each.objective.label}"]
    rows = []
    for same in zip(*(each.effects for each in found), strict=True):
        levels = same[0].levels
        count = len(levels) if same[0].scale is None else SHOWN_LEVELS
        for at in np.linspace(0, len(levels) - 1, count).round().astype(int).tolist():
            cells: list[str] = [text.pair([same[0].name]), text.general(levels[at])]
            for each, effect in zip(found, same, strict=True):
                decimals = each.objective.decimals
                cells.append(text.signed(effect.effect[at], decimals))
                cells.append(text.interval(effect.low[at], effect.high[at], decimals))
            rows.append(cells)
    return TableBlock(f"{title}: data of the figure", columns, rows, frozenset(columns[2:]), folded=True)


def _cells(share: VarianceShare) -> tuple[str, str]:
    """The cells of a share and its interval."""
    shown = f"{text.percent(share.low)} to {text.percent(share.high)}"
    return text.percent(share.share), text.Number(shown, {"low": share.low, "high": share.high})
