"""Does sharing help, and how does λ trade? The three claims, and beside `ps1` the published numbers."""

from analysis import text
from analysis.claims import LABELS, Cells, Claim, cells, judge, reproductions
from analysis.compare import EXPLORATORY_BELOW
from analysis.sections import Block, Findings, Grid, Section, Text
from analysis.tables import Tables

TITLE = "Does sharing help, and what does λ trade?"

ABSENT = (
    "The three claims on sharing and λ are not judged: they need completed trials that share both tables and "
    "none, at λ = 0.99 and λ = 0.5, equal in everything else."
)


def claims(tables: Tables) -> Section:
    """The claims 3.a, 3.b and 3.c with verdict, effects and intervals; or why they cannot be judged."""
    found = cells(tables)
    if found is None:
        return Section("claims", TITLE, [Text(ABSENT)])
    judged = judge(found)
    answer = "; ".join(f"claim {claim.name} {claim.verdict}" for claim in judged)
    pairs = text.count(found.pairs, "seed")
    blocks: list[Block] = [Text(f"{answer[0].upper()}{answer[1:]} ({found.scope}; {pairs}).", "answer")]
    if found.pairs < EXPLORATORY_BELOW:
        blocks.append(
            Text(f"Exploratory: a paired test needs {EXPLORATORY_BELOW} seeds to decide.", "warning")
        )
    blocks += [_findings(claim) for claim in judged]
    blocks.append(
        Text(
            "Effects are means of differences between runs of the same seed, with Student's 95 % interval "
            "and the p of all sign flips. A claim holds where every interval lies on the claimed side, does "
            "not hold where one lies on the other, and is undecided otherwise. The verdicts are for this "
            "length of training; another may turn them."
        )
    )
    if tables.manifest["data"]["split"] == "ps1":
        blocks += _reproduced(found)
    numbers = {claim.name: claim.verdict for claim in judged}
    return Section("claims", TITLE, blocks, {**numbers, "seeds": found.pairs})


def _findings(claim: Claim) -> Findings:
    """A claim's findings."""
    noted = " (exploratory)" if claim.exploratory else ""
    caption = f"{claim.name} {claim.verdict}{noted}. {claim.statement}"
    claimed = ["higher" if sign > 0 else "lower" for sign in claim.signs]
    return Findings(caption, claim.findings, notes={"claimed": claimed})


def _reproduced(found: Cells) -> list[Block]:
    """The published last-epoch values beside ours."""
    columns = ("cell", "value", "published", "ours", "99 % prediction interval", "agrees")
    seeds = text.count(found.pairs, "seed")
    values = reproductions(found)
    rows = [
        (
            str(value.cell),
            LABELS[value.name],
            text.fixed(value.published, 4),
            text.spread(value.mean, value.sd, 4),
            "–" if value.n < 2 else f"{text.fixed(value.low, 4)} to {text.fixed(value.high, 4)}",
            "yes" if value.agrees else "no",
        )
        for value in values
    ]
    agreeing = sum(value.agrees for value in values)
    return [
        Text(
            f"{agreeing} of {len(values)} published values are reproduced: they lie in the 99 % prediction "
            "interval of our seeds or within 2 % of our mean; MRR (all test items) within 0.006 of it.",
        ),
        Grid(
            "Published (CS330 / XCS330, multi-task recommender exercise, last epoch) against ours "
            f"(mean ± sd over {seeds})",
            columns,
            rows,
            numeric=frozenset(columns) - {"cell", "value", "agrees"},
        ),
    ]
