"""A disk that fills up under a study and has room again: the run says so and waits, and nothing is lost."""

import os
import shutil
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from command import Running, prepare, started, until
from elsewhere import small_disk
from law5 import check_measurements, check_record, tables
from pandas.testing import assert_frame_equal

from study.events import LOG
from study.ledger import Ledger
from study.runtime import run
from study.spec import StudySpec

TRIALS = 60
OVERRIDES = (f"budget.trials={TRIALS}", "train.epochs=20")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A working folder with an empty studies folder, for a disk to be mounted over."""
    prepared = prepare(tmp_path / "here")
    (prepared / "studies").mkdir()
    return prepared


@contextmanager
def disk(run: Running, folder: Path):
    """The folder as the run sees it, for as long as this is entered, even when the run has ended."""
    held = os.open(Path(f"/proc/{run.process.pid}/root") / folder.relative_to("/"), os.O_PATH)
    try:
        yield Path(f"/proc/self/fd/{held}")
    finally:
        os.close(held)


def log_of(folder: Path) -> str:
    """The log in a study's folder; nothing while there is none."""
    return (folder / LOG).read_text(encoding="utf-8") if (folder / LOG).exists() else ""


def fill(path: Path) -> None:
    """Write to this file until the disk takes no more."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.slow
def test_a_run_waits_for_room_and_loses_nothing(here: Path, tmp_path: Path):
    """Catches: a run that dies of it, a measurement that is lost or doubled, a user who is told nothing."""
    within = small_disk(here / "studies", "32m")
    changed = [word for override in OVERRIDES for word in ("--set", override)]
    with started("run", "tiny.toml", *changed, cwd=here, within=within) as running:
        until(lambda: running.said("study tiny"), "its first words")
        with disk(running, here / "studies") as studies:
            until(lambda: '"ended"' in log_of(studies / "tiny"), "the end of a trial")
            fill(studies / "filler")
            until(lambda: running.said("the record cannot be written: "), "word of it")
            assert running.running
            (studies / "filler").unlink()
            ended = running.wait()
            shutil.copytree(studies / "tiny", tmp_path / "found")
    assert (ended.code, ended.err) == (0, ""), ended
    assert "database or disk is full; lanes wait, for 600 s at most" in ended.out
    assert "the record is written again, after " in ended.out
    undisturbed = run(StudySpec.load(here / "tiny.toml", OVERRIDES), here / "undisturbed").folder
    with closing(Ledger.read(tmp_path / "found")) as found, closing(Ledger.read(undisturbed)) as expected:
        check_record(found, TRIALS)
        check_measurements(found)
        want = tables(expected, tmp_path / "expected-tables")
        for name, table in tables(found, tmp_path / "found-tables").items():
            assert_frame_equal(table, want[name], check_exact=True)
