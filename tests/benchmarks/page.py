"""The page of results: sections by title, each replaced when it is measured again, on whatever machine."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

HEAD = """# Benchmarks

What the engines cost, beside what a user would write instead: [the peers](../tests/benchmarks/peers.py),
which [a test](../tests/contracts/test_benchmark_peers.py) holds to the same losses and metrics.
`make bench` measures all of it again on the machine at hand; the line in italics says where and how a
section was measured.
"""

SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*(?:\n|\Z))*)", re.MULTILINE)


def has(page: Path, title: str) -> bool:
    """Whether the page has a section of this title."""
    return title in _sections(page)


def put(page: Path, titles: Sequence[str], measured: Mapping[str, str]) -> None:
    """Write the measured sections into the page, in the order of the titles; the others stay as they are."""
    found = {**_sections(page), **measured}
    parts = [HEAD, *(f"## {title}\n\n{found[title].strip()}\n" for title in titles if title in found)]
    page.write_text("\n".join(parts), encoding="utf-8")


def _sections(page: Path) -> dict[str, str]:
    return dict(SECTION.findall(page.read_text(encoding="utf-8"))) if page.is_file() else {}
