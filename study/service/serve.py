"""`study serve`: the service over a socket, with its audit on stderr."""

import logging
from ipaddress import ip_address
from pathlib import Path
from socket import gaierror, getaddrinfo

import uvicorn

from study.runtime import local
from study.service.app import application
from study.service.runner import Jobs
from study.service.tokens import Tokens
from trainable.contract import StudyError

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
ENDING_S = 2
"""How long open streams may take to end; their clients go on where they were."""


def serve(home: Path, *, host: str, port: int, address: str | None, data: Path | None) -> None:
    """Serve the studies in `home` until a signal ends it; they run on the Ray at `address`, else on one here.

    StudyError where it would listen beyond this machine with nobody kept out.
    """
    outside = not _loopback(host)
    if outside and not Tokens(home).all():
        raise StudyError(
            f"--host: {host} is open to others, and there is no token to keep them out; "
            "`study token create --scope write` makes one, or listen on 127.0.0.1"
        )
    home.mkdir(parents=True, exist_ok=True)
    url = local.dashboard(home) if address is None else address
    app = application(
        home,
        Jobs(url, home),
        required=outside,
        hosts=None if outside else (*LOCAL_NAMES, host),
        data=data,
    )
    logging.basicConfig(format="%(message)s")
    logging.getLogger("study").setLevel(logging.INFO)
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=ENDING_S,
    )


def _loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`. StudyError where it is no name of one."""
    try:
        found = {entry[4][0] for entry in getaddrinfo(host, None)}
    except gaierror as error:
        raise StudyError(f"--host: {host!r} is no address of this machine: {error.strerror}") from error
    return all(ip_address(str(address).partition("%")[0]).is_loopback for address in found)
