"""A head that cannot be used is named in one line, whatever answers at its address."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import socket
from threading import Thread

import pytest
import ray

from study.remote import ray_client
from study.remote.jobs import Head
from trainable.contract import StudyError

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word of Ray's in the environment."""
    for name in (*ray_client.OVERRIDING, "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def serving(body: str, code: int = 200) -> Iterator[str]:
    """The address of a server that gives the same answer to everything."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Same) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def refusal(address: str) -> str:
    with pytest.raises(StudyError) as caught:
        Head(address)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("address", ["head:8265", "ray://head:10001", "", "ftp://head"])
def test_address_that_is_no_url_is_refused(address: str):
    assert "http://head:8265" in refusal(address)


@pytest.mark.parametrize(("body", "code"), [("<html>", 200), ("", 404), ("{}", 200), ("[]", 200), ("", 500)])
def test_server_that_is_no_ray_is_refused(body: str, code: int):
    with serving(body, code) as address:
        assert "is not the dashboard of a Ray" in refusal(address)


@pytest.mark.parametrize(("code", "word"), [(401, "required"), (403, "failed")])
def test_missing_or_wrong_token_is_reported(code: int, word: str):
    with serving("Unauthorized", code) as address:
        message = refusal(address)
    assert f"Authentication {word}" in message
    assert "RAY_AUTH_TOKEN_PATH" in message


def test_another_version_is_refused():
    with serving('{"ray_version": "2.3.1"}') as address:
        assert f"runs Ray 2.3.1, this machine {ray.__version__}" in refusal(address)


def test_closed_port_is_reported():
    with socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert "Connection refused" in refusal(f"http://127.0.0.1:{closed.getsockname()[1]}")


def test_silent_head_times_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray_client, "RESPONSE_S", 0.2)
    with socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "timed out" in refusal(f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("variable", ray_client.OVERRIDING)
def test_overriding_variable_is_reported(variable: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(variable, "http://other:8265")
    assert f"--address: {variable} is set, " in refusal("http://head:8265")
