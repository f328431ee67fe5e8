"""constraints.txt pins all packages of an installation for development, at the tested versions."""

import re
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINNED_BY_TORCH = re.compile("nvidia-|cuda-|triton")


def test_everything_that_comes_along_is_pinned_at_the_version_tested() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert list(pins) == sorted(pins)
    installed = {name: version(name).partition("+")[0] for name in along(Requirement("pareto-study[dev]"))}
    assert installed.items() <= pins.items()


def along(requirement: Requirement, seen: set[tuple[str, str]] | None = None) -> set[str]:
    """The installed distributions that `requirement` depends on, directly or not."""
    seen = set() if seen is None else seen
    for extra in ("", *requirement.extras):
        key = (canonicalize_name(requirement.name), extra)
        if key in seen:
            continue
        seen.add(key)
        for needed in map(Requirement, requires(requirement.name) or ()):
            if PINNED_BY_TORCH.match(needed.name):
                continue
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                along(needed, seen)
    return {name for name, _ in seen} - {"pareto-study"}
