"""A real PgBouncer before a private server, in transaction mode, with a pool of two connections."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import until
from postgres import PASSWORD, Server

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
logfile = {folder}/log
pidfile = {folder}/pid
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
"""


def program() -> str:
    """Path of PgBouncer. Skips if it is not installed; fails in CI."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        reason = "PgBouncer is not installed (Debian: apt-get install pgbouncer)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def bouncing(server: Server, url: str) -> Iterator[str]:
    """Run PgBouncer; yield the URL of the same database through it."""
    bouncer = program()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="pareto-pgb-"))
    (folder / "users").write_text(f'"tester" "{PASSWORD}"\n')
    (folder / "ini").write_text(SETTINGS.format(server=server.port, port=port, folder=folder))
    as_user: list[str] = []
    if os.getuid() == 0:  # PgBouncer refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
    process = subprocess.Popen(
        [*as_user, bouncer, folder / "ini"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: _answers(port) or process.poll() is not None, "PgBouncer")
        assert process.poll() is None, (folder / "log").read_text()
        yield url.replace(f":{server.port}/", f":{port}/")
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
