"""A head knows the homes of submitted studies even after Ray restarts."""

import json
import os
from pathlib import Path

import pytest
from formula import BASELINE, SPEC

from study.cli.app import app
from study.record.ledger import Ledger
from study.remote import homes
from study.remote.result import main, unpacked
from study.spec import StudySpec


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder on a machine with nothing noted."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def holding(home: Path, study: str) -> Path:
    """The home with a folder in it that looks like a study."""
    (home / "studies" / study).mkdir(parents=True)
    (home / "studies" / study / "ledger.db").touch()
    return home


def test_homes_are_kept_the_latest_first(folder: Path, tmp_path: Path):
    """Every home is kept, listed once, and no longer listed when it is gone."""
    assert homes.known() == []
    found = [holding(tmp_path / name, "one") for name in ("a", "b", "line\nbreak")]
    for at, home in enumerate([*found, found[0]]):
        homes.note(home)
        for note in homes._notes().iterdir():  # notes of one moment have no order
            if note.read_bytes() == os.fsencode(home):
                os.utime(note, (at, at))
    assert homes.known() == [found[0], found[2], found[1]]
    found[2].rename(tmp_path / "moved")
    assert homes.known() == [found[0], found[1]]


def test_a_study_is_found_in_the_home_that_holds_it(folder: Path, tmp_path: Path):
    """A study of the same name in the working folder is not used."""
    for name in ("one", "two"):
        homes.note(holding(tmp_path / name, name))
    assert [homes.of(name) for name in ("one", "two", "none")] == [tmp_path / "one", tmp_path / "two", folder]
    holding(folder, "one")
    assert homes.of("one") == folder


def test_command_runs_in_the_studys_home_and_removes_taken_files(folder: Path, tmp_path: Path, capsys):
    """The command does not run in the working folder, and a fetched file does not stay on the head."""
    home = holding(tmp_path / "far", "one")
    homes.note(home)
    for name in ("kept", "taken"):
        (home / name).write_text(name, encoding="utf-8")
    main(["--study=one", "--take=taken", "kept", "--", "list", "--homes", "--json"])
    answer = unpacked(capsys.readouterr().out)
    assert answer is not None
    assert answer.files == {"kept": b"kept", "taken": b"taken"}
    assert [(home / name).exists() for name in ("kept", "taken")] == [True, False]


def test_every_home_is_listed_with_its_studies(folder: Path, tmp_path: Path, capsys):
    """The list has all homes and the home of each study."""
    for name in ("one", "two"):
        begun(tmp_path / name, name)
        homes.note(tmp_path / name)
    begun(folder, "three")
    app(["list", "--homes", "--json"], standalone_mode=False)
    seen = json.loads(capsys.readouterr().out)
    assert {(s["name"], s["home"]) for s in seen} == {
        ("one", str(tmp_path / "one")),
        ("two", str(tmp_path / "two")),
        ("three", str(folder)),
    }
    app(["list", "--json"], standalone_mode=False)
    assert [(s["name"], "home" in s) for s in json.loads(capsys.readouterr().out)] == [("three", False)]


def begun(home: Path, name: str) -> None:
    """A study of which nothing has run yet."""
    spec = StudySpec.from_text(SPEC, where="test", overrides=[f"name={name}"])
    Ledger.open(spec, home / "studies" / name, BASELINE).close()
