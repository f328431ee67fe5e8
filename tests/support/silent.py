"""Servers that accept connections and never answer, as a halted one does."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


class Silent:
    """A server on loopback; `callers` are the connections that it has had, which stay open until they end."""

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
            except OSError:  # it is closed
                return

    def close(self) -> None:
        """End all of it."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for caller in self.callers:
            caller.close()


@contextmanager
def silent() -> Iterator[Silent]:
    """A silent server."""
    server = Silent()
    try:
        yield server
    finally:
        server.close()
