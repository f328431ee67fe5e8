"""The section `sharing`: differences between matched configurations, and the front of each way of sharing."""

from collections.abc import Sequence

from analysis import text
from analysis.figures import sharing as sharing_figure
from analysis.questions.sharing import NAMED, Attained, Untuned, attained, matched, untuned
from analysis.report.blocks import Block, Section, TableBlock, Text, Value
from analysis.report.common import tested
from analysis.stats import SIGNIFICANCE, Finding
from analysis.tables import Tables

TITLE = "Does sharing help?"

UNMATCHED = (
    "No two configurations that differ only in sharing were trained with two or more seeds, so there are no "
    'paired differences. These need a grid (sampler = "grid"), best with six or more replicates.'
)

TUNED = (
    "Over all configurations the ways of sharing are not comparable: the sampler tries some more often than "
    "others, and tunes their other values. The figure and the second table describe this search only."
)

NOT_UNTUNED = (
    "The ways of sharing are not compared. That needs two or more with configurations that, by the record, "
    "were drawn without regard to earlier results (by search.explore, or a sampler that does not learn)."
)


def sharing(tables: Tables) -> Section:
    """Matched differences between ways of sharing or the reason for none, then the front of each."""
    ways = attained(tables, tables.evaluated)
    if len(ways) < 2:
        why = f"every point shares {NAMED[ways[0].sharing]}" if ways else "there is no point"
        return Section("sharing", TITLE, [Text(f"Sharing is not compared: {why}.")])
    findings, drawn = matched(tables), untuned(tables)
    blocks: list[Block] = _paired(findings) if findings else []
    if drawn is None:
        blocks.append(Text(NOT_UNTUNED))
    else:
        blocks.append(Text(_untuned(drawn), "plain" if findings else "answer"))
        blocks.append(_grid(tables, drawn.ways, "configurations that the sampler did not tune"))
    blocks += [] if findings else [Text(UNMATCHED)]
    blocks += [
        Text(TUNED),
        sharing_figure.sharing(tables),
        _grid(tables, ways, "all configurations", folded=True),
    ]
    numbers: dict[str, Value] = {
        f"{way.sharing} {name}": getattr(way, name) for way in ways for name in ("hypervolume", "equal")
    }
    if drawn is not None:
        numbers |= {f"{way.sharing} untuned": way.equal for way in drawn.ways} | {"untuned p": drawn.p}
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


def _untuned(drawn: Untuned) -> str:
    """The ways of sharing by the hypervolume of their untuned configurations, the best first, and p."""
    ranked = sorted(drawn.ways, key=lambda way: -way.equal)
    count = sum(way.configurations for way in ranked)
    if not any(way.hypervolume for way in ranked):
        return f"No way of sharing beats the reference in {count} configurations that were not tuned."
    tries = text.count(ranked[0].tries, "configuration")
    volumes = "; ".join(f"{NAMED[way.sharing]} {text.volume(way.equal)}" for way in ranked)
    differ = "differ" if drawn.p <= SIGNIFICANCE else "do not differ clearly"
    p = text.p_value(drawn.p)
    return (
        f"Among configurations that the sampler did not tune, the ways of sharing {differ} (permutation "
        f"test, p {p if p.startswith('<') else f'= {p}'}). Mean hypervolume with {tries} of each, by shared "
        f"tables: {volumes}."
    )


def _grid(tables: Tables, ways: Sequence[Attained], which: str, *, folded: bool = False) -> TableBlock:
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
        f"The front of each way of sharing on {tables.split}, {which}: with all of them, and with random "
        f"samples of {ways[0].tries}, the number of the least tried"
    )
    return TableBlock(caption, columns, rows, numeric=frozenset(columns[1:]), folded=folded)
