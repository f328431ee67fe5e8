"""Atomic files: complete or absent."""

import os
from concurrent.futures import ThreadPoolExecutor
from errno import ENOSPC
from pathlib import Path

import pytest

from trainable.disk import write_atomically


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The old file is not truncated, and no partial file stays beside it."""
    path = tmp_path / "file"
    write_atomically(path, b"before")

    def full(_number: int) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"after")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"before"}


def test_a_failed_rename_leaves_no_file(tmp_path: Path):
    """No temporary file stays after a try, if a folder has the name."""
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "file", b"")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_content_is_flushed_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After a power loss no name lacks its content."""
    fsync, synced = os.fsync, list[bool]()
    monkeypatch.setattr(
        os, "fsync", lambda number: synced.append((tmp_path / "file").exists()) or fsync(number)
    )
    write_atomically(tmp_path / "file", b"content")
    assert synced == [False]


def test_concurrent_writes_leave_one_whole_file(tmp_path: Path):
    """Two threads of one process do not write into each other's file."""
    contents = [bytes([n]) * 100_000 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(tmp_path / "file", content), contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_the_file_mode_is_respected(tmp_path: Path, mode: int):
    """Others cannot read tokens, but can read tables."""
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "file", b"", mode=mode)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode & ~0o022
