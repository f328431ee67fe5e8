"""Commands that run a command in its own namespace: on another host, on a read-only or a small disk."""

import os
import subprocess
from pathlib import Path

import pytest


def host(name: str) -> list[str]:
    """As on a host of this name. Skips if this machine allows no namespace; fails in CI."""
    return _within("--uts", f"hostname {name}")


def container() -> list[str]:
    """With its own process numbers, as in a container, which ends with its first process.

    Skips if this machine allows no namespace; fails in CI.
    """
    return _within("--pid", ":", "--fork", "--kill-child", "--mount-proc")


def read_only(folder: Path) -> list[str]:
    """With the existing `folder` mounted read-only. Skips if no namespace is allowed; fails in CI."""
    return _within("--mount", f"mount --bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}'")


def small_disk(folder: Path, size: str) -> list[str]:
    """With the existing `folder` on its own disk of `size`, for example 8m. Skips if this machine allows no
    namespace; fails in CI.
    """
    return _within("--mount", f"mount -t tmpfs -o size={size} tmpfs '{folder}'")


def _within(namespace: str, before: str, *options: str) -> list[str]:
    command = ["unshare", namespace, *options, "sh", "-ec", f'{before}; exec "$@"', "sh"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        reason = f"commands cannot have their own namespace here: {tried.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return command
