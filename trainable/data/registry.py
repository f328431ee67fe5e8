"""Sources and splits by name. A new source or split is one file and one line here."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from trainable.contract import StudyError
from trainable.data.interactions import Interactions, Split

SOURCES = {
    "ml-100k": "trainable.data.movielens:ml_100k",
    "ml-1m": "trainable.data.movielens:ml_1m",
    "synthetic": "trainable.data.synthetic:synthetic",
}
"""Name → function () → Interactions; the function `known` of the same module describes the source."""

FILE_READERS = {
    ".csv": "trainable.data.files:read_csv",
    ".parquet": "trainable.data.files:read_parquet",
}
"""Suffix → function (path) → Interactions."""

SPLITS = {
    "per-user": "trainable.data.splits:per_user",
    "ps1": "trainable.data.splits:ps1",
    "leave-last": "trainable.data.splits:leave_last",
    "by-time": "trainable.data.splits:by_time",
}
"""Name → function (Interactions, seed) → Split."""


@dataclass(frozen=True, slots=True)
class Known:
    """A named source: its description, its terms, and the file that caches it (None if generated)."""

    name: str
    description: str
    terms: str
    path: Path | None

    @property
    def cached(self) -> bool:
        """True if nothing has to be fetched. The file is verified at every read."""
        return self.path is None or self.path.is_file()


def load(source: str, *, split: str, split_seed: int) -> Split:
    """Load the ratings of a named source or of a .csv or .parquet file, and split them by the rule `split`.

    StudyError for an unknown source or split, and for invalid ratings.
    """
    check(source, split=split, split_seed=split_seed)
    cut = cast(Callable[[Interactions, int], Split], _function(SPLITS[split]))
    return cut(_ratings(source), split_seed)


def check(source: str, *, split: str, split_seed: int) -> None:
    """Raise StudyError if `load` does not know the source or split; read and fetch nothing."""
    if source not in SOURCES and Path(source).suffix.lower() not in FILE_READERS:
        allowed = f"{', '.join(SOURCES)}, or a path that ends in {' or '.join(FILE_READERS)}"
        raise StudyError(f"data.source: {source!r} is not known; use {allowed}")
    if split not in SPLITS:
        raise StudyError(f"data.split: {split!r} is not known; use {', '.join(SPLITS)}")
    if split_seed < 0:
        raise StudyError(f"data.split_seed: {split_seed} is negative; use 0 or more")


def known() -> tuple[Known, ...]:
    """Named sources, in the order of `SOURCES`; fetches nothing."""
    return tuple(_function(f"{target.partition(':')[0]}:known")()[name] for name, target in SOURCES.items())


def _ratings(source: str) -> Interactions:
    if source in SOURCES:
        return cast(Interactions, _function(SOURCES[source])())
    return cast(Interactions, _function(FILE_READERS[Path(source).suffix.lower()])(Path(source)))


def _function(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    return cast(Callable[..., Any], getattr(import_module(module), name))
