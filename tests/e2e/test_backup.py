"""`study backup` of a study that runs, and `study restore` elsewhere: nothing lost, nothing twice."""

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from command import measured, prepare, rows, started, study, until, with_pid

EPOCHS, MORE = 20, 3
SLOW = ("run", "tiny.toml", "--set", f"train.epochs={EPOCHS}", "--set", "budget.trials=100000")


def numbers(folder: Path) -> Mapping[tuple[int, int], tuple[Any, ...]]:
    """Trial and epoch → all that was measured there, but for the seconds."""
    columns = "trial, epoch, ranking_loss, rating_loss, joint_loss, mrr, mrr_all, mse"
    return {row[:2]: row[2:] for row in rows(folder, f"SELECT {columns} FROM measurements")}


@pytest.mark.long
def test_a_running_study_is_backed_up_and_the_copy_resumes(tmp_path: Path):
    """The copy is whole, the run is undisturbed, and the copy does not take it for alive."""
    here, there = prepare(tmp_path / "here"), prepare(tmp_path / "there")
    running, restored = here / "studies/tiny", there / "studies/tiny"
    with started(*SLOW, cwd=here) as run:
        until(lambda: measured(running) > 2 * EPOCHS, "some trials")
        made = study("backup", "tiny", cwd=here)
        (file,) = here.glob("*.backup")
        assert re.fullmatch(r"tiny-\d{8}-\d{6}\.backup", file.name)
        assert made.out == f"tiny: backed up; `study restore {file.name}` restores it\n"
        before = measured(running)
        until(lambda: measured(running) > before, "a run that goes on")
        with_pid(run.process.pid, signal.SIGKILL)
        assert run.wait().err == ""
    ended = study("restore", str(file), cwd=there)
    assert ended.out == "tiny: restored in studies/tiny; `study run tiny` resumes it\n"
    held, full = numbers(restored), numbers(running)
    assert 0 < len(held) < len(full)
    assert held.items() <= full.items()

    ((begun,),) = rows(restored, "SELECT count(*) FROM trials")
    ended = study("run", "tiny", "--set", f"budget.trials={begun + MORE}", cwd=there)
    assert (ended.code, ended.err) == (0, ""), ended
    found = numbers(restored)
    assert set(found) == {(t, epoch) for t in range(begun + MORE) for epoch in range(1, EPOCHS + 1)}
    assert rows(restored, "SELECT DISTINCT state FROM trials") == [("COMPLETE",)]
    assert {key: found[key] for key in found.keys() & full.keys()} == {
        key: full[key] for key in found.keys() & full.keys()
    }
    again = study("restore", str(file), cwd=there)
    assert (again.code, again.err.count("\n"), "already exists" in again.err) == (2, 1, True)
