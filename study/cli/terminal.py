"""Output to the terminal."""

import codecs
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from study.printable import printable, printable_lines

if TYPE_CHECKING:
    from study.status.snapshot import FrontSnapshot

MOST_LISTED = 25
"""Most points of a front, and most trials that ended early, that a command shows."""

console = Console()

PLAIN = {
    "λ": "lambda",
    "–": "-",
    "−": "-",
    "—": "-",
    "→": "->",
    "…": "...",
    "×": "x",
    "±": "+-",
    "≥": ">=",
    "≤": "<=",
    "“": '"',
    "”": '"',
    "’": "'",
    "²": "^2",
    "∞": "inf",
    "⚠": "!",
    "·": "*",
    "\xa0": " ",
}
"""ASCII replacements of our characters, for terminals without them."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Error handler: ASCII for characters that the terminal's encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign, "?") for sign in lacking), error.end


def speak_plainly() -> None:
    """Replace characters that the terminal's encoding lacks, instead of raising an error."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="plain")


def show_front(seen: "FrontSnapshot", *, most: int | None = None) -> None:
    """Print the front as a table: all points, or `most` points spread along it."""
    from study.status.front_table import FrontTable

    console.print(
        FrontTable(seen, most=most) if seen.front.points else "The front is empty: nothing is measured yet."
    )


def say(text: str) -> None:
    """Print a line without wrapping, colours or markup; control characters are escaped."""
    console.print(printable_lines(text), soft_wrap=True, highlight=False, markup=False)


def complain(text: str) -> None:
    """Print a line to stderr; control characters are escaped."""
    print(printable_lines(text), file=sys.stderr)


def add_row(table: Table, *cells: str) -> None:
    """Add a row of plain text: no markup; control characters are escaped."""
    table.add_row(*(Text(printable(cell)) for cell in cells))
