"""Temporary folders: removed at the end, and by the next run where their process was killed."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from study.record.process import Owner
from study.runtime.temporary import OWNER_FILE, give, make, remove_orphans, temporary_folder


@contextmanager
def another_process() -> Iterator[int]:
    """Pid of a process that is killed at the end of the block."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def orphan(tmp_path: Path) -> Path:
    """A folder with files, whose process was killed."""
    with another_process() as pid:
        folder = make(str(tmp_path))
        (folder / "ray/session").mkdir(parents=True)
        (folder / "ray/session/log").touch()
        give(folder, pid)
    return folder


def test_the_next_run_removes_the_folder_of_a_killed_one(orphan: Path, tmp_path: Path):
    with another_process() as pid, temporary_folder(str(tmp_path)) as other:
        assert not orphan.exists()
        give(other, pid)
        with temporary_folder(str(tmp_path)) as mine:
            assert {path.name for path in tmp_path.iterdir()} == {other.name, mine.name}
            assert mine.stat().st_mode & 0o777 == 0o700
            assert [path.name for path in mine.iterdir()] == [OWNER_FILE]
    assert list(tmp_path.iterdir()) == []


OTHER_OWNERS = {
    "none": None,
    "another machine's": lambda owner: asdict(replace(owner, host="elsewhere")),
    "another container's": lambda owner: asdict(replace(owner, kernel="another")),
    "a fraction": lambda owner: asdict(owner) | {"pid": 1.5},
    "a large number": lambda owner: asdict(owner) | {"pid": 10**30},
    "a list": lambda owner: [asdict(owner)],
    "no JSON": lambda _: "{",
}


@pytest.mark.parametrize("kind", OTHER_OWNERS)
def test_a_folder_without_a_dead_process_of_this_machine_is_kept(kind: str, orphan: Path, tmp_path: Path):
    """Catches: a user's own `study-notes`, or the folder of a run in another container, removed."""
    change, path = OTHER_OWNERS[kind], orphan / OWNER_FILE
    owner = Owner(**json.loads(path.read_bytes()))
    path.unlink()
    if change is not None:
        changed = change(owner)
        path.write_text(changed if isinstance(changed, str) else json.dumps(changed), encoding="utf-8")
    remove_orphans(str(tmp_path))
    assert (orphan / "ray/session/log").exists()


def test_a_link_and_a_folder_of_another_user_are_kept(orphan: Path, tmp_path: Path, monkeypatch):
    """Catches: another user's link that leads to this user's files."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "study-link").symlink_to(orphan)
    remove_orphans(str(place))
    assert (place / "study-link/ray/session/log").exists()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: orphan.stat().st_uid + 1)
        remove_orphans(str(tmp_path))
    assert orphan.exists()
    remove_orphans(str(tmp_path))
    assert not orphan.exists()


def test_what_cannot_be_removed_now_is_removed_later(orphan: Path, tmp_path: Path, monkeypatch):
    """Catches: files that lose their owner while the last processes of a killed run still write."""
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        remove_orphans(str(tmp_path))
    assert orphan.exists()
    remove_orphans(str(tmp_path))
    assert not orphan.exists()
