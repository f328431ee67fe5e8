"""Calls to this machine, and calls in plain HTTP with a token, bypass the environment's proxies."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import ray

from study.client import Client
from study.remote import local_ray
from study.remote.direct import direct
from study.remote.ray_client import connected

RAY = {"ray_version": ray.__version__, "version": "4", "ray_commit": "0"}


@contextmanager
def answering(answer: object) -> Iterator[tuple[str, list[str | None]]]:
    """A server that answers everything with this JSON: its URL, and the tokens that it received."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str | None]]:
    """Tokens received by a proxy that the environment names and that answers 200 to everything."""
    with answering(RAY | {"studies": [], "total": 0, "offset": 0, "limit": 1}) as (url, seen):
        for name in ("no_proxy", "NO_PROXY", "RAY_AUTH_MODE", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, url)
        yield seen


def test_client_reaches_a_local_service_directly(proxied: list[str | None]):
    """No proxy reads a bearer token."""
    with answering({"studies": [], "total": 0, "offset": 0, "limit": 1}) as (url, seen):
        assert Client(url, "secret").studies() == []
    assert (seen, proxied) == (["Bearer secret"], [])


def test_local_ray_is_reached_directly(
    proxied: list[str | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """No proxy logs the token of a Ray, and a proxy's answer does not count as a Ray's."""
    with answering(RAY) as (url, seen):
        connected(url)
        (tmp_path / local_ray.RAY_TOKEN_FILE).write_text("secret")
        assert local_ray._answers(url, tmp_path)
        assert seen[-1] == "Bearer secret"
    assert not local_ray._answers(url, tmp_path)
    with answering({"status": "fine"}) as (url, _):
        assert not local_ray._answers(url, tmp_path)
    assert proxied == []


@pytest.mark.parametrize(
    ("url", "token", "past"),
    [
        ("http://127.0.0.1:8265", False, True),
        ("http://127.8.9.1:8265", False, True),
        ("http://[::1]:8265", False, True),
        ("https://localhost:8300/below", False, True),
        ("http://head:8265", True, True),
        ("http://head:8265", False, False),
        ("https://studies.example.org", True, False),
    ],
)
def test_calls_that_bypass_a_proxy(url: str, token: bool, past: bool):
    """A proxy of HTTPS sees no token, and may be the only way out."""
    assert direct(url, token=token) is past
