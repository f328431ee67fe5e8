"""Opening the record's database: durable, and out of Ray's reach."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from formula import BASELINE
from serving import done

from study.record.ledger import Ledger
from study.record.reader import Reader
from study.results.export import export
from study.runtime import ray_start
from study.runtime.run import confirm, run
from study.service.cache import StudyCache
from study.spec import StudySpec
from study.status.snapshot import snapshot
from trainable.contract import StudyError

FULL = 2
"""SQLite's number for `synchronous=FULL`: a commit is on the disk when it returns."""


@pytest.mark.parametrize("kind", [Ledger, Reader])
def test_a_commit_outlives_a_power_loss(open_ledger, tmp_path, kind):
    """Law 5. Catches: commits that wait in memory for the next checkpoint of the log."""
    open_ledger()
    opened = kind.read(tmp_path / "formula")
    with opened._engine.connect() as one, opened._engine.connect() as two:
        for connection in (one, two):
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == FULL
    opened.close()


def test_ray_works_from_an_empty_folder(tmp_path, monkeypatch):
    """Ray neither uploads nor imports records and code of the user's working folder."""
    (tmp_path / "analysis.py").touch()
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(ray_start.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_start.ray, "init", lambda **_: seen.append((Path.cwd(), [*Path.cwd().iterdir()])))
    monkeypatch.setattr(ray_start.ray, "shutdown", lambda: None)
    with ray_start.connected(StudySpec.preset("smoke", ["runtime.address=auto"])) as own:
        assert not own
    ((folder, content),) = seen
    assert (content, folder.exists(), Path.cwd()) == ([], False, tmp_path)


def change(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_record_of_another_optuna_is_refused_in_words(open_ledger, tmp_path):
    """The error names the record and the remedy."""
    spec = open_ledger().spec
    newer = ("UPDATE version_info SET schema_version = 99", "UPDATE alembic_version SET version_num = 'v99'")
    change(tmp_path / "formula/ledger.db", *newer)
    with pytest.raises(StudyError, match="tables of another version of Optuna than"):
        Ledger.open(spec, tmp_path / "formula", BASELINE)


@pytest.mark.parametrize("kind", [Reader, Ledger])
def test_a_record_with_code_in_it_is_not_opened(open_ledger, tmp_path, kind):
    """No foreign trigger runs when a study writes."""
    open_ledger()
    trigger = "CREATE TRIGGER run AFTER INSERT ON runs BEGIN DELETE FROM trials; END"
    change(tmp_path / "formula/ledger.db", trigger)
    with pytest.raises(StudyError, match="it has the trigger 'run'"):
        kind.read(tmp_path / "formula")


def test_tables_of_a_later_record_do_not_stay(tmp_path):
    """An earlier record is restored. Catches: a report that is refused for points that no longer exist."""
    spec = StudySpec.preset("smoke", ["runtime.address=inline", "budget.trials=2", "train.epochs=2"])
    folder = run(spec, tmp_path).folder
    shutil.copy(folder / "ledger.db", tmp_path / "earlier.db")
    confirm(folder)
    later = exported(folder)
    shutil.copy(tmp_path / "earlier.db", folder / "ledger.db")
    assert later - exported(folder) == {"fresh.parquet", "confirmed.parquet", "users.parquet"}


def exported(folder):
    with closing(Reader.read(folder)) as record:
        export(record, folder)
    return {path.name for path in (folder / "tables").iterdir()}


ROTTEN = {
    "outcome-verdict": "UPDATE trial_user_attributes SET value_json = '{\"a\": 7}' WHERE key = 'outcome'",
    "outcome-kind": "UPDATE trial_user_attributes SET value_json = '[]' WHERE key = 'outcome'",
    "outcome-empty": "UPDATE trial_user_attributes SET value_json = '{}' WHERE key = 'outcome'",
    "no-json": "UPDATE trial_user_attributes SET value_json = '{' WHERE key = 'config'",
    "bytes": "UPDATE trial_user_attributes SET value_json = x'ff' WHERE key = 'lease'",
    "trial": "UPDATE trials SET number = -1 WHERE number = 0",
    "metric": "UPDATE measurements SET mrr = 'much'",
    "infinity": "UPDATE measurements SET mse = 9e999",
    "process": "UPDATE runs SET pid = 99999999999",
    "time": "UPDATE runs SET started = -1e300",
    "baseline": "UPDATE study_user_attributes SET value_json = '{}' WHERE key = 'baseline'",
    "spec": "UPDATE study_user_attributes SET value_json = '{}' WHERE key = 'spec'",
    "table": "DROP TABLE trials",
}


@pytest.mark.parametrize("change_", ROTTEN.values(), ids=ROTTEN)
def test_a_rotten_value_is_an_error_of_its_study(tmp_path, change_):
    """The other studies are still listed."""
    home = tmp_path / "studies"
    for name in ("rotten", "sound"):
        done(home, name)
    change(home / "rotten/ledger.db", change_)
    cache = StudyCache(home)
    states = {one.name: one.state for one in cache.summaries(cache.names(), within_s=60)}
    cache.close()
    assert states == {"rotten": "unreadable", "sound": "complete"}
    with pytest.raises(StudyError), closing(Reader.read(home / "rotten")) as record:
        snapshot(record)
