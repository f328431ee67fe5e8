"""Escape control characters in untrusted text before it reaches a terminal.

Escape sequences rewrite the screen, and bidirectional controls change the order in which a line is read.
File names, labels, logs, errors and answers of other machines may contain them, so all printed text is
escaped here.
"""

import json
import logging
from unicodedata import category


def printable(text: str) -> str:
    r"""The text with its unprintable characters, line breaks included, escaped as in JSON.

    >>> print(printable("λ \x1b[2J \x9b2J \u202e"))
    λ \u001b[2J \u009b2J \u202e
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    r"""As `printable`, but keeps line breaks, tabs and spaces of any width.

    >>> print(printable_lines("one\ntwo\r\x1b[31m"))
    one
    two\r\u001b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or category(c) == "Zs" else printable(c) for c in text)


class PrintableFormatter(logging.Formatter):
    """Formats log lines with control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return printable_lines(super().format(record))
