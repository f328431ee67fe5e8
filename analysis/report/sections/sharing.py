"""The section `sharing`: differences between matched configurations, and the front of each way of sharing."""

from analysis import text
from analysis.figures import sharing as sharing_figure
from analysis.questions.sharing import NAMED, Attained, attained, matched
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.report.common import tested
from analysis.stats import Finding
from analysis.tables import Tables

TITLE = "Does sharing help?"

UNMATCHED = (
    "No two configurations that differ only in sharing were trained with two or more seeds, so there are no "
    "paired differences. The following only describes this search, which tried some ways of sharing more "
    "often, and with better values, than others. "
    'Paired differences need a grid (sampler = "grid"), best with six or more replicates.'
)


def sharing(tables: Tables) -> Section:
    """Matched differences between ways of sharing or the reason for none, then the front of each."""
    ways = attained(tables)
    if len(ways) < 2:
        why = f"every point shares {NAMED[ways[0].sharing]}" if ways else "there is no point"
        return Section("sharing", TITLE, [Text(f"Sharing is not compared: {why}.")])
    findings = matched(tables)
    blocks: list[Block] = _paired(findings) if findings else [Text(UNMATCHED)]
    figure = sharing_figure.sharing(tables)
    blocks += [Text(_description(ways), "answer" if not findings else "plain"), figure, _grid(tables, ways)]
    numbers = {
        f"{way.sharing} {name}": getattr(way, name) for way in ways for name in ("hypervolume", "equal")
    }
    return Section("sharing", TITLE, blocks, numbers)


def _paired(findings: list[Finding]) -> list[Block]:
    """The matched differences, p adjusted over all of them."""
    seeds = min(finding.n for finding in findings)
    summary = (
        f"{text.count(len(findings), 'matched comparison')} show a difference at p ≤ 0.05, adjusted (Holm) "
        f"over all of them ({text.count(seeds, 'seed')})."
    )
    caption = "Differences between ways of sharing, all else equal: means over runs with the same seed"
    return tested(findings, summary, seeds, caption, folded=len(findings) > 24)


def _description(ways: list[Attained]) -> str:
    """The ways of sharing by their hypervolume at equal numbers of configurations, the best first."""
    ranked = sorted(ways, key=lambda way: -way.equal)
    if ranked[0].equal == 0:
        return "Descriptive: no way of sharing beats the reference."
    tries = text.count(ranked[0].tries, "configuration")
    volumes = "; ".join(f"{NAMED[way.sharing]} {text.volume(way.equal)}" for way in ranked)
    return f"Descriptive: mean hypervolume with {tries} of each, by shared tables: {volumes}."


def _grid(tables: Tables, ways: list[Attained]) -> TableBlock:
    """Table of the front of each way of sharing."""
    columns = (
        *("shared", "configurations", "points on the front", "hypervolume"),
        f"hypervolume of {ways[0].tries}",
        *("95 % of samples", *(f"best {goal.label}" for goal in tables.goals)),
    )
    rows = [
        [
            NAMED[way.sharing],
            text.whole(way.configurations),
            text.whole(way.on_front),
            text.volume(way.hypervolume),
            text.volume(way.equal),
            text.Number(
                f"{text.volume(way.low)} to {text.volume(way.high)}", {"low": way.low, "high": way.high}
            )
            if way.tries < way.configurations
            else "–",
            *(text.fixed(float(v), g.decimals) for v, g in zip(way.best, tables.goals, strict=True)),
        ]
        for way in ways
    ]
    caption = (
        f"The front of each way of sharing on {tables.split}: with all its configurations, and with random "
        f"samples of {ways[0].tries}, the number of the least tried"
    )
    return TableBlock(caption, columns, rows, numeric=frozenset(columns[1:]))
