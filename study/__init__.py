"""Public names of the package: `from study import Client, StudySpec, load_model, run`.

Each is imported on first use, so that it loads only its own dependencies: `load_model` NumPy and safetensors,
`StudySpec` and `Client` neither Optuna, torch nor Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from study.client import Client
    from study.runs import run
    from study.spec import StudySpec
    from trainable.artifact import load_model

__all__ = ["Client", "StudySpec", "load_model", "run"]

_PLACES = {
    "Client": "study.client:Client",
    "StudySpec": "study.spec:StudySpec",
    "load_model": "trainable.artifact:load_model",
    "run": "study.runs:run",
}

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, attribute = _PLACES[name].partition(":")
        return getattr(import_module(module), attribute)
