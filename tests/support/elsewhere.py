"""Commands that run a command in a namespace of its own: on another host, on a read-only or a small disk."""

import os
import subprocess
from pathlib import Path

import pytest


def host(name: str) -> list[str]:
    """As on a host of this name; skips where this machine allows no namespace, fails in CI."""
    return _within("--uts", f"hostname {name}")


def container() -> list[str]:
    """With process numbers of its own, as in a container; it ends with its first process.

    Skips where this machine allows no namespace, fails in CI.
    """
    return _within("--pid", ":", "--fork", "--kill-child", "--mount-proc")


def read_only(folder: Path) -> list[str]:
    """With `folder`, which must be there, mounted read-only; skips where this machine allows no namespace,
    fails in CI.
    """
    return _within("--mount", f"mount --bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}'")


def small_disk(folder: Path, size: str) -> list[str]:
    """With `folder`, which must be there, on a disk of its own with room for `size`, 8m say; skips where this
    machine allows no namespace, fails in CI.
    """
    return _within("--mount", f"mount -t tmpfs -o size={size} tmpfs '{folder}'")


def _within(namespace: str, before: str, *options: str) -> list[str]:
    command = ["unshare", namespace, *options, "sh", "-ec", f'{before}; exec "$@"', "sh"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        reason = f"no namespace of its own for a command here: {tried.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return command
