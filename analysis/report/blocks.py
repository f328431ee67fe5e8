"""Sections of a report and their blocks: text, tables, findings, code, drawings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from analysis import text
from analysis.figures.drawing import Drawing
from analysis.stats import Finding

Value = float | str | None


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph: the answer of a section, plain text, or a warning."""

    form: ClassVar[str] = "text"
    text: str
    kind: Literal["answer", "plain", "warning"] = "plain"


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table of words and numbers (`text.Number`); `numeric` names the right-aligned columns.

    With `folded`, a page shows only its caption until the reader opens it.
    """

    form: ClassVar[str] = "grid"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings as a table: the sentence, effect and interval, p, pairs, and the scope if it differs.

    `unit` is the singular noun that `n` counts. `notes` are further columns of words, one per finding.
    """

    form: ClassVar[str] = "findings"
    caption: str
    findings: Sequence[Finding]
    unit: str = "seed"
    decimals: int = 4
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    folded: bool = False

    def grid(self) -> TableBlock:
        """The findings as a table."""
        notes, scopes = dict(self.notes), [finding.scope for finding in self.findings]
        if len(set(scopes)) > 1:
            notes["scope"] = scopes
        numeric = ("difference", "95 % interval", "p", f"{self.unit}s")
        rows = [
            [*self._row(finding), *more]
            for finding, *more in zip(self.findings, *notes.values(), strict=True)
        ]
        columns = ("finding", *numeric, *notes)
        return TableBlock(self.caption, columns, rows, frozenset(numeric), folded=self.folded)

    def _row(self, finding: Finding) -> list[str]:
        """The common cells of a finding; one pair has no interval."""
        interval = text.interval(finding.low, finding.high, self.decimals)
        return [
            finding.sentence,
            text.signed(finding.effect, self.decimals),
            f"none from one {self.unit}" if finding.n < 2 else interval,
            text.p_value(finding.p),
            text.whole(finding.n),
        ]


@dataclass(frozen=True, slots=True)
class Code:
    """Text that is shown unchanged: a command, a specification."""

    form: ClassVar[str] = "code"
    text: str
    caption: str


Block = Text | TableBlock | Findings | Code | Drawing
"""A part of a section; the page's template distinguishes blocks by `form`."""


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its answer, block by block; `name` is its anchor on the page.

    `numbers` has the full values of the numbers in its sentences, by name, for programs.
    """

    name: str
    title: str
    blocks: Sequence[Block]
    numbers: Mapping[str, Value] = field(default_factory=dict)
