"""A drawing: a figure with its words, as files and as part of a page. Equal data give equal bytes.

Three colours are reserved: in a page they become its variables --ink, --muted and --paper, light or dark.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO, StringIO
from pathlib import Path
from typing import ClassVar

from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from analysis.figures.canvas import defaults

Put = Callable[[Path, bytes], object]
"""Writes a file. The caller chooses the way: a file that others may be reading is replaced atomically."""

INK, MUTED, PAPER = "#1b1f24", "#646d76", "#ffffff"


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a figure with a tooltip: shares of its width and height from the upper left corner.

    `facts` are names and values; `command` exports the point, and is empty if no command does.
    """

    x: float
    y: float
    title: str
    facts: Sequence[tuple[str, str]]
    command: str


@dataclass(frozen=True, slots=True)
class LegendView:
    """The legends of a figure as a second view of its SVG: the element's id, the view box, its width in pt.

    `plot` is the share of the figure's width left of the legends, or 1 if they are above or below the axes.
    """

    figure: str
    box: str
    width: int
    plot: float


@dataclass(frozen=True)
class Drawing:
    """A figure, its name (the files' stem), title, and a description for screen readers.

    The caption describes the content, and `reading` explains in two sentences how to read it. `spots` have
    tooltips, which repeat what the report also has elsewhere. A page can magnify a figure that `zooms`.
    """

    form: ClassVar[str] = "drawing"
    figure: Figure
    name: str
    title: str
    caption: str
    reading: str
    description: str
    spots: Sequence[Spot] = ()
    zooms: bool = False

    def save(self, folder: Path, put: Put) -> None:
        """Write NAME.svg, NAME.pdf and NAME.png (200 dpi) into `folder`."""
        put(folder / f"{self.name}.svg", self.svg().encode())
        pdf, png = BytesIO(), BytesIO()
        with _reproducible(self.name):
            self.figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
            self.figure.savefig(png, format="png", dpi=200)
        put(folder / f"{self.name}.pdf", pdf.getvalue())
        put(folder / f"{self.name}.png", png.getvalue())

    def svg(self) -> str:
        """The figure as an SVG file without a date: equal for equal data."""
        return self._svg

    @cached_property
    def _svg(self) -> str:
        """The SVG, drawn once for the page and the file."""
        buffer = StringIO()
        with _reproducible(self.name):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()

    def inline(self) -> Markup:
        """The SVG as an element of a page: with title and description, unique ids, and the page's colours."""
        body = self.svg()
        body = body[body.index("<svg") :]
        body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", body)
        for color, variable in ((INK, "--ink"), (MUTED, "--muted"), (PAPER, "--paper")):
            body = body.replace(color, f"var({variable})")
        title, description = f"{self.name}-title", f"{self.name}-description"
        words = (
            f'<title id="{title}">{escape(self.title)}</title>'
            f'<desc id="{description}">{escape(self.description)}</desc>'
        )
        attributes, rest = body.removeprefix("<svg").split(">", maxsplit=1)
        opening = f'<svg role="img" aria-labelledby="{title} {description}"{attributes}>'
        return Markup(opening + words + rest)  # noqa: S704  matplotlib's own markup, our words escaped

    def key(self) -> LegendView | None:
        """The legends of the figure alone, for a narrow page; None without legends."""
        if (place := _legends(self.figure)) is None:
            return None
        width, height = 72 * self.figure.get_size_inches()
        box = (place.x0 * width, (1 - place.y1) * height, place.width * width, place.height * height)
        beside = all(place.x0 > axes.get_position().x1 for axes in self.figure.axes)
        return LegendView(
            figure=f"{self.name}-figure_1",
            box=" ".join(f"{value:.1f}" for value in box),
            width=round(box[2]),
            plot=round(place.x0, 3) if beside else 1.0,
        )


def _legends(figure: Figure) -> Bbox | None:
    """Bounding box of a figure's own legends, in figure coordinates; None without legends."""
    boxes = [legend.get_window_extent() for legend in figure.legends]
    if not boxes:
        return None
    within = Bbox.union(boxes).padded(2)
    return Bbox.from_extents(*(figure.transFigure.inverted().transform(within).clip(0, 1).ravel()))


@contextmanager
def _reproducible(salt: str) -> Iterator[None]:
    """Use settings with which equal figures give equal files, and text looks the same everywhere.

    PDFs embed Type 3 fonts: subsetting TrueType fonts would take half of a report's time.
    """
    with defaults(**{"svg.hashsalt": salt, "svg.fonttype": "path", "pdf.fonttype": 3}):
        yield
