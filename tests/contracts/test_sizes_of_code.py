"""Every file and every function of the product fits on a few screens."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES = 350
FUNCTION_LINES = 40


def too_long(source: str) -> Iterator[str]:
    """The names of the functions with more than `FUNCTION_LINES` lines, docstrings and decorators included;
    "file" if the file has more than `FILE_LINES`.
    """
    if len(source.splitlines()) > FILE_LINES:
        yield "file"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if (node.end_lineno or first) - first + 1 > FUNCTION_LINES:
                yield node.name


def test_no_file_and_no_function_is_too_long():
    """The limits hold for every file and every function of the three packages."""
    files = [
        path for package in ("study", "trainable", "analysis") for path in (ROOT / package).rglob("*.py")
    ]
    found = {str(p.relative_to(ROOT)): list(too_long(p.read_text(encoding="utf-8"))) for p in files}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f():\n" + 39 * "    pass\n", []),
        ("def f():\n" + 40 * "    pass\n", ["f"]),
        ("@decorator\ndef f():\n" + 39 * "    pass\n", ["f"]),
        ("class A:\n    async def f():\n" + 40 * "        pass\n", ["f"]),
        (350 * "\n", []),
        (351 * "\n", ["file"]),
    ],
)
def test_a_long_function_is_found(source: str, names: list[str]):
    """Methods, decorators and the last line count."""
    assert list(too_long(source)) == names
