"""Servers that accept connections and never answer, like a halted one."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


class Silent:
    """A server on loopback; `callers` are its connections, which stay open until `close`."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.callers: list[socket.socket] = []
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                self.callers.append(self._socket.accept()[0])
            except OSError:  # closed
                return

    def close(self) -> None:
        """Close the server and its connections."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for caller in self.callers:
            caller.close()


@contextmanager
def silent() -> Iterator[Silent]:
    """Run a silent server."""
    server = Silent()
    try:
        yield server
    finally:
        server.close()
