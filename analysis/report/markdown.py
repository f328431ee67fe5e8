"""A report as GitHub-flavoured Markdown, for a pull request: figures as captions and data."""

import re
from collections.abc import Sequence
from html import escape

from analysis import text
from analysis.figures.drawing import Drawing
from analysis.report.blocks import Block, Code, Findings, Section, TableBlock, Text

SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$]")
"""Characters with a meaning in Markdown anywhere in a line."""

BEGINS = re.compile(r"(#+|[+-]+|=+|\d+[.)])(?= |$)")
"""The start of a heading, a list or a rule at the start of a line."""


def markdown(name: str, sections: Sequence[Section]) -> str:
    """The report as Markdown; text is escaped, and whitespace in it becomes one space."""
    parts = [f"# {words(name)}: Pareto report"]
    for section in sections:
        parts += [f"## {words(section.title)}", *map(_block, section.blocks)]
    return "\n\n".join(parts)


def words(plain: str) -> str:
    r"""Text escaped for Markdown, with code between backticks.

    >>> words("a <b> | *c*: `study pick x`")
    'a \\<b\\> \\| \\*c\\*: `study pick x`'
    >>> words("1. # x"), words("# x")
    ('1\\. # x', '\\# x')
    """
    parts = [
        f"`{part.replace('|', chr(92) + '|')}`" if code else SPECIAL.sub(r"\\\g<0>", part)
        for part, code in text.spans(_line(plain))
    ]
    escaped = "".join(parts)
    return re.sub(r"^\d*", r"\g<0>\\", escaped) if BEGINS.match(escaped) else escaped


def _line(plain: str) -> str:
    """Printable text on one line."""
    return " ".join(text.printable(plain).split())


def _block(block: Block) -> str:
    """A block as Markdown."""
    match block:
        case Text(content, kind):
            return {"answer": "**{}**", "warning": "> ⚠ {}", "plain": "{}"}[kind].format(words(content))
        case TableBlock():
            table = _table(block)
            return _folded(block.caption, table) if block.folded else f"{words(block.caption)}\n\n{table}"
        case Findings():
            return _block(block.grid())
        case Code(content, caption):
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", content)), default=0))
            return _folded(caption, f"{fence}\n{text.printable(content)}\n{fence}")
        case Drawing():
            legend = f"{block.caption} {block.reading} {block.description}"
            return f"*{words(block.title)}* ({block.name}.svg): {words(legend)}"


def _table(grid: TableBlock) -> str:
    """A table with right-aligned columns of numbers."""
    rules = ["---:" if column in grid.numeric else "---" for column in grid.columns]
    rows = [map(words, grid.columns), rules, *(map(words, row) for row in grid.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _folded(caption: str, body: str) -> str:
    """A block that the reader can open."""
    return f"<details><summary>{escape(_line(caption))}</summary>\n\n{body}\n\n</details>"
