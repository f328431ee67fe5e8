"""English of docstrings: none begins with a free relative clause."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLAUSE = re.compile(r"(What|Whether|How|Who|Whose|Where|When|If)\b")


def docstrings(path: Path) -> list[tuple[int, str]]:
    """Line and text of each string statement: docstrings of modules, classes, functions and attributes."""
    return [
        (node.lineno, node.value.value.strip())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


@pytest.mark.parametrize("package", ["study", "trainable", "analysis"])
def test_docstrings_begin_with_a_verb_or_a_noun(package: str) -> None:
    """ "The search space" is allowed, "What is searched" is not."""
    offenders = [
        f"{path.relative_to(ROOT)}:{line}: {text.partition(chr(10))[0]}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, text in docstrings(path)
        if CLAUSE.match(text)
    ]
    assert not offenders, "\n".join(offenders)
