"""A report as one self-contained HTML page, which is also well-formed XML and complete without scripts."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.resources import files
from math import isfinite

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis import text
from analysis.report.blocks import Section


def page(name: str, sections: Sequence[Section]) -> str:
    """The page; everything except our own figures, style and script is escaped."""
    environment = Environment(
        loader=PackageLoader("analysis.report"),
        autoescape=True,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["spans"] = _spans
    environment.filters["order"] = _order
    environment.filters["spots"] = lambda drawing: [asdict(spot) for spot in drawing.spots]
    script = _ours("report.js")
    allowed = f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"  # the page's only script
    return environment.get_template("report.html").render(
        name=name, sections=sections, style=_ours("report.css"), script=script, hash=allowed
    )


def _ours(name: str) -> Markup:
    """A template file that the page contains unescaped."""
    return Markup(files("analysis.report").joinpath("templates", name).read_text(encoding="utf-8"))  # noqa: S704


def _spans(words: str) -> Markup:
    """A text as HTML, with `code` between backticks."""
    parts = ((escape(text.printable(part)), code) for part, code in text.spans(words))
    return Markup("").join(Markup("<code>{}</code>").format(part) if code else part for part, code in parts)


def _order(cell: str) -> str | None:
    """The number by which a cell is sorted: its value or the first part of it; None without a finite one."""
    if not isinstance(cell, text.Number):
        return None
    value = next(iter(cell.raw.values())) if isinstance(cell.raw, Mapping) else cell.raw
    return f"{value:.6g}" if isfinite(value) else None


def _printable(value: object) -> object:
    """Text without the characters that a page may not contain; other values unchanged."""
    return text.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
