"""A working folder with files of our packages' names: it is still ours that run, in driver and workers.

Or one with a name full of signs: what they write is in it.
"""

from pathlib import Path

import pytest
from command import answer, prepare, study

CODE = """
import pathlib
pathlib.Path({marker!r}).touch()
raise RuntimeError("the user's own file, which is none of ours")
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder where importing study, trainable or analysis, module or package, leaves a marker and fails."""
    here = prepare(tmp_path / "here")
    for name in ("study", "trainable", "analysis"):
        code = CODE.format(marker=str(tmp_path / f"imported-{name}"))
        (here / name).mkdir()
        for path in (here / f"{name}.py", here / name / "__init__.py"):
            path.write_text(code, encoding="utf-8")
    return here


@pytest.mark.parametrize(
    "address", ["inline", pytest.param("local", marks=[pytest.mark.ray, pytest.mark.long])]
)
def test_ours_run(hostile: Path, address: str):
    runtime = ("--set", f"runtime.address={address}", "--set", "runtime.lanes=1")
    ended = study("run", "smoke", "--set", "budget.trials=2", *runtime, cwd=hostile)
    assert (ended.code, ended.err) == (0, ""), ended
    assert answer("status", "smoke", cwd=hostile)["counts"]["completed"] == 2
    assert not list(hostile.parent.glob("imported-*"))


@pytest.mark.long
def test_a_folder_may_have_any_name(tmp_path: Path):
    """Record, backup and page are in the folder and are found there."""
    here = prepare(tmp_path / "a?b=%41#ä ö{c}&d")
    commands = (
        *(("run", "tiny.toml"), ("status", "tiny"), ("backup", "tiny", "one.backup")),
        *(("restore", "one.backup", "--name", "again"), ("report", "again"), ("delete", "again", "--yes")),
    )
    for command in commands:
        ended = study(*command, cwd=here)
        assert (ended.code, ended.err) == (0, ""), ended
    (listed,) = answer("list", cwd=here)
    assert (listed["name"], listed["counts"]["completed"]) == ("tiny", 4)
    assert (here / "studies/tiny/ledger.db").is_file()
    assert list(tmp_path.iterdir()) == [here]
