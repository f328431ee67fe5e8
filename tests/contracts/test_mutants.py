"""The law tests can fail: each mutation in mutants.toml is caught by the test named there."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS = tomllib.loads(Path(__file__).with_name("mutants.toml").read_text(encoding="utf-8"))["mutant"]
LAWS = (
    "tests/contracts/test_bad_luck.py",
    "tests/contracts/test_checkpoint_laws.py",
    "tests/contracts/test_engine_laws.py",
    "tests/contracts/test_runtime_laws.py",
    "tests/e2e/test_chaos.py",
    "tests/study/runtime/test_prefetch.py",
    "tests/study/record/test_backup.py",
    "tests/study/runtime/test_heartbeat.py",
    "tests/study/record/test_ledger_contract.py",
    "tests/study/loop/test_referee_and_record.py",
    "tests/study/runtime/test_reconnect.py",
    "tests/trainable/test_session.py",
)
"""Files of law tests: every test there states the behaviour that it proves."""

SAME = ("-p", "no:cacheprovider", "--hypothesis-profile=more")
PYTEST = (sys.executable, "-m", "pytest", "-x", "-m", "", *SAME)
"""pytest as `make long` runs it, for tests of any mark; the first failure ends it."""

each = pytest.mark.parametrize("mutant", MUTANTS, ids=[f"{m['promise']}: {m['why']}" for m in MUTANTS])


# --- what takes no time ----------------------------------------------------------------------------------


@each
def test_a_mutant_has_its_place_and_its_test(mutant: dict[str, str]):
    """The table of mutants matches the code and the tests."""
    source = (ROOT / mutant["file"]).read_text(encoding="utf-8")
    assert source.count(mutant["old"]) == 1
    ast.parse(source.replace(mutant["old"], mutant["new"]))
    path, *names = mutant["test"].partition("[")[0].split("::")
    assert names[-1] in {test.name for test in stated_in(path)}


def test_every_law_is_broken_by_a_mutant():
    promises = {mutant["promise"] for mutant in MUTANTS}
    assert promises >= {f"law {number}" for number in range(1, 10)}


@pytest.mark.parametrize("path", LAWS)
def test_every_law_test_states_the_behaviour_it_proves(path: str):
    silent = [t.name for t in stated_in(path) if not ast.get_docstring(t)]
    assert silent == []


def stated_in(path: str) -> Iterator[ast.FunctionDef]:
    """The test functions in a file, those in its classes too."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


# --- make mutants ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, in which every named test passes."""
    copy = tmp_path_factory.mktemp("mutants") / "tree"
    for room in ("study", "trainable", "analysis", "tests"):
        shutil.copytree(ROOT / room, copy / room)
    shutil.copy(ROOT / "pyproject.toml", copy)
    outcome = pytest_in(copy, *dict.fromkeys(mutant["test"] for mutant in MUTANTS))
    assert outcome.returncode == 0, outcome.stdout
    return copy


def pytest_in(tree: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on these tests in a tree."""
    return subprocess.run(
        [*PYTEST, *names],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.mutants
@pytest.mark.timeout(1800)
@each
def test_a_mutant_is_killed(mutant: dict[str, str], tree: Path):
    path = tree / mutant["file"]
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace(mutant["old"], mutant["new"]), encoding="utf-8")
    try:
        outcome = pytest_in(tree, mutant["test"])
    finally:
        path.write_text(source, encoding="utf-8")
    assert outcome.returncode == 1, f"it survived: {outcome.stdout}"  # 1: tests ran, and one failed
