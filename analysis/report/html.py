"""A report as one self-contained HTML page, which is also well-formed XML and complete without scripts."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis import text
from analysis.figures.drawing import Drawing
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
    environment.filters |= {"spans": _spans, "spots": _spots}
    script = _ours("report.js")
    return environment.get_template("report.html").render(
        name=name, sections=sections, style=_ours("report.css"), script=script, hash=_hash(script)
    )


def _ours(name: str) -> Markup:
    """A template file that the page contains unescaped."""
    return Markup(files("analysis.report").joinpath("templates", name).read_text(encoding="utf-8"))  # noqa: S704


def _hash(script: str) -> str:
    """The hash by which the page's security policy allows its only script."""
    return f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"


def _spans(said: str) -> Markup:
    """A text as HTML, with `code` between backticks."""
    parts = ((escape(text.printable(part)), code) for part, code in text.spans(said))
    return Markup("").join(Markup("<code>{}</code>").format(part) if code else part for part, code in parts)


def _spots(drawing: Drawing) -> list[dict[str, object]]:
    """The spots of a figure as data for the script."""
    return [asdict(spot) for spot in drawing.spots]


def _printable(value: object) -> object:
    """Text without the characters that a page may not contain; other values unchanged."""
    return text.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
