"""What a notebook shows: one output of a cell, replaced as often as there is something new."""

from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

WIDTH = 100
PRE = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:normal;'
    "font-family:Menlo,'DejaVu Sans Mono',consolas,monospace\">{code}</pre>"
)


class Cell:
    """An output of the cell that runs."""

    def __init__(self) -> None:
        self._output: Any = None

    def show(self, renderable: RenderableType) -> None:
        """Put `renderable` into the output, in the place of what is there."""
        from IPython.display import display

        bundle = rendered(renderable)
        if self._output is None:
            self._output = display(bundle, raw=True, display_id=True)
        else:
            self._output.update(bundle, raw=True)


def rendered(renderable: RenderableType) -> dict[str, str]:
    """What Rich would print, by MIME type."""
    console = Console(
        file=StringIO(),
        record=True,
        width=WIDTH,
        force_terminal=True,
        force_jupyter=False,
        color_system="truecolor",
    )
    console.print(renderable)
    html = console.export_html(inline_styles=True, code_format=PRE, clear=False)
    return {"text/html": html, "text/plain": console.export_text()}
