"""Progress in a notebook: one output of the cell, replaced at each update."""

from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

NOTEBOOK_COLUMNS = 100
PRE = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:normal;'
    "font-family:Menlo,'DejaVu Sans Mono',consolas,monospace\">{code}</pre>"
)


class NotebookCell:
    """An output of the running cell."""

    def __init__(self) -> None:
        self._output: Any = None

    def show(self, renderable: RenderableType) -> None:
        """Replace the content of the output by `renderable`."""
        from IPython.display import display

        bundle = rendered(renderable)
        if self._output is None:
            self._output = display(bundle, raw=True, display_id=True)
        else:
            self._output.update(bundle, raw=True)


def rendered(renderable: RenderableType) -> dict[str, str]:
    """Rich's output as HTML and as text, by MIME type."""
    console = Console(
        file=StringIO(),
        record=True,
        width=NOTEBOOK_COLUMNS,
        force_terminal=True,
        force_jupyter=False,
        color_system="truecolor",
    )
    console.print(renderable)
    html = console.export_html(inline_styles=True, code_format=PRE, clear=False)
    return {"text/html": html, "text/plain": console.export_text()}
