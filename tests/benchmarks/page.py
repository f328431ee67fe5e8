"""The page of results: sections by title, each replaced when it is measured again."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

HEAD = """# Benchmarks

Times of the engines and of whole studies, beside [peers](../tests/benchmarks/peers.py): the code that a user
would write without this package. [A test](../tests/contracts/test_benchmark_peers.py) checks that peers and
engines have the same losses and metrics. `make bench` measures all sections again on your machine; the line
in italics names the machine and the command of a section.
"""

SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*(?:\n|\Z))*)", re.MULTILINE)


def has(page: Path, title: str) -> bool:
    """True if the page has a section with this title."""
    return title in _sections(page)


def put(page: Path, titles: Sequence[str], measured: Mapping[str, str]) -> None:
    """Write the measured sections into the page, in the order of the titles; keep the others."""
    found = {**_sections(page), **measured}
    parts = [HEAD, *(f"## {title}\n\n{found[title].strip()}\n" for title in titles if title in found)]
    page.write_text("\n".join(parts), encoding="utf-8")


def _sections(page: Path) -> dict[str, str]:
    return dict(SECTION.findall(page.read_text(encoding="utf-8"))) if page.is_file() else {}
