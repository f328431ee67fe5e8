"""A connection of the service, without Nagle's delay and with a timeout for the head of a request."""

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 20.0
"""The longest time for the head of a request, from the connection or its first byte."""


class Connection(H11Protocol):
    """uvicorn's connection without Nagle's algorithm; closes if the head of a request does not arrive.

    asyncio disables Nagle's algorithm only for sockets that name their protocol; ours do not, and each body
    would wait 40 ms for the client's delayed acknowledgement of the head.
    """

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set up the connection of a client."""
        super().connection_made(transport)
        if (found := transport.get_extra_info("socket")) is not None and found.family != socket.AF_UNIX:
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Receive data from the client."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the connection."""
        super().connection_lost(exc)
        if self._late is not None:
            self._late.cancel()

    def _watch(self) -> None:
        """Start the timeout of the next head unless it runs; cancel it while a request is handled."""
        if not self._waits():
            if self._late is not None:
                self._late.cancel()
            self._late = None
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_S, self._end)

    def _waits(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _end(self) -> None:
        self._late = None
        if self._waits():
            self.timeout_keep_alive_handler()
