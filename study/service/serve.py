"""`study serve`: the service over a socket, with its audit on stderr."""

import logging
import os
import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
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
"""How long open streams may take to end; their clients go on where they were."""

ROOT_PATH = re.compile("(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")

log = logging.getLogger("study.service")


def configured(app: Any, **options: Any) -> uvicorn.Config:
    """The configuration of uvicorn for the application, with more of its `options`."""
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
    said: Callable[[str], None],
    root_path: str = "",
) -> None:
    """Serve the studies in `home` until a signal ends it; they run on the Ray at `address`, else on one here.

    With a `root_path`, as "/x", it serves below that path of a site; the proxy must strip the path.
    `said` gets a line for each event: Ray starts, the URL answers, Ray has ended or is left running.
    StudyError where it would listen beyond this machine without tokens, or cannot listen there.
    """
    addresses = _addresses(host)
    outside = not all(ip_address(found.partition("%")[0]).is_loopback for _, found in addresses)
    if outside and not Tokens(home).all():
        raise StudyError(
            f"--host: {host} is open to others, and there is no token to keep them out; "
            "`study token create --scope write` makes one, or listen on 127.0.0.1"
        )
    if address is not None and address != "auto" and not address.startswith(("http://", "https://")):
        raise StudyError(
            f"--address: {address!r} is no URL of a Ray dashboard; use one as in http://head:8265"
        )
    if not ROOT_PATH.fullmatch(root_path):
        raise StudyError(f"--root-path: {root_path!r} is no path below a site; write e.g. /studies-of-us")
    sockets = listening(addresses, host, port)
    home.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(handlers=[_stderr()])
    logging.getLogger("study").setLevel(logging.INFO)
    with _ray(home, said) if address is None else nullcontext(address) as found:
        jobs = Jobs(found, home)
        app = application(
            home, jobs, required=outside, hosts=None if outside else (*LOCAL_NAMES, host), data=data
        )
        config = configured(app, root_path=root_path)
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{sockets[0].getsockname()[1]}{root_path}"
        with suppress(KeyboardInterrupt):  # uvicorn ends in order, and passes the signal on
            _Server(config, partial(_greeted, jobs, url, said)).run(sockets=sockets)


def _stderr() -> logging.Handler:
    """The handler of all log lines of the service, uvicorn's included."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    return handler


def _ray(home: Path, said: Callable[[str], None]) -> AbstractContextManager[str]:
    """The URL of the Ray for the studies in `home`, on this machine."""
    said("starting a Ray on this machine, unless the one of these studies runs …")
    return local_ray.dashboard(home, said)


class _Server(uvicorn.Server):
    """A server that calls `ready` once it answers and handles signals."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets=sockets)
        self._ready()


def _greeted(jobs: Jobs, url: str, said: Callable[[str], None]) -> None:
    """Print the URL, and a warning where no Ray answers; studies can still be read."""
    said(url)
    Thread(target=_asked, args=(jobs,), name="greeting", daemon=True).start()


def _asked(jobs: Jobs) -> None:
    try:
        jobs.last("")
    except NoRunnerError as error:
        log.warning("%s; studies here can be read, and none begins until it answers", error)


def _addresses(host: str) -> list[tuple[int, str]]:
    """The addresses of `host`, each with its family. StudyError where it is no name of this machine."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no name"
        raise StudyError(f"--host: {host!r} is no address of this machine: {reason}") from error
    return list(dict.fromkeys((int(family), str(where[0])) for family, *_, where in found))


def listening(addresses: list[tuple[int, str]], host: str, port: int) -> list[socket.socket]:
    """Sockets that listen there, all on one port: who comes while Ray starts waits."""
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
            f"--port: {host}:{port} cannot be listened on ({reason}); is another service there? `--port 0` "
            "takes a free one"
        ) from error
    return made
