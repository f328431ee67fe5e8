"""Commands that run a command elsewhere: on another host, on a read-only or small disk, as another user."""

import os
import subprocess
from itertools import count
from pathlib import Path

import pytest

USERS = count(1_000_000 + 100 * os.getpid())
"""Numbers of users, each for one command: the processes of a user share a limit."""


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


def another_user(folder: Path, *, processes: int) -> list[str]:
    """As a user without a name, whose home is the existing `folder`, with a limit of processes and threads.

    It can read every file, because the interpreter may be in root's home. Skips if this user cannot become
    another; fails in CI.
    """
    user = next(USERS)
    read = "-all,+dac_read_search"
    limited = ["prlimit", f"--nproc={processes}:{processes}"]
    becoming = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    reading = [f"--inh-caps={read}", f"--ambient-caps={read}", "env", f"HOME={folder}"]
    command = _tried([*limited, *becoming, *reading])
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)
    return command


def _within(namespace: str, before: str, *options: str) -> list[str]:
    return _tried(["unshare", namespace, *options, "sh", "-ec", f'{before}; exec "$@"', "sh"])


def _tried(command: list[str]) -> list[str]:
    """The command, if it works here."""
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        reason = f"commands cannot run elsewhere here: {tried.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return command
