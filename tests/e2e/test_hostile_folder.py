"""A working folder with files of our packages' names: it is still ours that run, in driver and workers."""

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


@pytest.mark.parametrize("address", ["inline", pytest.param("local", marks=pytest.mark.ray)])
def test_ours_run(hostile: Path, address: str):
    runtime = ("--set", f"runtime.address={address}", "--set", "runtime.lanes=1")
    ended = study("run", "smoke", "--set", "budget.trials=2", *runtime, cwd=hostile)
    assert (ended.code, ended.err) == (0, ""), ended
    assert answer("status", "smoke", cwd=hostile)["counts"]["completed"] == 2
    assert not list(hostile.parent.glob("imported-*"))
