"""Text of others on its way to a terminal.

A terminal obeys some characters: escape sequences rewrite what is on it, and bidirectional controls change
the order in which a line is read. File names, labels, logs, errors and answers of other machines may hold any
of them, so whatever is printed goes through here.
"""

import json
import logging
from unicodedata import category


def printable(text: str) -> str:
    r"""The text with what is not printable, line breaks too, as JSON escapes it.

    >>> print(printable("λ \x1b[2J \x9b2J \u202e"))
    λ \u001b[2J \u009b2J \u202e
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    r"""The same, with line breaks, tabs and spaces of any width as they are.

    >>> print(printable_lines("one\ntwo\r\x1b[31m"))
    one
    two\r\u001b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or category(c) == "Zs" else printable(c) for c in text)


class PrintableFormatter(logging.Formatter):
    """A log's lines, printable whatever is in them."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return printable_lines(super().format(record))
