"""Back up a study into one file, running or not, and restore a study from such a file.

The file is a SQLite record with one more table: `backup` has the schema, the version and the spec. It is a
copy of one moment, of a file or of the study's rows in a shared database. An open run is recorded as ended,
so a restored study resumes as after a kill.
"""

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from importlib.metadata import version
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import get_args

import sqlalchemy as sa

from study.record.backends.backend import DatabaseAwayError, damaged
from study.record.backends.sqlite import UNREADABLE, SQLite, refuse_code, refuse_network
from study.record.decoded import FAULTS, text
from study.record.location import RECORD_FILE, conditions, located, put_spec
from study.record.optuna_storage import empty, let_go
from study.record.reader import Reader
from study.record.rows import Stage
from study.record.tables import RECORD_SCHEMA, belonging, stage_name
from study.spec import SpecError, StudySpec
from study.spec.sections import Storage
from study.spec.study import study_name
from trainable.contract import StudyError

BATCH = 10_000
"""Rows of a shared database in memory at a time."""

LEFT = "backed up while it ran"


def backup(folder: Path, file: Path) -> None:
    """Write the record and the spec of the study in `folder` into the new file `file`.

    The file appears only after it was read back completely. StudyError, without a file, if `file` exists or
    the record is damaged.
    """
    if file.exists():
        raise StudyError(f"{file}: already exists; name another file, or remove it")
    if not file.absolute().parent.is_dir():
        raise StudyError(f"{file}: the folder {file.parent} does not exist; make it, or name another file")
    with closing(Reader.read(folder)) as record:
        name = record.spec.name
    with TemporaryDirectory(prefix=f".{file.name}.", dir=file.absolute().parent) as made:
        copy = Path(made) / name / RECORD_FILE
        copy.parent.mkdir()
        try:
            backend, _ = located(folder)
            backend.copy(copy, partial(_copy_rows, name, copy))
            _seal(copy, _read_back(copy.parent).as_toml())
        except (*UNREADABLE, sa.exc.DBAPIError) as error:
            raise _failed(error, file, name) from error
        _facts(copy)
        _sync(copy)
        copy.rename(file)


def restore(file: Path, home: Path, *, name: str | None = None) -> Path:
    """Restore the backup `file` into `home`, under its own name or under `name`; return the study's folder.

    The folder appears only when it is complete; its record is always a SQLite file. StudyError if this
    version cannot read `file` as a backup, or the folder exists.
    """
    spec = StudySpec.from_text(_facts(file)["spec"], where=str(file))
    known, called = spec.name, _checked(spec.name if name is None else name)
    spec = spec.model_copy(update={"name": called, "storage": Storage()})
    folder = home / spec.name
    if folder.exists():
        raise StudyError(f"{folder}: already exists; give the restored study another name with --name")
    home.mkdir(parents=True, exist_ok=True)
    refuse_network(folder)
    with TemporaryDirectory(prefix=".restore-", dir=home) as made:
        whole = Path(made) / spec.name
        whole.mkdir()
        copyfile(file, whole / RECORD_FILE)
        try:
            _begin_again(whole / RECORD_FILE, known, spec)
            read = _read_back(whole)
        except (sqlite3.Error, *FAULTS, StudyError) as error:
            if "full" in conditions(error):
                raise
            raise StudyError(f"{file}: is damaged: {error}; restore another backup") from error
        put_spec(read, whole)
        whole.rename(folder)
    return folder


# --- copying ---------------------------------------------------------------------------------------------


def _copy_rows(name: str, copy: Path, reading: sa.Connection) -> None:
    """Copy the rows of all stages of the study, with their numbers, into the new file `copy`."""
    target = empty(SQLite(copy, journal="DELETE"))
    theirs, ours = sa.MetaData(), sa.MetaData()
    ours.reflect(target.engine)
    with target.engine.begin() as writing:
        theirs.reflect(reading, only=list(ours.tables))
        studies = theirs.tables["studies"].c
        names = [stage_name(name, stage) for stage in get_args(Stage)]
        named = sa.select(studies.study_id).where(studies.study_name.in_(names))
        wanted = reading.execute(named).scalars().all()
        for table in theirs.sorted_tables:
            if (which := belonging(table, theirs.tables["trials"], wanted)) is not None:
                rows = sa.select(table).where(which).execution_options(yield_per=BATCH)
                found = reading.execute(rows).mappings()
                for batch in found.partitions():
                    writing.execute(ours.tables[table.name].insert(), [dict(row) for row in batch])
    let_go(target)


# --- the file --------------------------------------------------------------------------------------------


def _seal(copy: Path, spec: str) -> None:
    """Turn a copied record into a backup: one file, no open run, and a table of facts for `restore`."""
    facts = {"schema": str(RECORD_SCHEMA), "version": version("pareto-study"), "spec": spec}
    with closing(sqlite3.connect(copy)) as writing:
        writing.execute("PRAGMA journal_mode=DELETE")
        with writing:
            writing.execute("UPDATE runs SET ended = renewed, reason = ? WHERE ended IS NULL", (LEFT,))
            writing.execute("CREATE TABLE backup (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            writing.executemany("INSERT INTO backup VALUES (?, ?)", facts.items())


def _read_back(folder: Path) -> StudySpec:
    """Read the whole record in `folder`; return its spec. DamagedError where a part cannot be read."""
    with closing(Reader.read(folder)) as search:
        for record in filter(None, (search, search.fresh(), search.confirmation())):
            if record.fixed:
                _ = record.baseline
            record.records(), record.points(), record.judgements(), record.runs(), record.places()
            for _ in record.measurements():
                pass
            record.by_user()
        return search.spec


def _failed(error: Exception, file: Path, name: str) -> Exception:
    """The error for a failed copy: disk full, record locked, record damaged, or `error` itself."""
    if "full" in (reported := conditions(error)):
        said = getattr(error, "orig", error)
        return StudyError(
            f"{file}: cannot be written: {said}; make room there, or name a file on another disk"
        )
    if "locked" in reported:
        return DatabaseAwayError(f"{name}: another process has locked its record; try again")
    return damaged(name, error) if isinstance(error, UNREADABLE) else error


def _sync(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _facts(file: Path) -> Mapping[str, str]:
    """The facts in a backup. StudyError if it is not a backup, is damaged, or has another schema."""
    if not file.is_file():
        raise StudyError(f"{file}: does not exist; name a file that `study backup` wrote")
    try:
        where = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(where, uri=True)) as reading:
            refuse_code(file, reading.execute)
            facts = dict(reading.execute("SELECT key, value FROM backup").fetchall())
            found = reading.execute("PRAGMA integrity_check").fetchone()
    except UNREADABLE as error:
        raise StudyError(f"{file}: is not a backup of a study: {error}; name one that is") from error
    if facts.keys() != {"schema", "version", "spec"} or not all(map(text, facts.values())):
        raise StudyError(f"{file}: is not a backup of a study: its facts are incomplete; name one that is")
    if facts["schema"] != str(RECORD_SCHEMA):
        raise StudyError(
            f"{file}: was written with schema {facts['schema']} by pareto-study {facts['version']}, this "
            f"version reads {RECORD_SCHEMA}; use the one that wrote it"
        )
    if found != ("ok",):
        raise StudyError(f"{file}: is damaged: {found[0]}; restore another backup")
    return facts


# --- the restored study ----------------------------------------------------------------------------------


def _begin_again(record: Path, known: str, spec: StudySpec) -> None:
    """Turn a backup of the study `known` into the record of the study that `spec` describes."""
    changed = spec.model_dump(mode="json", include={"name", "storage"})
    with closing(sqlite3.connect(record)) as writing, writing:
        writing.execute("DROP TABLE backup")
        for stage in get_args(Stage):
            names = (stage_name(spec.name, stage), stage_name(known, stage))
            writing.execute("UPDATE studies SET study_name = ? WHERE study_name = ?", names)
        specs = "SELECT study_user_attribute_id, value_json FROM study_user_attributes WHERE key = 'spec'"
        for attribute, was in writing.execute(specs).fetchall():
            writing.execute(
                "UPDATE study_user_attributes SET value_json = ? WHERE study_user_attribute_id = ?",
                (json.dumps(json.loads(was) | changed), attribute),
            )


def _checked(name: str) -> str:
    try:
        return study_name(name)
    except ValueError as error:
        raise SpecError(f"--name: {error}") from None
