"""Only a database's own file names it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

DATABASE = re.compile("dialect|mysql|postgres|psycopg|sqlite", re.IGNORECASE)

NAMING = {
    "study/record/backends/postgres.py": "it implements the protocol",
    "study/record/backends/sqlite.py": "it implements the protocol, and its errors name the alternative",
    "study/record/backup.py": "a backup is a SQLite file, whatever database the study is in",
    "study/record/location.py": "it chooses the database of a study",
    "study/spec/database_url.py": "it accepts the URLs of a spec",
}
"""Modules whose code names a database, and why."""


def named(source: str) -> Iterator[str]:
    """The names and texts of code that name a database; docstrings and comments may."""
    tree = ast.parse(source)
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node) if node not in docstrings else ():
            texts = value if isinstance(value, list) else [value]
            yield from (text for text in texts if isinstance(text, str) and DATABASE.search(text))


def test_no_other_module_names_a_database():
    """So a new database is one file."""
    found = {
        str(path.relative_to(ROOT)): texts
        for path in sorted((ROOT / "study").rglob("*.py"))
        if (texts := [*named(path.read_text(encoding="utf-8"))])
    }
    assert {module: texts for module, texts in found.items() if module not in NAMING} == {}
    assert found.keys() == NAMING.keys(), "a module that names none needs no exception"


@pytest.mark.parametrize(
    "source",
    [
        'if engine.dialect.name == "mine": pass',
        'if url.startswith("postgres"): pass',
        "import sqlite3",
        "from study.record.backends.sqlite import prepare",
        "from study.record.backends import postgres as server",
        "if isinstance(backend, PostgreSQL): pass",
    ],
)
def test_a_planted_branch_is_caught(source):
    assert [*named(source)]


def test_prose_is_free():
    assert [*named('"""SQLite."""\nX = 1  # PostgreSQL\n"""As in SQLite."""')] == []
