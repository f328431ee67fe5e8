"""What surrounds every request: a limit on its body, where it may come from, headers, a line a write."""

import json
import logging
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 * 1024
"""The longest body: a spec takes two thousand bytes."""

SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "private, no-cache",
}
"""What every answer says where its route says nothing else. None of it lets another origin read anything."""

audit = logging.getLogger("study.audit")


class Guard:
    """The application inside, guarded. `hosts` are the names it may be called by unless it is `locked`.

    Naming them keeps a web page elsewhere from reading what is open on this machine by a name of its own that
    leads here (DNS rebinding); with None it may have any. A write that a browser sends for another site is
    refused.
    """

    def __init__(
        self, app: ASGIApp, *, locked: Callable[[], bool], hosts: Collection[str] | None = None
    ) -> None:
        self._app, self._locked, self._hosts = app, locked, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse; a write leaves a line, before its answer leaves."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        noted = scope["method"] in SAFE

        async def dressed(message: Message) -> None:
            nonlocal noted
            if message["type"] == "http.response.start":
                if not noted:
                    noted = True
                    _note(scope, message["status"])
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        scope.setdefault("state", {})
        try:
            await self._answered(scope, receive, dressed)
        finally:
            if not noted:  # it raised, or who asked had gone before its body was here
                _note(scope, 500)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (refusal := self._refusal(scope)) is not None:
            await refusal(scope, receive, send)
        elif scope["method"] in SAFE:
            await self._app(scope, receive, send)
        elif (body := await _body(scope, receive)) is None:
            said = f"the body is longer than {MOST_BYTES} bytes"
            await _problem(413, said)(scope, receive, send)
        else:
            await self._app(scope, _replayed(body, receive), send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts and not self._locked():
            return _problem(400, "Host: this service does not go by that name; see `study serve --host`")
        if scope["method"] in SAFE:
            return None
        origin = headers.get("origin")
        elsewhere = origin is not None and origin.partition("://")[2] != host
        if elsewhere or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _problem(403, "Origin: only pages of this service may send this")
        return None


def _name(host: str) -> str:
    """A Host header without its port."""
    return host.rpartition(":")[0] if host.rpartition("]")[2].count(":") else host


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body; None where it is too long, and then no more of it is read."""
    declared = Headers(scope=scope).get("content-length", "")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        return None
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read again."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again


def _note(scope: Scope, status: int) -> None:
    """One line for a write, in JSON: what was asked holds no line break then, whatever it holds."""
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
