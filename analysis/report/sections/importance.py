"""What matters? How much of each objective's variance λ, sharing and the rest explain, alone and in pairs."""

from collections.abc import Sequence

from analysis import text
from analysis.figures import importance as importance_figure
from analysis.objective import AnalysisError
from analysis.questions.importance import READABLE, Importance, Share, importance, responses
from analysis.report.blocks import Block, Grid, Section, Text
from analysis.tables import Tables

TITLE = "What matters?"

METHOD = (
    "Importance is the share of an objective's variance over the searched range, were configurations drawn "
    "evenly from it: another range gives other shares. A polynomial of what was searched, fitted to the "
    "configurations, says what each value explains by itself and a pair beyond its two; λ acts only "
    "where something is shared. Intervals are of 95 %, from a wild bootstrap over configurations; one that "
    "begins at 0 % may well have no effect. What is left includes the noise of the seed."
)


def matters(tables: Tables) -> Section:
    """The importance of what was searched, for each objective; or why it cannot be told."""
    try:
        found = importance(tables)
    except AnalysisError as error:
        return Section("importance", TITLE, [Text(f"What matters is not told: {error}.")])
    epochs = responses(tables)[0]
    blocks: list[Block] = [Text(_answer(each), "answer") for each in found]
    blocks += [Text(_unreadable(each), "warning") for each in found if not each.readable]
    blocks.append(Text(_compared(tables, epochs)))
    figure = importance_figure.importance(found, tables.split, epochs)
    blocks += [figure, *(_grid(each) for each in found), Text(METHOD)]
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
    """The two largest shares, where they may be read."""
    label = found.objective.label
    if not found.readable:
        return f"{label}: not to be read."
    first = ", ".join(f"{text.pair(s.names)} {_percent(s)}" for s in found.shares[:2])
    return f"{label}: the largest shares of its variance are those of {first}."


def _unreadable(found: Importance) -> str:
    """Why an objective's shares are not to be read."""
    return (
        f"{found.objective.label}: of configurations it has not seen the fit foretells "
        f"{text.percent(found.r2)} of the variance, less than {text.percent(READABLE)}. Its shares are shown "
        "for completeness and say nothing."
    )


def _compared(tables: Tables, epochs: int) -> str:
    """What was compared, and how early stopping is kept out of it."""
    stopped = int((tables.trials["state"] == "stopped").sum())
    every = tables.manifest["spec"].get("train", {}).get("candidates") == "every"
    what = "the best value within" if every else "the value after"
    why = f", though {stopped:,} of them were stopped early" if stopped else ""
    return (
        f"Of each configuration {what} its first {text.count(epochs, 'epoch')} on {tables.split} counts: as "
        f"many as all were trained for, so none is judged by training it was denied{why}."
    )


def _percent(share: Share) -> str:
    """A share with its interval."""
    return f"{text.percent(share.share)} [{text.percent(share.low)}, {text.percent(share.high)}]"


def _grid(found: Importance) -> Grid:
    """Every share, and what each value explains with all its pairs."""
    columns = ("what", "share", "95 % interval", "with all its pairs", "95 % interval of that")
    totals = {total.names: total for total in found.totals}
    rows = [_row(share, totals.get(share.names)) for share in found.shares]
    rows.append(["not explained", text.percent(found.unexplained), "–", "–", "–"])
    caption = (
        f"{found.objective.label}: shares of the variance. {text.count(found.trials, 'configuration')}, "
        f"{found.terms} terms; of configurations it has not seen the fit foretells {text.percent(found.r2)}"
    )
    return Grid(caption, columns, rows, numeric=frozenset(columns[1:]))


def _row(share: Share, total: Share | None) -> Sequence[str]:
    """One share in a table."""
    whole = ["–", "–"] if total is None else [text.percent(total.share), _between(total)]
    return [text.pair(share.names), text.percent(share.share), _between(share), *whole]


def _between(share: Share) -> text.Number:
    """The interval of a share."""
    shown = f"{text.percent(share.low)} to {text.percent(share.high)}"
    return text.Number(shown, {"low": share.low, "high": share.high})
