"""The spec of a study, read from TOML."""

from study.spec.study import StudySpec, presets, resolve
from study.spec.toml_errors import SpecError

__all__ = ["SpecError", "StudySpec", "presets", "resolve"]
