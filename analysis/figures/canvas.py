"""matplotlib with its default settings, on every machine and in every notebook.

A report is the same everywhere: it ignores MPLBACKEND, matplotlibrc and the user's `rcParams`.
Figures are drawn through matplotlib's object API, which needs no backend.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MATPLOTLIB_VARIABLES = ("MPLBACKEND", "MATPLOTLIBRC")
"""Environment variables that matplotlib reads on import, and that can make it fail."""

NOT_OURS = ("backend", "backend_fallback", "interactive", "toolbar")
"""Settings of windows; a report opens none."""


def _imported() -> Any:
    """Import matplotlib with its own settings file; restore the environment."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise ImportError("matplotlib is not installed; pip install pareto-study")
    kept = {name: os.environ.pop(name) for name in MATPLOTLIB_VARIABLES if name in os.environ}
    os.environ["MATPLOTLIBRC"] = str(Path(found.origin).parent / "mpl-data" / "matplotlibrc")
    try:
        return import_module("matplotlib")
    finally:
        del os.environ["MATPLOTLIBRC"]
        os.environ.update(kept)


mpl = _imported()


@contextmanager
def defaults(**settings: object) -> Iterator[None]:
    """Set matplotlib's own settings and these, until the block ends."""
    own = {name: value for name, value in mpl.rcParamsDefault.items() if name not in NOT_OURS}
    with mpl.rc_context(own | settings):
        yield
