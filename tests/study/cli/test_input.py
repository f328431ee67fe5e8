"""Unusual input files and places: byte order marks, pipes, long paths, silent servers."""

import os
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from formula import BASELINE, SPEC
from silent import silent
from typer.testing import CliRunner

from study.cli import local
from study.cli.app import app
from study.client import Client
from study.record.backends.backend import DatabaseAwayError
from study.record.backends.postgres import POSTGRES_OPTIONS, PostgreSQL
from study.record.backends.sqlite import LONGEST_PATH
from study.record.ledger import Ledger
from study.record.version_tokens import VersionTokens
from study.service.accept import JSON, TOML
from study.service.submission import parsed
from study.spec import SpecError, StudySpec
from trainable.contract import StudyError
from trainable.data.registry import load

BOM = b"\xef\xbb\xbf"


def test_a_byte_order_mark_before_a_spec_is_no_part_of_it(tmp_path: Path):
    """As editors on Windows write one. Catches: "is not valid TOML", and lines that are counted wrong."""
    path = tmp_path / "formula.toml"
    path.write_bytes(BOM + SPEC.encode())
    spec = StudySpec.load(path)
    assert spec == parsed(BOM + SPEC.encode(), TOML, data=None) == StudySpec.from_text(SPEC, where="x")
    text = spec.model_dump_json(exclude_none=True).encode()
    assert parsed(BOM + text, JSON, data=None) == spec
    assert StudySpec.from_json((BOM + text).decode(), where="x") == spec
    path.write_bytes(BOM + b"nmae = 'x'\n" + SPEC.encode())
    with pytest.raises(SpecError, match=r"^nmae: unknown key; .*formula.toml:1"):
        StudySpec.load(path)


@pytest.mark.timeout(60)  # for code that waits
@pytest.mark.parametrize("name", ["pipe", "folder"])
def test_a_pipe_or_folder_is_never_read(name: str, tmp_path: Path):
    """A named pipe without a writer. Catches: a command, or a service, that hangs."""
    for suffix in (".toml", ".csv", ".parquet"):
        path = tmp_path / f"{name}{suffix}"
        os.mkfifo(path) if name == "pipe" else path.mkdir()
    message = {"pipe": "it is a named pipe; give a", "folder": "it is a folder; give a"}[name]
    for suffix in (".csv", ".parquet"):
        with pytest.raises(StudyError, match=message):
            load(str(tmp_path / f"{name}{suffix}"), split="per-user", split_seed=0)
    with pytest.raises(SpecError, match=message):
        StudySpec.load(tmp_path / f"{name}.toml")
    with pytest.raises(SpecError, match=message):
        Client("http://127.0.0.1:1").post(tmp_path / f"{name}.toml")


def test_a_pipe_of_a_shell_is_read(tmp_path: Path):
    """As in `study run <(sed … study.toml)`."""
    ours, theirs = os.pipe()
    os.write(theirs, SPEC.encode())
    os.close(theirs)
    try:
        assert StudySpec.load(f"/dev/fd/{ours}").name == "formula"
    finally:
        os.close(ours)


def deep(home: Path, size: int) -> Path:
    """A folder for the study "formula" below `home` whose full path has this many bytes."""
    while (left := size - len(os.fsencode(home / "formula"))) > 0:
        home /= "d" * (left - 1 if left < 200 else 150)
    (home / "formula").mkdir(parents=True)
    return home / "formula"


def test_a_path_too_long_for_sqlite_is_reported(tmp_path: Path):
    """The error names the path, not the disk, and no run waits for the disk."""
    spec = StudySpec.from_text(SPEC, where="test")
    room = LONGEST_PATH - len("/.ledger.db.1234567")
    Ledger.open(spec, deep(tmp_path / "fits", room), BASELINE).close()
    with pytest.raises(StudyError, match=rf"has \d+ bytes, more than SQLite's limit of {LONGEST_PATH};"):
        Ledger.open(spec, deep(tmp_path / "not", LONGEST_PATH), BASELINE)


def elsewhere(home: Path, name: str, port: int) -> Path:
    """The folder of a study whose record is in a PostgreSQL at that port."""
    folder = home / name
    folder.mkdir(parents=True)
    url = f"postgresql://nobody@127.0.0.1:{port}/none"
    (folder / "study.toml").write_text(f'{SPEC.replace("formula", name)}\n[storage]\nurl = "{url}"\n')
    return folder


def test_a_list_asks_a_silent_server_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its studies together take one time-out, not one each."""
    monkeypatch.setitem(POSTGRES_OPTIONS["connect_args"], "connect_timeout", 2)  # libpq waits no shorter
    monkeypatch.setattr(local, "STUDIES_FOLDER", tmp_path / "studies")
    with silent() as server:
        for name in "abcd":
            elsewhere(tmp_path / "studies", name, server.port)
        ended = CliRunner().invoke(app, ["list"])
        assert len(server.callers) == 1
    assert ended.exit_code == 0, ended.output
    lines = ended.stderr.splitlines()
    assert [line[:3] for line in lines] == ["a: ", "b: ", "c: ", "d: "]
    assert all("the PostgreSQL server at 127.0.0.1, database none does not answer" in line for line in lines)


def test_databases_are_asked_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No database waits until another is given up."""
    together = Barrier(2, timeout=30)

    def silent_until_both_are_asked(*_: object) -> None:
        together.wait()
        raise DatabaseAwayError("it does not answer")

    monkeypatch.setattr(PostgreSQL, "versions", silent_until_both_are_asked)
    folders = [elsewhere(tmp_path, name, port) for name, port in (("a", 1), ("b", 2))]
    with closing(VersionTokens()) as versions:
        found = versions.all(folders)
    assert [str(found[folder]) for folder in folders] == ["it does not answer"] * 2
