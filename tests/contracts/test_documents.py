"""Files, functions and tests that docs/ names exist."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from documents import DOCS, ROOT, page

from analysis.report.sections.registry import SECTIONS

PAGES = ("CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md")))
TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
FILE = re.compile(r"`((?:study|trainable|analysis|tests|docs|docker)/[\w./-]+|\.ci/run)`")
CALL = re.compile(r"`([A-Z]\w+)\.(\w+)`")
"""A class's method or attribute, as in `Referee.exchange`."""


def laws() -> dict[int, list[tuple[str, str]]]:
    """The tests of each law, by its number: file and function."""
    parts = re.split(r"^## Law (\d+): ", page("docs/laws.md"), flags=re.MULTILINE)[1:]
    return {int(number): TEST.findall(text) for number, text in zip(parts[::2], parts[1::2], strict=True)}


def functions(path: Path) -> set[str]:
    """The names of the functions in a file, those of its classes too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_law_names_tests_and_each_exists() -> None:
    found = laws()
    assert list(found) == list(range(1, len(found) + 1))
    assert all(found.values())
    for file, function in (test for tests in found.values() for test in tests):
        paths = (ROOT / "tests").rglob(file)
        assert any(function in functions(path) for path in paths), f"{file}::{function}"


def test_the_laws_are_those_that_mutations_break() -> None:
    text = (ROOT / "tests" / "contracts" / "mutants.toml").read_text(encoding="utf-8")
    promises = {mutant["promise"] for mutant in tomllib.loads(text)["mutant"]}
    assert {f"law {number}" for number in laws()} == {p for p in promises if p.startswith("law ")}
    table = page("docs/laws.md").partition("## Promises of the study loop")[2]
    assert set(re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)) - {"promise"} <= promises


def test_each_section_has_its_statements_and_each_simulation_exists() -> None:
    """An estimate needs a simulation; a statement that only repeats the record needs none."""
    rows = [
        line.split("|")[1:-1] for line in page("docs/statements.md").splitlines() if line.startswith("| `")
    ]
    assert {row[0].strip(" `") for row in rows} == set(SECTIONS)
    for _, statement, estimate, assumption, simulation in rows:
        assert statement.strip()
        assert assumption.strip()
        estimates = not re.search("values on record|exact values|rules on the search", estimate)
        assert estimates == bool(TEST.findall(simulation))
        for file, function in TEST.findall(simulation):
            paths = (ROOT / "tests").rglob(file)
            assert any(function in functions(path) for path in paths), f"{file}::{function}"


@pytest.mark.parametrize("name", PAGES)
def test_the_files_that_a_page_names_exist(name: str) -> None:
    missing = [path for path in FILE.findall(page(name)) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("name", PAGES)
def test_the_methods_that_a_page_names_exist(name: str) -> None:
    members = defined()
    owners = {owner for owner, _ in members}
    missing = [f"{a}.{b}" for a, b in CALL.findall(page(name)) if a in owners and (a, b) not in members]
    assert missing == []


@cache
def defined() -> frozenset[tuple[str, str]]:
    return frozenset(_defined())


def _defined() -> Iterator[tuple[str, str]]:
    """Each class of the packages with each of its methods and attributes, and those of its parents here."""
    bases: dict[str, set[str]] = {}
    own: dict[str, set[str]] = {}
    for package in ("study", "trainable", "analysis"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases.setdefault(node.name, set()).update(
                        b.id for b in node.bases if isinstance(b, ast.Name)
                    )
                    own.setdefault(node.name, set()).update(_members(node))
    for name in own:
        yield from ((name, member) for member in own[name])
        yield from ((name, member) for base in bases[name] for member in own.get(base, ()))


def _members(node: ast.ClassDef) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            yield item.name
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield item.target.id


def test_the_glossary_has_every_noun_once_in_order() -> None:
    nouns = re.findall(r"^\| \*\*(.+?)\*\* \|", page("docs/glossary.md"), re.MULTILINE)
    assert nouns == sorted(set(nouns), key=str.lower)
