"""Middleware of every request: limits of its body, checks of its origin, headers, an audit log of writes."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 64 * 1024
"""The longest body; a spec takes about 2,000 bytes."""

BODY_S, LINGER_S = 20.0, 1.0
"""The longest time for a body; the longest wait of an answer for an unread body."""

TOO_LONG = f"the body is longer than {MOST_BODY_BYTES} bytes"
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DEFAULT_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "private, no-cache",
}
"""Default headers of every answer. They let no other origin read it."""

audit = logging.getLogger("study.audit")


class Middleware:
    """Guards the application. Unless it is `locked`, a request must name one of `hosts`; None allows any.

    The check of the host prevents DNS rebinding: a web page whose own host name resolves to this machine
    could read the open service. A write that a browser sends for another site is refused.
    """

    def __init__(
        self, app: ASGIApp, *, locked: Callable[[], bool], hosts: Collection[str] | None = None
    ) -> None:
        self._app, self._locked, self._hosts = app, locked, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse a request; a write is logged before its answer is sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        noted = scope["method"] in SAFE
        body = _Body(scope, receive)

        async def dressed(message: Message) -> None:
            nonlocal noted
            if message["type"] == "http.response.start":
                if not noted:
                    noted = True
                    _note(scope, message["status"])
                headers = MutableHeaders(scope=message)
                for name, value in DEFAULT_HEADERS.items():
                    headers.setdefault(name, value)
                if not await body.lingered():
                    headers["Connection"] = "close"
            await send(message)

        scope.setdefault("state", {})
        try:
            refusal = self._refusal(scope)
            if refusal is None and body.too_long:
                refusal = _problem(413, TOO_LONG)
            await (refusal or self._app)(scope, body, dressed)
        finally:
            if not noted:  # an exception, or the client left before its body was complete
                _note(scope, 500)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts and not self._locked():
            return _problem(400, "Host: this is no name of the service; see `study serve --host`")
        if scope["method"] in SAFE:
            return None
        origin = headers.get("origin")
        elsewhere = origin is not None and origin.partition("://")[2] != host
        if elsewhere or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _problem(403, "Origin: only pages of this service may send this request")
        return None


def _name(host: str) -> str:
    """A Host header without its port."""
    return host.rpartition(":")[0] if host.rpartition("]")[2].count(":") else host


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)


class _Body:
    """A request's body as it comes, with limits on its length and its time.

    It is read only after authentication: a request without a token does not wait for its body.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "0")
        self.too_long = declared.isdigit() and int(declared) > MOST_BODY_BYTES
        self._whole = declared == "0" and "transfer-encoding" not in headers
        self._refused = self.too_long or "expect" in headers
        self._receive, self._left = receive, MOST_BODY_BYTES
        self._until = time.monotonic() + BODY_S

    async def __call__(self) -> Message:
        """The next piece. HTTPException 413, 408 or 400 if the body is too long, too slow, or cut off."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._until - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise self._refusal(408, f"the body did not arrive within {BODY_S:.0f} s") from None
        if message["type"] == "http.disconnect":
            raise self._refusal(400, "the body was cut off")
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise self._refusal(413, TOO_LONG)
        self._whole = not message.get("more_body", False)
        return message

    async def lingered(self) -> bool:
        """True if the body is complete within LINGER_S; else the connection takes no further request."""
        self._until = min(self._until, time.monotonic() + LINGER_S)
        try:
            while not (self._whole or self._refused):
                await self()
        except HTTPException:
            return False
        return self._whole

    def _refusal(self, status: int, detail: str) -> HTTPException:
        self._refused = True
        return HTTPException(status, detail)


def _note(scope: Scope, status: int) -> None:
    """Log a write as one line of JSON, which escapes line breaks in the request."""
    client = scope.get("client")
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "token": scope["state"].get("token"),
        "study": scope["state"].get("study"),
        "from": client[0] if client else None,
    }
    audit.info("%s", json.dumps(entry))
