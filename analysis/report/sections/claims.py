"""The section `claims`: the three claims by length of training and, for `ps1`, the published numbers."""

from collections import Counter

from analysis import text
from analysis.figures import claims as claims_figure
from analysis.questions.claim_cells import Cells, Four, fours
from analysis.questions.claims import RESPONSES, Claim, by_length, judge, runs
from analysis.questions.published import reproductions
from analysis.report.blocks import Block, Findings, Section, TableBlock, Text
from analysis.report.common import EXPLORATORY
from analysis.stats import EXPLORATORY_BELOW, holm
from analysis.tables import Tables

TITLE = "Do the three claims on sharing and λ hold?"

CLAIMS_METHOD = (
    "Effects are mean differences between runs with the same seed, with Student's 95 % interval. Their "
    "p-values count all sign flips, and are also adjusted (Holm) over all of these comparisons. A claim "
    "holds if every interval lies on the claimed side, and does not hold if one lies on the other. Its own "
    "p-value, from Student's t, is adjusted (Holm) over the claims, so in 95 % of studies no verdict here is "
    "wrong. A claim with p above 0.05 is undecided."
)


def claims(tables: Tables) -> Section | None:
    """The claims 3.a, 3.b and 3.c with verdict, effects and intervals; None if the study lacks a cell."""
    found = fours(tables)
    if not found:
        return None
    first, judged = found[0].last, judge([four.last for four in found])
    blocks: list[Block] = [Text(_answer(found, judged), "answer")]
    if first.pairs < EXPLORATORY_BELOW:
        blocks.append(EXPLORATORY)
    if len(found) > 1:
        blocks.append(_settings(found, judged))
    blocks += _findings(judged[0])
    blocks.append(Text(CLAIMS_METHOD))
    blocks += _by_length(found[0])
    if tables.manifest["data"]["split"] == "ps1":
        blocks += _reproduced(first)
    verdicts = {claim.name: claim.verdict for claim in judged[0]}
    p = {f"{claim.name} p": claim.p for claim in judged[0]}
    return Section("claims", TITLE, blocks, {**verdicts, **p, "seeds": first.pairs, "settings": len(found)})


def _answer(found: list[Four], judged: list[tuple[Claim, ...]]) -> str:
    """The verdicts, with their setting and number of seeds."""
    first = found[0].last
    seeds = text.count(first.pairs, "seed")
    if len(found) == 1:
        verdicts = "; ".join(f"claim {claim.name} {claim.verdict}" for claim in judged[0])
        return f"{verdicts[0].upper()}{verdicts[1:]} ({first.scope}; {seeds})."
    parts = []
    for same in zip(*judged, strict=True):
        counts = Counter(claim.verdict for claim in same)
        parts.append(f"claim {same[0].name} {', '.join(f'{v} in {n}' for v, n in counts.items())}")
    verdicts = "; ".join(parts)
    return f"In {len(found)} settings: {verdicts} ({found[0].split}; at most {seeds})."


def _settings(found: list[Four], judged: list[tuple[Claim, ...]]) -> TableBlock:
    """Table of the verdicts, a row for each setting."""
    names = [claim.name for claim in judged[0]]
    rows = [
        [
            four.setting or "–",
            text.whole(four.epochs),
            text.whole(four.last.pairs),
            *(claim.verdict for claim in claims),
        ]
        for four, claims in zip(found, judged, strict=True)
    ]
    columns = ("setting", "epochs", "seeds", *names)
    caption = "The claims in each setting with all four cells; below, the first setting in detail"
    return TableBlock(caption, columns, rows, numeric=frozenset(("epochs", "seeds")))


def _findings(claims: tuple[Claim, ...]) -> list[Block]:
    """A table of findings for each claim; p-values adjusted over all of them."""
    adjusted = iter(holm([finding.p for claim in claims for finding in claim.findings]))
    made: list[Block] = []
    for claim in claims:
        noted, p = ", exploratory" if claim.exploratory else "", str(text.p_value(claim.p))
        p = p if p.startswith("<") else f"= {p}"
        notes: dict[str, list[str]] = {
            "p (Holm)": [text.p_value(float(next(adjusted))) for _ in claim.findings],
            "claimed": ["higher" if sign > 0 else "lower" for sign in claim.signs],
        }
        caption = f"{claim.name} {claim.verdict} (p {p}{noted}). {claim.statement}"
        made.append(Findings(caption, claim.findings, notes=notes))
    return made


def _by_length(four: Four) -> list[Block]:
    """The verdicts and the differences by length of training, if more than one was measured."""
    lengths = by_length(four)
    if len(lengths) < 2:
        return [Text("No other length of training was measured.")]
    by_claim = []
    for claims in zip(*(claims for _, claims in lengths), strict=True):
        verdicts = zip((epochs for epochs, _ in lengths), (claim.verdict for claim in claims), strict=True)
        stretches = [
            f"{verdict} {f'after {low}' if low == high else f'from {low} to {high}'} epochs"
            for low, high, verdict in runs(verdicts)
        ]
        by_claim.append(f"{claims[0].name} {', '.join(stretches)}")
    words = f"By length of training: {'; '.join(by_claim)}."
    figure = claims_figure.claims(lengths, four.split)
    rows = [
        [
            text.whole(epochs),
            claim.name,
            claim.verdict,
            RESPONSES[metric],
            text.signed(finding.effect, 4),
            text.interval(finding.low, finding.high, 4) if finding.n > 1 else "none from one seed",
        ]
        for epochs, claims in lengths
        for claim in claims
        for metric, finding in zip(claim.metrics, claim.findings, strict=True)
    ]
    columns = ("epochs", "claim", "verdict", "difference in", "mean", "95 % interval")
    numeric = frozenset(("epochs", "mean", "95 % interval"))
    return [Text(words, "answer"), figure, TableBlock(figure.title, columns, rows, numeric, folded=True)]


def _reproduced(found: Cells) -> list[Block]:
    """The published last-epoch values beside ours."""
    columns = ("cell", "value", "published", "ours", "99 % prediction interval", "agrees")
    seeds = text.count(found.pairs, "seed")
    values = reproductions(found)
    rows = [
        [
            str(value.cell),
            RESPONSES[value.name],
            text.fixed(value.published, 4),
            text.spread(value.mean, value.sd, 4),
            "–" if value.n < 2 else f"{text.fixed(value.low, 4)} to {text.fixed(value.high, 4)}",
            {True: "yes", False: "no", None: text.NO_NUMBER}[value.agrees],
        ]
        for value in values
    ]
    tally = (
        f"{sum(value.agrees is True for value in values)} of {len(values)} published values are reproduced: "
        "each lies in the 99 % prediction interval of our seeds, which holds one further run in 99 of 100 "
        "cases. The published values are of one run, so they differ from our mean by the noise of a seed."
        if found.pairs > 1
        else "One seed gives no prediction interval, so the published values are not judged."
    )
    caption = (
        "Published (CS330 / XCS330, multi-task recommender exercise, last epoch) against ours "
        f"(mean ± sd over {seeds})"
    )
    return [Text(tally), TableBlock(caption, columns, rows, frozenset(columns) - {"cell", "value", "agrees"})]
