"""A private Ray that other users of the machine cannot reach: loopback, a token, a folder of mode 0700.

By default Ray listens on every interface, writes a world-readable token into `~/.ray`, and makes its
temporary folder world-writable.
"""

import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from study.printable import printable
from study.runtime import temporary
from trainable.contract import StudyError

HERE = "127.0.0.1"
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Keeps other machines from joining this Ray, on any system. Otherwise Ray replaces 127.0.0.1."""

SHARED = "/tmp"  # noqa: S108 - we make our own folder in it
LONGEST_SOCKET = 107
"""Largest length of a Unix socket's path on Linux, in bytes."""

BELOW = "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""The longest path of a socket that Ray makes inside our folder."""

log = logging.getLogger("study.runtime")


def folder() -> Path:
    """Make a folder for Ray's files that only this user may enter; its path is short enough for sockets.

    It is in the folder for temporary files, or in /tmp if that path is too long. StudyError if neither works.
    """
    places = list(dict.fromkeys((gettempdir(), SHARED)))
    short = [place for place in places if _fits(place)]
    if not short:
        raise StudyError(f"TMPDIR: {places[0]} is too long a path for Ray's sockets; name a shorter folder")
    if short[0] != places[0]:
        place = printable(places[0])
        log.warning("TMPDIR: %s is too long a path for Ray's sockets; Ray uses %s", place, short[0])
    try:
        return temporary.make(short[0])
    except OSError as error:
        raise StudyError(
            f"TMPDIR: Ray's files cannot be written to {short[0]}: {error.strerror}; name another folder"
        ) from error


def _fits(place: str) -> bool:
    return len(os.fsencode(f"{place}/{temporary.PREFIX}abcdefgh{BELOW}")) <= LONGEST_SOCKET


@contextmanager
def private() -> Iterator[Mapping[str, Any]]:
    """The arguments of `ray.init` for a Ray that only this user reaches. Restores the environment.

    Ray reads the environment when it is imported; this function makes Ray read it again, here and at the end.
    """
    from ray._private import ray_constants

    made, before = folder(), dict(os.environ)
    cluster = ray_constants.ENABLE_RAY_CLUSTER
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        os.environ.update(LOOPBACK | token)
        ray_constants.ENABLE_RAY_CLUSTER = False
        _authentication_read()
        yield {"_node_ip_address": HERE, "_temp_dir": str(made / "ray")}
    finally:
        for name in (*LOOPBACK, *token):
            _put_back(name, before.get(name))
        ray_constants.ENABLE_RAY_CLUSTER = cluster
        _authentication_read()
        shutil.rmtree(made, ignore_errors=True)


def check_private(addresses: list[str]) -> None:
    """Raise StudyError if a node of a private Ray listens beyond loopback."""
    for address in addresses:
        if not ip_address(address).is_loopback:
            raise StudyError(
                f"runtime.address: this version of Ray listens on {address}, open to others; use "
                'another version of Ray, or address = "inline"'
            )


def _authentication_read() -> None:
    raylet = import_module("ray._raylet")  # compiled, without types
    raylet.Config.initialize("")  # first: a thread of Ray may still need the token
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def _put_back(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
