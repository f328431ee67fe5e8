"""The sections on several studies: the pooled front, attainment, speed, and a list of the studies."""

from analysis import text
from analysis.figures import comparison as comparison_figures
from analysis.questions.comparison import Comparison
from analysis.report.blocks import Block, Section, TableBlock, Text
from analysis.report.common import tested
from analysis.report.sections.verdict import NO_VALIDATION
from analysis.stats import Finding

CURSE = (
    "These are the values of the searches. Each front is the best of many points, so it looks better than it "
    "is. Confirm a front with fresh seeds before relying on it."
)

COMPARISON_METHOD = (
    "A point of the pooled front counts for each study that found it. Alone is the hypervolume that the "
    "pooled front would lose without the study. ε is the shift with which its front would reach every point "
    "of the pooled front that beats the reference; IGD+ is its mean distance from them. Both are shares of "
    "the way from the best known value to the reference in each objective; 0 is best."
)


def sections(comparison: Comparison) -> list[Section]:
    """The sections of the page, in order."""
    return [make(comparison) for make in (_pooled, _attainment, _growth, _studies)]


def _pooled(comparison: Comparison) -> Section:
    """The pooled front, and the contribution of each study."""
    measures, first = comparison.measures, comparison.studies[0]
    title = "What do the studies reach together?"
    if not len(comparison.pooled):
        return Section("pooled", title, [Text("No study has a front yet.")])
    most = measures.sort_values("alone").iloc[-1]
    numbers = {"points": len(comparison.pooled), "hypervolume": comparison.hypervolume}
    answer = (
        f"The pooled front of {len(measures)} studies has {text.count(len(comparison.pooled), 'point')} "
        f"on {first.split}. Hypervolume {text.volume(comparison.hypervolume)} against the reference "
        f"({text.values(first.goals, first.reference)}). "
    )
    if most["alone"] > 0:
        answer += f"{most['study']} contributes the most: without it, {text.volume(most['alone'])} is lost."
        numbers["lost without the best"] = float(most["alone"])
    blocks: list[Block] = [Text(answer, "answer"), Text(CURSE, "warning")]
    if not first.manifest["data"]["has_validation"]:
        blocks.append(Text(NO_VALIDATION, "warning"))
    blocks += [comparison_figures.pooled(comparison), _contributions(comparison), Text(COMPARISON_METHOD)]
    return Section("pooled", title, blocks, numbers)


def _contributions(comparison: Comparison) -> TableBlock:
    """Table of each study's points on the pooled front, its contribution and its distance."""
    columns = ("study", "group", "points on the pooled front", "hypervolume", "alone", "ε", "IGD+")
    rows = [
        [
            row["study"],
            comparison.groups[row["group"]].name,
            text.whole(row["points"]),
            text.volume(row["hypervolume"]),
            text.volume(row["alone"]),
            text.fixed(row["epsilon"]),
            text.fixed(row["igd_plus"]),
        ]
        for row in comparison.measures.to_dict("records")
    ]
    caption = f"Each study beside the pooled front, {comparison.studies[0].split}"
    return TableBlock(caption, columns, rows, numeric=frozenset(columns[2:]))


def _attainment(comparison: Comparison) -> Section:
    """Attainment surfaces of the replicates of a search."""
    title = "How much depends on the seed?"
    several = [group for group in comparison.groups if len(group.places) > 1]
    if not several:
        note = "No two studies differ only in the seed of the search, so the effect of the seed is unknown."
        return Section("attainment", title, [Text(note)])
    up, right = comparison.goals
    figure = comparison_figures.attainment(comparison)
    columns = ("group", "studies", "attained by", f"{up.label}", f"{right.label}")
    words = {"best": "some", "median": "half", "worst": "all"}
    rows = [
        [
            group.name,
            text.whole(len(group.places)),
            words[name],
            text.fixed(up.sign * corner[0], up.decimals),
            text.fixed(right.sign * corner[1], right.decimals),
        ]
        for group in several
        for name, corners in comparison.surfaces(group).items()
        for corner in corners[(corners < comparison.reference).all(axis=1)]
    ]
    numeric = frozenset(columns) - {"group", "attained by"}
    searches = "; ".join(f"{len(group.places)} studies of {group.name}" for group in several)
    answer = Text(f"Searches that were run several times, with different seeds: {searches}.")
    return Section(
        "attainment", title, [answer, figure, TableBlock(figure.title, columns, rows, numeric, folded=True)]
    )


def _growth(comparison: Comparison) -> Section:
    """Hypervolume against epochs, and differences between groups at equal epochs."""
    title = "Which search is faster?"
    if comparison.budget <= 0:
        return Section("growth", title, [Text("Not every study has a trial that has ended.")])
    figure = comparison_figures.grown(comparison)
    findings = comparison.differences()
    blocks: list[Block] = _paired(comparison, findings)
    rows = [
        [
            row["study"],
            comparison.groups[row["group"]].name,
            *(text.whole(row[name]) for name in ("seed", "trials", "epochs")),
            *(text.volume(row[name]) for name in ("at_budget", "hypervolume")),
        ]
        for row in comparison.measures.to_dict("records")
    ]
    at_budget = f"hypervolume after {comparison.budget:,.0f}"
    columns = ("study", "group", "seed", "trials", "epochs", at_budget, "hypervolume at the end")
    blocks += [figure, TableBlock(figure.title, columns, rows, numeric=frozenset(columns[2:]))]
    return Section("growth", title, blocks, {"epochs": comparison.budget})


def _paired(comparison: Comparison, findings: list[Finding]) -> list[Block]:
    """Differences between groups, or the reason for none."""
    if len(comparison.groups) < 2:
        return [Text("All studies are of one search, so there is nothing to compare it with.")]
    if not findings:
        return [Text("No two searches have a seed in common, so they are not paired.")]
    seeds = max(finding.n for finding in findings)
    summary = (
        f"{text.count(len(findings), 'comparison')} of two searches show a difference in hypervolume after "
        f"{comparison.budget:,.0f} epochs at p ≤ 0.05, adjusted (Holm) over all of them (at most "
        f"{text.count(seeds, 'seed')})."
    )
    caption = f"Differences in {findings[0].scope}, the most that all reached; a pair has one seed"
    return tested(findings, summary, seeds, caption, decimals=5)


def _studies(comparison: Comparison) -> Section:
    """Table of the studies with their groups, seeds, fingerprints and states."""
    columns = ("study", "group", "seed", "fingerprint", "complete", "test set opened", "version")
    rows = [
        [
            row["study"],
            comparison.groups[row["group"]].name,
            text.whole(row["seed"]),
            str(study.manifest["fingerprint"]),
            "yes" if study.manifest["complete"] else f"no ({study.manifest['reason']})",
            text.general(study.manifest["test_opened"]),
            str(study.manifest["version"]),
        ]
        for row, study in zip(comparison.measures.to_dict("records"), comparison.studies, strict=True)
    ]
    data = comparison.studies[0].manifest["data"]
    summary = (
        f"All were measured on the {comparison.studies[0].split} part of {data['source']}, split "
        f"{data['split']}, sha256 {text.general(data['sha256'])}. Studies that differ only in the seed of "
        "the search form a group, named by its differences from the other groups."
    )
    twice = comparison.measures[comparison.measures.duplicated(["group", "seed"])]
    blocks: list[Block] = [Text(summary)]
    if len(twice):
        repeated = f"Not replicates, since they repeat a seed of their group: {', '.join(twice['study'])}."
        blocks.append(Text(repeated, "warning"))
    blocks.append(TableBlock("The studies", columns, rows, numeric=frozenset({"seed"})))
    return Section("studies", "Which studies are these?", blocks)
