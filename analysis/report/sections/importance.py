"""The section `importance`: shares of each objective's variance, for hyperparameters and their pairs."""

from analysis import text
from analysis.figures import importance as importance_figure
from analysis.objective import AnalysisError
from analysis.questions.importance import READABLE, Importance, VarianceShare, importance, responses
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.tables import Tables

TITLE = "Which hyperparameters matter?"

IMPORTANCE_METHOD = (
    "Importance is the share of an objective's variance over the searched range, with configurations drawn "
    "evenly from it; another range gives other shares. A polynomial of the hyperparameters, fitted to the "
    "configurations, gives the share of each one alone, and of each pair beyond its two; λ acts only where "
    "something is shared. The 95 % intervals are from a wild bootstrap over configurations; a share whose "
    "interval begins at 0 % may be no effect at all. The unexplained share includes the noise of the seed."
)


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
    blocks += [figure, *(_grid(each) for each in found), Text(IMPORTANCE_METHOD)]
    numbers = {
        f"{each.objective.name} {name}": value
        for each in found
        for name, value in (
            *((text.pair(share.names), share.share) for share in each.shares),
            ("unexplained", each.unexplained),
            ("r2", each.r2),
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
    return f"{label}: the largest shares of its variance are {first}."


def _unreadable(found: Importance) -> str:
    """Warning that the fit for an objective is too poor to interpret."""
    return (
        f"{found.objective.label}: for configurations left out, the fit predicts "
        f"{text.percent(found.r2)} of the variance, less than {text.percent(READABLE)}. Its shares are shown "
        "for completeness; do not interpret them."
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
        f"{found.terms} terms; the fit predicts {text.percent(found.r2)} for configurations left out"
    )
    return TableBlock(caption, columns, rows, numeric=frozenset(columns[1:]))


def _cells(share: VarianceShare) -> tuple[str, str]:
    """The cells of a share and its interval."""
    shown = f"{text.percent(share.low)} to {text.percent(share.high)}"
    return text.percent(share.share), text.Number(shown, {"low": share.low, "high": share.high})
