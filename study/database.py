"""The database behind a Ledger: where it is, how it is opened, and how a record is made, whole or not at all.

A study's record is a SQLite file in its folder, or part of a PostgreSQL database that the spec names. A URL
may hold a password, so it is resolved where it is used and kept nowhere.
"""

import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from analysis.objective import objectives
from study.record import Baseline, tables
from study.spec import SpecError, StudySpec
from trainable.contract import StudyError

SCHEMA = 3
"""Version of what is written; a database with another one is refused."""

FILE = "ledger.db"
SPEC = "study.toml"

CONFIRM = "/confirm"
"""What the name of a confirmation adds to the name of its search; no study's own name has a slash."""


class AwayError(StudyError):
    """The database does not answer."""


DATABASE_ERRORS = (sqlite3.Error, sa.exc.DBAPIError, StorageInternalError, AwayError)
"""What a database that is damaged, full, locked or away raises from any method of a Ledger."""

NETWORK_FILE_SYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "gluster",
    "beegfs",
    "sshfs",
    "gpfs",
)
"""Parts of the names of file systems on which SQLite's locks do not hold (sqlite.org/faq.html#q5)."""

CONNECT_S, SILENCE_MS = 10, 30_000
"""How long a PostgreSQL server may take to answer at first, and to acknowledge what it is sent."""

_POSTGRES_OPTIONS: Mapping[str, Any] = {
    "connect_args": {
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": SILENCE_MS,
        "keepalives_idle": 10,
        "client_encoding": "utf8",  # of a database in SQL_ASCII psycopg would give bytes
    },
    "pool_pre_ping": True,
}

_LOCK = 0x5EED
"""Key of the advisory lock under which tables and studies are made in a PostgreSQL database."""


def holds_study(folder: Path) -> bool:
    """Whether `folder` is a study's: it has a record, or a spec that names a database for one.

    So is one whose spec cannot be read: where its record is cannot be told, and reading it says why.
    """
    try:
        return (folder / FILE).is_file() or place(folder) is not None
    except SpecError:
        return True


def studies(home: Path) -> list[Path]:
    """The folders in `home` that are studies', by name."""
    return sorted(folder for folder in home.glob("*/") if holds_study(folder))


def opened(folder: Path) -> tuple[RDBStorage, str]:
    """The storage of the study in `folder`, and its name there. StudyError where there is none."""
    if (folder / FILE).is_file():
        return _from_file(folder / FILE, made=True)
    if (found := place(folder)) is None:
        raise StudyError(f"{folder}: holds no study; `study list` shows those there are")
    url, name = found
    storage = _postgres(url, made=True)
    try:
        storage.get_study_id_from_name(name)
    except KeyError:
        raise StudyError(f"{name}: the database that {folder / SPEC} names holds no such study") from None
    return storage, name


def create(spec: StudySpec, folder: Path, baseline: Baseline) -> RDBStorage:
    """The storage of a study, made whole or not at all where there is none.

    StudyError where the record of the study in `folder` is elsewhere.
    """
    url = spec.storage.url
    if holds_study(folder) and url != (there := (place(folder) or (None, ""))[0]):
        raise StudyError(
            f"storage.url: the record of {spec.name} is in {there or folder / FILE}; leave it "
            "there, or give the spec another name"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if url is None:
        if not (folder / FILE).is_file():
            _create_file(spec, folder / FILE, baseline)
        return _from_file(folder / FILE)[0]
    storage = _postgres(url)
    try:
        with _alone(storage.engine):
            _begin(storage, spec, baseline)
    except BaseException:
        storage.engine.dispose()
        raise
    return storage


def place(folder: Path) -> tuple[str, str] | None:
    """The database that the spec in `folder` names, as the spec has it, and the study's name there.

    None where the record is a file.
    """
    if (folder / FILE).is_file():
        return None
    try:
        found = (folder / SPEC).stat()
    except FileNotFoundError:
        return None
    return _place(folder / SPEC, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=10_000)
def _place(path: Path, _stamp: tuple[int, int, int]) -> tuple[str, str] | None:
    """The same, by a spec that is replaced whole: another is another file."""
    spec = StudySpec.load(path)
    return None if spec.storage.url is None else (spec.storage.url, spec.name)


def _from_file(path: Path, *, made: bool = False) -> tuple[RDBStorage, str]:
    """The storage in a SQLite file, and the name of the study there. StudyError where it holds none.

    With `made` Optuna's tables are taken for granted: whoever drives the study has looked at them, which
    costs three times what reading does.
    """
    storage = _sqlite(path, made=made)
    try:
        names = [n for n in optuna.get_all_study_names(storage) if not n.endswith(CONFIRM)]
    except StorageInternalError as error:
        raise StudyError(f"{path}: holds no study's record; restore it, or delete the folder") from error
    if not names:
        raise StudyError(f"{path}: holds no study's record; restore it, or delete the folder")
    tables.create_all(storage.engine)  # those that a record of an earlier version lacks
    return storage, names[0]


def _create_file(spec: StudySpec, path: Path, baseline: Baseline) -> None:
    """Make a record beside its place and link it there: a kill leaves nothing that looks like a study, and of
    two that begin the same study at the same moment one finds the other's.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    storage = empty(beside)
    _begin(storage, spec, baseline)
    let_go(storage)
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return
    finally:
        beside.unlink()


def empty(path: Path) -> RDBStorage:
    """The storage in a new SQLite file that nobody else knows: all tables, no study, no file beside it."""
    storage = _sqlite(path, journal="DELETE")
    tables.create_all(storage.engine)
    return storage


def let_go(storage: RDBStorage) -> None:
    """Close every connection of a storage."""
    storage.remove_session()
    storage.engine.dispose()


def put_spec(spec: StudySpec, folder: Path) -> None:
    """Put a study's spec into its folder, where it is always whole."""
    beside = folder / f".{SPEC}.{os.getpid()}"
    beside.write_text(spec.as_toml(), encoding="utf-8")
    beside.replace(folder / SPEC)


def _begin(storage: RDBStorage, spec: StudySpec, baseline: Baseline) -> None:
    """Write down a study with all that is fixed before its first trial, the schema last: it says that all is
    there.
    """
    directions = [
        StudyDirection.MAXIMIZE if o.larger_is_better else StudyDirection.MINIMIZE
        for o in objectives(spec.objectives)
    ]
    try:
        optuna_study = optuna.create_study(storage=storage, study_name=spec.name, directions=directions)
    except DuplicatedStudyError:
        optuna_study = optuna.load_study(study_name=spec.name, storage=storage)
        if "schema" in optuna_study.user_attrs:
            return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*set_metric_names", ExperimentalWarning)
        optuna_study.set_metric_names(list(spec.objectives))
    facts = {"spec": spec.model_dump(mode="json"), "baseline": asdict(baseline), "schema": SCHEMA}
    for key, value in facts.items():
        optuna_study.set_user_attr(key, value)


def _sqlite(path: Path, *, journal: str = "WAL", made: bool = False) -> RDBStorage:
    """Optuna's storage on a SQLite file; in WAL mode readers never wait, and a commit costs no full sync."""
    refuse_network(path)
    try:
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA journal_mode={journal}")
        connection.close()
    except sqlite3.Error as error:
        mend = "restore it, or delete the folder"
        if not os.access(path.parent, os.W_OK):
            mend = "its folder is read-only, and reading takes a lock there: make it writable, or copy it"
        raise StudyError(f"{path}: cannot be opened as a study's record: {error}; {mend}") from error
    storage = _storage(f"sqlite:///{path}", {"connect_args": {"timeout": 30}}, made=made)

    @sa.event.listens_for(storage.engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    storage.engine.dispose()
    return storage


def refuse_network(path: Path) -> None:
    """StudyError where a record at `path` would be on a network file system."""
    kind = file_system(path.parent)
    if any(name in kind for name in NETWORK_FILE_SYSTEMS):
        raise StudyError(
            f"{path}: lies on a network file system ({kind}), where SQLite loses records; run on a local "
            "disk, or name a PostgreSQL database in storage.url"
        )


def _postgres(text: str, *, made: bool = False) -> RDBStorage:
    """Optuna's storage in the PostgreSQL database that a spec's `text` means, all tables there.

    With `made` they are taken for granted where ours are there: they were made last.
    """
    engine = postgres_engine(text)
    with answering(engine):
        there = made and set(tables.tables) <= set(sa.inspect(engine).get_table_names())
        with nullcontext() if there else _alone(engine):
            storage = _storage(
                engine.url.render_as_string(hide_password=False), _POSTGRES_OPTIONS, made=there
            )
            if not there:
                tables.create_all(storage.engine)
    engine.dispose()
    return storage


def postgres_engine(text: str) -> sa.Engine:
    """The engine of the PostgreSQL database that a spec's `text` means; a broken connection is replaced."""
    try:
        return sa.create_engine(_resolved(text), **_POSTGRES_OPTIONS)
    except ImportError as error:
        raise StudyError(
            "storage.url: PostgreSQL needs psycopg; pip install 'pareto-study[postgres]'"
        ) from error


@contextmanager
def answering(engine: sa.Engine) -> Iterator[None]:
    """AwayError, without a password, where the PostgreSQL server of this engine does not answer."""
    try:
        yield
    except sa.exc.OperationalError as error:
        where = f"{engine.url.host or 'this machine'}, database {engine.url.database}"
        reason = str(error.orig).strip().splitlines()[0]
        raise AwayError(f"storage.url: the PostgreSQL server at {where} does not answer: {reason}") from error


def _storage(url: str, options: Mapping[str, Any], *, made: bool = False) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # what there is to say is said by us
    return RDBStorage(
        url, engine_kwargs=dict(options), skip_compatibility_check=made, skip_table_creation=made
    )


def _resolved(text: str) -> sa.URL:
    """The URL that a spec means, password and all. StudyError where its variable does not hold one."""
    if text.startswith("env:"):
        name = text[4:]
        text = os.environ.get(name, "")
        if not text.startswith(("postgresql://", "postgres://")):
            what = "is not set" if not text else "does not hold a postgresql:// URL"
            raise StudyError(f"storage.url: the environment variable {name} {what} on this machine")
    return sa.make_url(text).set(drivername="postgresql+psycopg")


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """Nobody else makes tables or studies in this PostgreSQL database meanwhile."""
    with engine.connect() as connection, connection.begin():
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of file system that `folder` is on, as "ext4"; "unknown" where the machine does not say."""
    if not mounts.is_file():
        return "unknown"
    place, found, longest = str(folder.resolve()) + "/", "unknown", 0
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, kind, *_ = line.split(" ")
        point = point.replace("\\040", " ").rstrip("/") + "/"
        if place.startswith(point) and len(point) >= longest:
            found, longest = kind, len(point)
    return found
