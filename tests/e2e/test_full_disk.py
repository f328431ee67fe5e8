"""A disk that fills up under a study and has room again: the run says so and waits, and nothing is lost."""

import os
import shutil
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from command import STUDY, Running, prepare, started, study, until
from elsewhere import small_disk
from law5 import check_measurements, check_record, tables
from pandas.testing import assert_frame_equal

from study.loop.events import LOG_FILE
from study.record.ledger import Ledger
from study.runtime.run import run
from study.spec import StudySpec

TRIALS = 200
OVERRIDES = (f"budget.trials={TRIALS}", "train.epochs=20")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A working folder with two empty folders, for a disk to be mounted over one."""
    prepared = prepare(tmp_path / "here")
    for name in ("studies", "checkpoints"):
        (prepared / name).mkdir()
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
    return (folder / LOG_FILE).read_text(encoding="utf-8") if (folder / LOG_FILE).exists() else ""


def fill(path: Path) -> None:
    """Write to this file until the disk takes no more."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def setting(*overrides: str) -> list[str]:
    """Options of `study run` that change a spec so."""
    return [word for override in overrides for word in ("--set", override)]


@pytest.mark.long
@pytest.mark.parametrize("address", ["inline", pytest.param("local", marks=pytest.mark.ray)])
def test_a_run_waits_for_room_and_loses_nothing(here: Path, tmp_path: Path, address: str):
    """The run continues, no measurement is lost or doubled, and the user is informed."""
    within = small_disk(here / "studies", "32m")
    changed = setting(*OVERRIDES, f"runtime.address={address}")
    with started("run", "tiny.toml", *changed, cwd=here, within=within) as running:
        until(lambda: running.printed("study tiny"), "its first words")
        with disk(running, here / "studies") as studies:
            until(lambda: '"ended"' in log_of(studies / "tiny"), "the end of a trial")
            fill(studies / "filler")
            until(lambda: running.printed("the record cannot be written: "), "word of it")
            assert running.running
            (studies / "filler").unlink()
            ended = running.wait()
            shutil.copytree(studies / "tiny", tmp_path / "found/tiny")
    assert (ended.code, ended.err) == (0, ""), ended
    assert "database or disk is full; lanes wait for at most 600 s" in ended.out
    assert "the record can be written again, after " in ended.out
    undisturbed = run(StudySpec.load(here / "tiny.toml", OVERRIDES), here / "undisturbed").folder
    with (
        closing(Ledger.read(tmp_path / "found/tiny")) as found,
        closing(Ledger.read(undisturbed)) as expected,
    ):
        check_record(found, TRIALS)
        check_measurements(found)
        want = tables(expected, tmp_path / "expected-tables")
        for name, table in tables(found, tmp_path / "found-tables").items():
            assert_frame_equal(table, want[name], check_exact=True)


@pytest.mark.ray
@pytest.mark.long
def test_a_lane_trains_on_where_its_checkpoint_has_no_room(here: Path):
    """A failed save fails no trial and leaves no half checkpoint."""
    within = small_disk(here / "checkpoints", "400k")
    overrides = (
        *("train.dim=64", "train.hidden=64", "train.epochs=8000", "train.evaluate_every=1000"),
        *("runtime.address=local", "runtime.lanes=1", "runtime.slots=4", "runtime.save_every_s=0.5"),
        f"runtime.storage_path={here / 'checkpoints'}",
    )
    seen: list[int] = []
    with started("run", "tiny.toml", *setting(*overrides), cwd=here, within=within) as running:
        until(lambda: running.printed("study tiny"), "its first words")
        with disk(running, here / "checkpoints") as storage:
            while running.running:
                files = [name for _, _, names in os.walk(storage) for name in names]
                seen.append(files.count("slots.json"))
        ended = running.wait()
    assert (ended.code, ended.err) == (0, ""), ended
    assert 1 <= max(seen) < 4
    with closing(Ledger.read(here / "studies/tiny")) as ledger:
        check_record(ledger, 4)
        check_measurements(ledger)
        assert {(r.attempt, *r.faults) for r in ledger.records()} == {(1,)}


FULL = f"""
{STUDY} run tiny.toml > run.out
BETWEEN
head -c 100m /dev/zero > studies/filler 2> /dev/null || true
for words in 'list' 'status tiny' 'front tiny' 'backup tiny tiny.backup' 'delete tiny --yes'; do
    {STUDY} $words
done
ls -A studies
"""
CUT_OFF = f"""
{sys.executable} -c "
import os, sqlite3
connection = sqlite3.connect('studies/tiny/ledger.db')
connection.execute('UPDATE trial_user_attributes SET key = key')
connection.commit()
os._exit(9)
" || true
"""
"""Leaves commits in the log beside the file, as a killed run does."""


@pytest.mark.parametrize(
    "between",
    [pytest.param("", id="ended", marks=pytest.mark.long), pytest.param(CUT_OFF, id="cut off")],
)
def test_on_a_full_disk_studies_are_read_and_deleted(here: Path, between: str):
    """Reading a record needs no room, so a full disk can be cleared."""
    command = [*small_disk(here / "studies", "32m"), "sh", "-ec", FULL.replace("BETWEEN", between)]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    *_, deleted, left = done.stdout.splitlines()
    assert (deleted, left) == ("tiny: deleted", "filler")
    assert done.stdout.count("4 completed") == 1
    assert "tiny: backed up" in done.stdout
    assert study("restore", "tiny.backup", cwd=here).code == 0


@pytest.mark.long
def test_a_full_folder_for_temporary_files_is_not_blamed_on_the_studies(here: Path, tmp_path: Path):
    """Backups and sorted lists need no room in the temporary folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    script = f"""
{STUDY} run tiny.toml > run.out
export TMPDIR={temporary}
head -c 100m /dev/zero > $TMPDIR/filler 2> /dev/null || true
for words in 'status tiny' 'report tiny' 'backup tiny one.backup' 'restore one.backup --name again'; do
    {STUDY} $words
done
"""
    command = [*small_disk(temporary, "1m"), "sh", "-ec", script]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "again: restored" in done.stdout
