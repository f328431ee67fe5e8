"""Files that are whole or not there."""

import os
from concurrent.futures import ThreadPoolExecutor
from errno import ENOSPC
from pathlib import Path

import pytest

from trainable.disk import put


def test_a_disk_without_room_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Catches: a file cut short, or half of one left beside it."""
    path = tmp_path / "file"
    put(path, b"before")

    def full(_number: int) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put(path, b"after")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"before"}


def test_what_cannot_be_moved_into_place_is_not_left(tmp_path: Path):
    """Catches: a file beside a folder that has its name, more with every try."""
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        put(tmp_path / "file", b"")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Catches: a name without content after a power loss."""
    fsync, synced = os.fsync, list[bool]()
    monkeypatch.setattr(
        os, "fsync", lambda number: synced.append((tmp_path / "file").exists()) or fsync(number)
    )
    put(tmp_path / "file", b"content")
    assert synced == [False]


def test_of_many_that_write_at_once_one_wins_whole(tmp_path: Path):
    """Catches: two threads of one process that write into each other's file."""
    contents = [bytes([n]) * 100_000 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: put(tmp_path / "file", content), contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_who_may_read_it_is_as_asked(tmp_path: Path, mode: int):
    """Catches: tokens that others read, and tables that they cannot."""
    before = os.umask(0o022)
    try:
        put(tmp_path / "file", b"", mode=mode)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode & ~0o022
