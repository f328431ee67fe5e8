"""A backup is a snapshot of a record; the restored study ends with exactly its budget."""

import shutil
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import postgres
import pytest
import sqlalchemy as sa
from formula import BASELINE, SPEC, FormulaLane

from study.loop.budget import complete
from study.loop.confirmation import begin, begin_fresh
from study.loop.referee import Referee
from study.record import backup as module
from study.record.backup import LEFT, backup, restore
from study.record.ledger import Ledger
from study.record.location import studies
from study.record.rows import Judgement
from study.record.tables import RECORD_SCHEMA
from study.spec import StudySpec
from study.spec.sections import Confirm, Storage
from trainable.contract import Decision, StudyError

MOMENTS = (1, 4, 8)
"""Turns of a lane after which a study is backed up: it has begun, is half done, has ended some trials."""


@pytest.fixture
def ledger(storage, tmp_path):
    """A study without trials, beside another one in the same database if that is possible."""
    opened = []
    for name in ("other", "formula"):
        spec = StudySpec.from_text(
            SPEC, where="test", overrides=[f"name={name}", "search.replicates=2", *storage]
        )
        opened.append(Ledger.open(spec, tmp_path / "studies" / name, BASELINE))
    drive(opened[0])
    yield opened[1]
    for one in opened:
        one.close()


@contextmanager
def driving(ledger):
    """A function that lets a lane take a turn in an open run; returns true when the study is over."""
    run = ledger.claim()
    referee, lane = Referee(ledger, run), FormulaLane(f"{run}.0", 2)

    def turn():
        lane.advance(referee.exchange)
        return referee.over is not None

    yield turn
    ledger.release(run, referee.over or "killed")


def drive(ledger, turns=500):
    with driving(ledger) as turn:
        any(turn() for _ in range(turns))


def everything(ledger):
    """The study's record, without its runs."""
    later = [
        None if stage is None else everything(stage) for stage in (ledger.fresh(), ledger.confirmation())
    ]
    return (
        *(ledger.records(), list(ledger.measurements()), ledger.judgements(), ledger.baseline, ledger.plan),
        *later,
    )


def folder(ledger, tmp_path):
    return tmp_path / "studies" / ledger.spec.name


def test_a_restored_study_is_the_one_that_was_backed_up(ledger, tmp_path):
    """All tables of this study are restored, no rows of others, and no database is named."""
    drive(ledger)
    ledger.judge(Judgement(1, Decision(0, "go", "rung 1 epoch: rank 1 of 1, places 1")))
    for plan in (begin_fresh, begin):
        stage = plan(ledger, Confirm(points=2, replicates=2))
        stage.fix(BASELINE)
        drive(stage)
    backup(folder(ledger, tmp_path), tmp_path / "one.backup")
    assert [path.name for path in tmp_path.glob("*.backup*")] == ["one.backup"]
    for name, expected in ((None, "formula"), ("again", "again")):
        made = restore(tmp_path / "one.backup", tmp_path / "elsewhere", name=name)
        assert made == tmp_path / "elsewhere" / expected
        read = Ledger.read(made)
        assert everything(read) == everything(ledger)
        assert read.spec == ledger.spec.model_copy(update={"name": expected, "storage": Storage()})
        assert (read.fresh().spec.name, read.confirmation().spec.name) == (expected, expected)
        assert StudySpec.load(made / "study.toml") == read.spec
        assert [replace(r, silent_s=0) for r in read.runs()] == [
            replace(r, silent_s=0) for r in ledger.runs()
        ]
        assert complete(read) == "trials: 6 of 6"
        read.close()
    assert studies(tmp_path / "elsewhere") == [tmp_path / "elsewhere" / n for n in ("again", "formula")]


def test_restored_study_ends_like_the_original(ledger, tmp_path):
    """Law 5. Catches: a run that is still open in the copy, a trial that is lost there, or left running."""
    with driving(ledger) as turn:
        for number in range(500):
            if turn():
                break
            if number in MOMENTS:
                backup(folder(ledger, tmp_path), tmp_path / f"{number}.backup")
    for number in MOMENTS:
        made = restore(tmp_path / f"{number}.backup", tmp_path / "elsewhere", name=f"copy-{number}")
        copy = Ledger.open(StudySpec.load(made / "study.toml"), made, BASELINE)
        assert [run.reason for run in copy.runs()] == [LEFT]
        drive(copy)
        assert complete(copy) == "trials: 6 of 6"
        assert [(r.trial, r.config, r.state, r.epochs) for r in copy.records()] == [
            (r.trial, r.config, r.state, r.epochs) for r in ledger.records()
        ]
        assert list(copy.measurements()) == list(ledger.measurements())
        copy.close()


def test_a_backup_is_of_one_moment(ledger, tmp_path):
    """The run writes between any two statements of the backup. Catches: tables of different moments."""
    with driving(ledger) as turn:
        turn(), turn()
        before, turning = everything(ledger), []

        def go_on(_connection, _cursor, statement, _parameters, context, _many):
            streamed = context is not None and "yield_per" in context.execution_options
            if streamed and not turning:
                turning.append(statement)
                turn()
                turning.clear()

        sa.event.listen(sa.Engine, "before_cursor_execute", go_on)
        try:
            backup(folder(ledger, tmp_path), tmp_path / "one.backup")
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", go_on)
        if ledger.spec.storage.url is not None:
            assert everything(ledger) != before
    read = Ledger.read(restore(tmp_path / "one.backup", tmp_path / "elsewhere"))
    assert everything(read) == before
    read.close()


@pytest.mark.postgres
@pytest.mark.parametrize("storage", ["postgresql"], indirect=True)
def test_a_backup_holds_no_password(ledger, tmp_path):
    """The backup has the URL as the spec states it, unresolved."""
    drive(ledger)
    backup(folder(ledger, tmp_path), tmp_path / "one.backup")
    made = restore(tmp_path / "one.backup", tmp_path / "elsewhere")
    for path in (tmp_path / "one.backup", *made.iterdir()):
        assert postgres.PASSWORD.encode() not in path.read_bytes()


# --- what is refused -------------------------------------------------------------------------------------


@pytest.fixture
def made(open_ledger, tmp_path):
    """The one backup of a whole study."""
    ledger = open_ledger()
    drive(ledger)
    backup(tmp_path / "formula", tmp_path / "one.backup")
    return tmp_path / "one.backup"


def test_what_is_there_is_not_overwritten(made, tmp_path):
    """A backup never replaces a file, nor a restored study a present one."""
    before = made.read_bytes()
    with pytest.raises(StudyError, match=r"one\.backup: already exists; name another file"):
        backup(tmp_path / "formula", made)
    with pytest.raises(StudyError, match="formula: already exists; give the restored study another name"):
        restore(made, tmp_path)
    assert made.read_bytes() == before


def fail(*_):
    raise OSError(28, "No space left on device")


def test_a_backup_that_is_cut_off_leaves_nothing(made, tmp_path, monkeypatch):
    """No half file stays that looks like a backup."""
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(module.os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        backup(tmp_path / "formula", tmp_path / "second.backup")
    assert sorted(tmp_path.iterdir()) == before
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # a kill tidies nothing up
    with pytest.raises(OSError, match="No space left"):
        backup(tmp_path / "formula", tmp_path / "second.backup")
    assert not (tmp_path / "second.backup").exists()


def test_a_restoring_that_is_cut_off_leaves_nothing(made, tmp_path, monkeypatch):
    """No half folder stays that looks like a study."""
    monkeypatch.setattr(module, "put_spec", fail)
    with pytest.raises(OSError, match="No space left"):
        restore(made, tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def no_file(path):
    path.unlink()


def no_database(path):
    path.write_text("this is no database")


def a_ledger(path):
    shutil.copy(path.with_name("formula") / "ledger.db", path)


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_holes(path):
    content = bytearray(path.read_bytes())
    content[8192:40960] = bytes(32768)
    path.write_bytes(content)


def of_another_schema(path):
    change(path, "UPDATE backup SET value = '99' WHERE key = 'schema'")


def without_a_spec(path):
    change(path, "DELETE FROM backup WHERE key = 'spec'")


def with_a_trigger(path):
    change(path, "CREATE TRIGGER run AFTER UPDATE ON studies BEGIN DELETE FROM trials; END")


def with_a_view_without_an_end(path):
    loop = (
        "WITH RECURSIVE n(key) AS (SELECT 1 UNION ALL SELECT key + 1 FROM n) SELECT key, key AS value FROM n"
    )
    change(path, "DROP TABLE backup")
    change(path, f"CREATE VIEW backup AS {loop}")


def with_a_rotten_value(path):
    change(path, "UPDATE trial_user_attributes SET value_json = '[]' WHERE key = 'outcome'")


def change(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (no_file, "does not exist"),
        (no_database, "is not a backup of a study: file is not a database"),
        (a_ledger, "is not a backup of a study: no such table: backup"),
        (half, "malformed"),
        (with_holes, "is damaged|malformed"),
        (
            of_another_schema,
            f"was written with schema 99 by pareto-study .*, this version reads {RECORD_SCHEMA}",
        ),
        (without_a_spec, "its facts are incomplete"),
        (with_a_trigger, "it has the trigger 'run', which no study's record has"),
        (with_a_view_without_an_end, "it has the view 'backup', which no study's record has"),
        (with_a_rotten_value, "is damaged: .*outcome is "),
    ],
)
def test_file_that_is_not_a_backup_is_refused(made, tmp_path, damage, fault):
    """No study is made from another file, and the refusal leaves no files."""
    damage(made)
    with pytest.raises(StudyError, match=f"one.backup: .*({fault})") as error:
        restore(made, tmp_path / "elsewhere")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "elsewhere").exists() or [*(tmp_path / "elsewhere").iterdir()] == []


def test_what_could_not_be_restored_is_not_backed_up(open_ledger, tmp_path):
    """An unreadable record is reported, and no file stays that looks like a backup."""
    drive(open_ledger())
    with_a_rotten_value(tmp_path / "formula/ledger.db")
    with pytest.raises(StudyError, match="formula: its record is damaged: trial 0: outcome is "):
        backup(tmp_path / "formula", tmp_path / "one.backup")
    assert [path.name for path in tmp_path.iterdir()] == ["formula"]


def test_a_spec_that_is_lost_is_taken_from_the_record(open_ledger, tmp_path):
    """study.toml is only a copy; its faults do not reach the backup."""
    drive(open_ledger())
    (tmp_path / "formula/study.toml").write_bytes(b"\xff")
    backup(tmp_path / "formula", tmp_path / "one.backup")
    made = restore(tmp_path / "one.backup", tmp_path / "elsewhere")
    assert StudySpec.load(made / "study.toml").budget.trials == 6


@pytest.mark.parametrize("name", ["a/b", "../up", "", "x.toml"])
def test_a_name_that_no_study_can_have_is_refused(made, tmp_path, name):
    """A restored study is inside its home."""
    with pytest.raises(StudyError, match=f"--name: '{name}' cannot be a study's name"):
        restore(made, tmp_path / "elsewhere", name=name)
