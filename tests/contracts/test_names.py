"""One noun per thing: no class, type alias or constant is defined in two modules."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

REPEATED = {
    "METRICS": "trainable and analysis never import each other; what an export holds is checked against both",
    "SHARINGS": "as METRICS",
    "TITLE": "the title of a report section, read as the module's",
    "READING": "the sentence below a figure, read as the module's",
}
"""Names that may be defined more than once, and why; at most five."""


def names(source: str) -> Iterator[str]:
    """The classes, type aliases and constants of a module; of private names only those of constants.

    A TypeVar is no type of its own, and a lower-case variable no constant.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not is_type_variable(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
            yield from (name for name in found if not name.startswith("__") and name.lower() != name)


def is_type_variable(value: ast.expr | None) -> bool:
    """True for `TypeVar("T")`."""
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "TypeVar"


def repeated(sources: dict[str, str]) -> dict[str, list[str]]:
    """The names that several modules define, each with these modules."""
    homes: dict[str, list[str]] = defaultdict(list)
    for module, source in sources.items():
        for name in set(names(source)):
            homes[name].append(module)
    return {name: modules for name, modules in homes.items() if len(modules) > 1}


def test_a_name_is_defined_in_one_module():
    """No name has two meanings, such as `Record` for a row of the database and for a checkpoint."""
    files = [
        path for package in ("study", "trainable", "analysis") for path in (ROOT / package).rglob("*.py")
    ]
    found = repeated({str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in files})
    assert {name: modules for name, modules in found.items() if name not in REPEATED} == {}
    assert REPEATED.keys() == found.keys() & REPEATED.keys(), "a name that is defined once needs no exception"
    assert len(REPEATED) <= 5


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("class Record: ...", "Record = tuple[int, str]"),
        ("LOOK_S = 1.0", "LOOK_S, COST = 0.5, 5"),
        ("_TOKEN: str = 'a'", "A, B = _TOKEN = 'b', 'c'"),
        ("class _Kept: ...", "class _Kept: ..."),
    ],
)
def test_a_repeated_name_is_found(first: str, second: str):
    """Classes, aliases, annotated and multiple assignments are all checked."""
    assert len(repeated({"a": first, "b": second})) == 1


def test_functions_variables_and_type_variables_may_repeat():
    """Names like `_read`, `log` and `T` need no exception."""
    source = "T = TypeVar('T')\nlog = 1\n__all__ = []\ndef _read(): ...\nif True:\n    pass\n"
    assert repeated({"a": source, "b": source}) == {}
