"""The parts of a report, each the answer to one question: a file and a line in `SECTIONS`."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar, Literal, cast

from analysis.drawing import Drawing
from analysis.tables import Tables

SECTIONS = {
    "verdict": "analysis.sections.verdict:verdict",
    "trivial": "analysis.sections.trivial:trivial",
    "front": "analysis.sections.front:front",
    "confirmed": "analysis.sections.confirmed:confirmed",
    "claims": "analysis.sections.claims:claims",
    "cost": "analysis.sections.cost:cost",
    "reproduce": "analysis.sections.reproduce:reproduce",
}
"""In the order of the page: name → the function from Tables to Section."""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `kind` says whether it is the answer itself, plain, or a warning."""

    form: ClassVar[str] = "text"
    text: str
    kind: Literal["answer", "plain", "warning"] = "plain"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of words and formatted numbers; `numeric` names the columns set to the right.

    With `folded` the page shows its caption, and the rows on demand.
    """

    form: ClassVar[str] = "grid"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """Text to be kept as it is: a command, a specification."""

    form: ClassVar[str] = "code"
    text: str
    caption: str


Block = Text | Grid | Code | Drawing
"""What a section is made of; the page's template knows each by its `form`."""


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its answer, block by block; `name` is its place on the page."""

    name: str
    title: str
    blocks: Sequence[Block]


def sections(tables: Tables) -> list[Section]:
    """Every section of the report, in order."""
    made = []
    for place in SECTIONS.values():
        module, _, function = place.partition(":")
        made.append(cast(Section, getattr(import_module(module), function)(tables)))
    return made
