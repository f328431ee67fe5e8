"""The report of a study: one page that needs nothing beside it, and the figure as files."""

import re
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.drawing import Drawing
from analysis.sections import Section, sections
from analysis.tables import Tables

UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that neither XML nor HTML may hold."""


def write(folder: Path) -> Path:
    """The page of the study in `folder`, written to report/index.html, with its figures beside it.

    AnalysisError where the study's tables or manifest are missing or unfit; nothing is written then.
    """
    tables = Tables.load(folder)
    parts = sections(tables)
    page = render(tables, parts)
    target = folder / "report"
    target.mkdir(exist_ok=True)
    for drawing in (block for part in parts for block in part.blocks if isinstance(block, Drawing)):
        drawing.save(target)
    index = target / "index.html"
    index.write_text(page, encoding="utf-8")
    return index


def render(tables: Tables, parts: list[Section]) -> str:
    """The page as HTML that is well-formed XML too; everything but our own figures is escaped."""
    environment = Environment(
        loader=PackageLoader("analysis"),
        autoescape=True,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    css = files("analysis").joinpath("templates/report.css").read_text(encoding="utf-8")
    style = Markup(css)  # noqa: S704  our own file
    page = environment.get_template("report.html")
    return page.render(name=tables.manifest["name"], sections=parts, style=style)


def _printable(value: object) -> object:
    """Text without the characters that a page may not hold."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return UNPRINTABLE.sub("\ufffd", value)
    return value
