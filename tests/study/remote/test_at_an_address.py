"""Commands at an address: their requests to a head, and the parts of its answer that are kept here."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from command import prepare, study

from study.cli.app import app
from study.remote import commands, homes
from study.remote.jobs import Submitted
from study.remote.result import CommandResult, unpacked
from trainable.artifact import load_model
from trainable.contract import StudyError

pytestmark = pytest.mark.long
ADDRESS = "http://head:8265"
HERE = ("--address", ADDRESS)


class Head:
    """A head whose home is a folder of this machine; it runs `study.remote.result` without Ray."""

    def __init__(self, home: Path) -> None:
        self.address, self.home = ADDRESS, home
        self.confirmed: list[tuple[str, str, bool]] = []

    def ask(
        self,
        arguments: Sequence[str],
        *,
        study: str | None = None,
        files: Sequence[str] = (),
        take: Sequence[str] = (),
        width: int = 80,
    ) -> CommandResult:
        options = [f"--study={study or ''}", *(f"--take={file}" for file in take)]
        command = [sys.executable, "-P", "-m", "study.remote.result", *options, *files, "--", *arguments]
        done = subprocess.run(
            command,
            cwd=self.home,
            env=os.environ | {"COLUMNS": str(width)},
            capture_output=True,
            text=True,
            check=True,
        )
        answer = unpacked(done.stdout)
        assert answer is not None
        return answer

    def confirm(self, name: str, *, fingerprint: str, unfinished: bool) -> Submitted:
        self.confirmed.append((name, fingerprint, unfinished))
        return Submitted(f"{name}-2", begun=True, same=True)

    def follow(self, job: str) -> list[str]:
        return [f"{job} confirms\n"]

    def ended(self, _job: str) -> None:
        return None


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head's folder with a study in it that has ended."""
    folder = prepare(tmp_path_factory.mktemp("far") / "home")
    ended = study("run", "tiny.toml", cwd=folder)
    assert ended.code == 0, ended
    return folder


@pytest.fixture
def head(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Head:
    """The head as a laptop's commands reach it: its jobs begin elsewhere, its studies' home is noted."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    homes.note(home)
    for name in ("restarted", "laptop"):
        (tmp_path / name).mkdir()
    found = Head(tmp_path / "restarted")
    monkeypatch.setattr(commands, "_head", lambda _address: found)
    monkeypatch.chdir(tmp_path / "laptop")
    return found


def call(*words: str) -> None:
    """`study` with these words, at the address; it must succeed."""
    assert not app([*words, *HERE], standalone_mode=False)


def test_studies_of_all_homes_are_listed(head: Head, home: Path, capsys):
    """After a restart of Ray. Catches: a list of one home only, a study that is lost."""
    call("list", "--json")
    assert f'"home": "{home}"' in capsys.readouterr().out
    call("front", "tiny", "--all")
    there = capsys.readouterr().out
    assert there == study("front", "tiny", "--all", cwd=home).out


def test_a_picked_model_is_fetched(head: Head, capsys):
    """The model does not stay on the head, and its files do not mix with a study of this machine."""
    call("pick", "tiny", "--max-mse", "99")
    output = capsys.readouterr().out
    (folder,) = Path("studies/tiny/models").iterdir()
    assert f"model = load_model('{folder}')" in output
    assert load_model(folder).card.trial == int(folder.name.partition("-")[0])
    (folder.parents[1] / "ledger.db").touch()
    with pytest.raises(StudyError, match="is a study of this machine"):
        call("pick", "tiny", "--max-mse", "99")


def test_a_backup_is_fetched_whole_and_not_kept_there(head: Head, home: Path, tmp_path: Path):
    """The backup does not stay on the head's disk and replaces no file here."""
    before = {*home.rglob("*.backup"), *head.home.rglob("*.backup")}
    call("backup", "tiny", "far.backup")
    assert {*home.rglob("*.backup"), *head.home.rglob("*.backup")} == before == set()
    ended = study("restore", "far.backup", "--name", "near", cwd=tmp_path / "laptop")
    assert ended.code == 0, ended
    with pytest.raises(StudyError, match="already exists"):
        call("backup", "tiny", "far.backup")


def test_a_confirmation_is_a_job_that_is_followed(head: Head, capsys):
    call("status", "tiny", "--json")
    fingerprint = capsys.readouterr().out.partition('"fingerprint": "')[2].partition('"')[0]
    with pytest.raises(SystemExit):
        app(["confirm", "tiny", "--unfinished", *HERE])
    assert head.confirmed == [("tiny", fingerprint, True)]
    output = capsys.readouterr().out
    assert f"study tiny ({fingerprint}): job tiny-2 begins\ntiny-2 confirms\n" in output


def test_a_study_is_deleted_there_with_yes_alone(head: Head, home: Path, tmp_path: Path):
    """A head cannot ask the user. Catches: a study that is deleted without a question."""
    ended = study("backup", "tiny", str(tmp_path / "kept"), cwd=home)
    assert ended.code == 0, ended
    ended = study("restore", str(tmp_path / "kept"), "--name", "doomed", cwd=home)
    assert ended.code == 0, ended
    with pytest.raises(StudyError, match="add --yes"):
        call("delete", "doomed")
    assert (home / "studies/doomed").is_dir()
    call("delete", "doomed", "--yes")
    assert not (home / "studies/doomed").exists()
