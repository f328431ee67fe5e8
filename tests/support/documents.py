"""The code blocks and tables of README.md and the pages in docs/."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its fence, as in "sh slow", and its text."""

    kind: str
    text: str


def page(name: str) -> str:
    """The text of a page, by its path from the repository's root."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, *kinds: str) -> list[Block]:
    """The fenced blocks of a page, in order: those of some kinds, or all."""
    found = re.findall(r"^```(.+?)\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)
    return [Block(kind, text) for kind, text in found if not kinds or kind in kinds]


def section(name: str, title: str) -> str:
    """The text of a page below the heading `title`, up to the next heading of that level or above."""
    found = re.search(
        rf"^(#+) {re.escape(title)}$\n(.*?)(?=^#{{1,2}} |\Z)", page(name), re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"{name} has no section {title!r}"
    return found[2]


def first_column(text: str) -> list[str]:
    """The code in the first column of the tables in a text, row by row."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def links(name: str) -> list[Path]:
    """The files that a page links to, without those of other sites."""
    targets = re.findall(r"\]\((?!http|#)([^)#]+)[^)]*\)", page(name))
    return [(ROOT / name).parent / target for target in targets]
