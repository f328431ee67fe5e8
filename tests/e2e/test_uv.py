"""`uv run study run`, in a project and outside of one: below it Ray would upload the working folder."""

import sys
from pathlib import Path

import pytest
from command import answer, prepare, study

UV = str(Path(sys.executable).with_name("uv"))
PROJECT = '[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.11"\n'


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.parametrize("project", [True, False])
def test_a_study_runs_below_uv_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, project: bool):
    """Workers run our package, and a record keeps its locks while Ray uploads the folder."""
    here = prepare(tmp_path / "here")
    if project:
        (here / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    within = [UV, "run", "--quiet", "--offline", "--no-sync", "--active"]
    run = ("run", "tiny.toml", "--set", "runtime.address=local", "--set", "runtime.lanes=1")
    for trials in (2, 4):  # opening it again reveals a destroyed record
        ended = study(*run, "--set", f"budget.trials={trials}", cwd=here, within=within)
        assert (ended.code, ended.err) == (0, ""), ended
    assert answer("status", "tiny", cwd=here)["counts"]["completed"] == 4
    assert not (here / "studies/tiny/.venv").exists()
