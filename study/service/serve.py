"""`study serve`: listen on sockets, and write the audit log to stderr."""

import logging
import os
import re
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn

from study.printable import PrintableFormatter
from study.remote import local_ray
from study.service.app import application
from study.service.connection import Connection
from study.service.runner import Jobs, NoRunnerError
from study.service.tokens import Tokens
from trainable.contract import StudyError

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
ENDING_S = 2
"""Seconds for open streams to end at shutdown; their clients reconnect."""

ROOT_PATH = re.compile("(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")

log = logging.getLogger("study.service")


def configured(app: Any, **options: Any) -> uvicorn.Config:
    """The uvicorn configuration of the application, with further `options`."""
    return uvicorn.Config(
        app,
        http=Connection,
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=ENDING_S,
        **options,
    )


def serve(
    home: Path,
    *,
    host: str,
    port: int,
    address: str | None,
    data: Path | None,
    say: Callable[[str], None],
    root_path: str = "",
) -> None:
    """Serve the studies in `home` until a signal; they run on the Ray at `address`, else on a local one.

    `root_path`, as "/x", is the path below a site at which a proxy serves it; the proxy must strip the path.
    `say` receives a line when Ray starts, when the service answers, and when Ray ends or is left running.
    StudyError if it cannot listen, or would listen beyond this machine without a token.
    """
    addresses = _addresses(host)
    outside = not all(ip_address(found.partition("%")[0]).is_loopback for _, found in addresses)
    if outside and not Tokens(home).all():
        raise StudyError(
            f"--host: {host} is open to other machines, and there is no token; create one with "
            "`study token create --scope write`, or listen on 127.0.0.1"
        )
    _check(address, root_path)
    sockets = listening(addresses, host, port)
    home.mkdir(parents=True, exist_ok=True)
    _log_to_stderr()
    if address is None:
        say("starting a Ray for these studies, unless it is running …")
    with nullcontext(address) if address is not None else local_ray.dashboard(home, say) as found:
        jobs = Jobs(found, home)
        app = application(
            home, jobs, required=outside, hosts=None if outside else (*LOCAL_NAMES, host), data=data
        )
        config = configured(app, root_path=root_path)
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{sockets[0].getsockname()[1]}{root_path}"
        with suppress(KeyboardInterrupt):  # uvicorn shuts down first, then raises the signal again
            _Server(config, partial(_greeted, jobs, url, say)).run(sockets=sockets)


def _check(address: str | None, root_path: str) -> None:
    """StudyError for an address or a root path that the service cannot have."""
    if address is not None and address != "auto" and not address.startswith(("http://", "https://")):
        raise StudyError(
            f"--address: {address!r} is no URL of a Ray dashboard; use one as in http://head:8265"
        )
    if not ROOT_PATH.fullmatch(root_path):
        raise StudyError(f"--root-path: {root_path!r} is no path below a site; write e.g. /lab/studies")


def _log_to_stderr() -> None:
    """Write the audit log, and uvicorn's lines, to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("study").setLevel(logging.INFO)


class _Server(uvicorn.Server):
    """A server that calls `ready` once it answers and handles signals."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets=sockets)
        self._ready()


def _greeted(jobs: Jobs, url: str, say: Callable[[str], None]) -> None:
    """Print the URL, and log a warning if Ray does not answer."""
    say(url)
    Thread(target=_asked, args=(jobs,), name="greeting", daemon=True).start()


def _asked(jobs: Jobs) -> None:
    try:
        jobs.last("")
    except NoRunnerError as error:
        log.warning("%s; studies can be read, but none can start until it answers", error)


def _addresses(host: str) -> list[tuple[int, str]]:
    """The addresses of `host`, each with its family. StudyError if it is no name of this machine."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no name"
        raise StudyError(f"--host: {host!r} is no address of this machine: {reason}") from error
    return list(dict.fromkeys((int(family), str(where[0])) for family, *_, where in found))


def listening(addresses: list[tuple[int, str]], host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on all `addresses`, on one port: clients wait while Ray starts."""
    made: list[socket.socket] = []
    try:
        for family, address in addresses:
            made.append(socket.create_server((address, port), family=family, backlog=2048))
            port = made[0].getsockname()[1]
    except OSError as error:
        for each in made:
            each.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StudyError(
            f"--port: cannot listen on {host}:{port} ({reason}); `--port 0` takes a free port"
        ) from error
    return made
