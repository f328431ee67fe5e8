"""The middleware: limits, headers, checks of host and origin, and the audit log."""

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from serving import served

from study.service import connection, middleware
from study.service.middleware import DEFAULT_HEADERS, MOST_BODY_BYTES
from study.service.tokens import TOKENS_FILE, Tokens

EVERYWHERE = (
    "/health",
    "/studies",
    "/studies/done",
    "/studies/nothing",
    "/static/page.css",
    "/nowhere",
    "/sign-in",
)


@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_every_answer_has_the_security_headers(client, path, accept):
    headers = client.get(path, headers={"Accept": accept, "Origin": "https://elsewhere.example"}).headers
    for name, value in DEFAULT_HEADERS.items():
        assert headers[name] == value
    assert not [name for name in headers if name.startswith("access-control-")]
    assert "server" not in headers or headers["server"] == "uvicorn"


@pytest.mark.parametrize("length", [MOST_BODY_BYTES + 1, 10**12])
def test_a_long_body_is_refused_before_it_is_sent(service, length):
    answer = exchanged(
        service.url,
        f"POST /studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n",
    )
    assert answer.startswith("HTTP/1.1 413")


def test_a_long_body_in_pieces_is_refused(client):
    pieces = (b" " * 4096 for _ in range(MOST_BODY_BYTES // 4096 + 2))
    answer = client.post("/studies", content=pieces, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


# --- a body that does not come ---------------------------------------------------------------------------


def head(path: str, *lines: str) -> bytes:
    """The head of a POST whose body is yet to come."""
    fields = ("Host: localhost", "Content-Type: application/json", "Content-Length: 100", *lines)
    return "\r\n".join([f"POST {path} HTTP/1.1", *fields, "", ""]).encode()


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        yield connection


def all_of(connection: socket.socket) -> str:
    """All bytes until the connection is closed."""
    return b"".join(iter(lambda: connection.recv(65536), b"")).decode("latin-1")


@pytest.mark.parametrize("path", ["/studies", "/studies/done/stop"])
@pytest.mark.parametrize("wrong", [[], ["Authorization: Bearer study_no"]])
def test_a_request_without_a_token_is_refused_before_its_body(tmp_path, monkeypatch, path, wrong):
    """The body is not read before authentication, and the connection is closed."""
    monkeypatch.setattr(middleware, "LINGER_S", 0.01)
    Tokens(tmp_path).create("write")
    with served(tmp_path) as service, connected(service.url) as connection:
        connection.sendall(head(path, *wrong))
        answer = all_of(connection)
    assert answer.startswith("HTTP/1.1 401")
    assert "\r\nconnection: close\r\n" in answer.lower()  # else each byte that comes keeps it open


def test_a_slow_body_times_out(service, monkeypatch):
    """An idle client does not keep its connection."""
    monkeypatch.setattr(middleware, "BODY_S", 0.05)
    with connected(service.url) as connection:
        connection.sendall(head("/studies") + b'{"name": ')
        answer = all_of(connection)
    assert answer.startswith("HTTP/1.1 408")
    assert "the body did not arrive within" in answer


def test_a_slow_head_of_a_request_times_out(service, monkeypatch):
    """For the first request and a later one. Catches: a connection that stays open without a request."""
    monkeypatch.setattr(connection, "HEAD_S", 0.05)
    for sent in (b"", b"GET /health HTTP/1.1\r\nX-Slow: "):
        with connected(service.url) as first:
            first.sendall(sent)
            assert all_of(first) == ""
    with connected(service.url) as later:
        later.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert later.recv(65536).startswith(b"HTTP/1.1 200")
        later.sendall(b"GET /health HTTP/1.1\r\n")
        assert "200" not in all_of(later)


def test_a_body_that_has_arrived_keeps_the_connection(tmp_path):
    """A refused request with an unread body. Catches: a client that never receives the reason."""
    Tokens(tmp_path).create("write")
    with served(tmp_path) as service, closing(HTTPConnection(urlsplit(service.url).netloc)) as asking:
        used = set()
        for _ in range(3):
            asking.request("POST", "/studies", b" " * 100)
            assert asking.getresponse().read().startswith(b'{"detail":"a token is needed')
            used.add(asking.sock)
        assert len(used - {None}) == len(used) == 1


def test_an_answer_does_not_wait_for_an_acknowledgement(service, client):
    """Nagle's algorithm is off; it would delay a body by 40 ms until the head is acknowledged."""
    client.get("/health")
    (protocol,) = service.server.server_state.connections
    held = protocol.transport.get_extra_info("socket")
    assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# --- paths and headers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/studies/../.tokens.json",
        "/studies/..%2f..%2fetc%2fpasswd",
        "/studies/%2e%2e",
        "/studies/done/report/..%2f..%2fledger.db",
        "/studies/done/report/../../ledger.db",
        "/studies/done/report/ledger.db",
        "/static/../tokens.py",
        "/static/%2e%2e/tokens.py",
        "/static/..%5ctokens.py",
        "/studies/%00",
        "/studies/done%0d%0aSet-Cookie:%20a=b",
        "/studies/<script>alert(1)</script>",
        "/studies/.tokens.json",
    ],
)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_paths_lead_nowhere_else(service, path, accept):
    answer = exchanged(
        service.url,
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n",
    )
    status = int(answer.split(" ")[1])
    assert status in (400, 404, 422), answer
    assert "set-cookie" not in answer.lower()
    assert "<script>alert" not in answer
    assert "import " not in answer


@pytest.mark.parametrize(
    "header", ["Last-Event-ID: 1\r\n 2", "Last-Event-ID: 1\x00", "Accept: \x01", "X: \r\r\n"]
)
def test_broken_headers_are_refused_or_harmless(service, header):
    answer = exchanged(
        service.url,
        "GET /studies/done/events?follow=false HTTP/1.1\r\nHost: localhost\r\n"
        f"{header}\r\nConnection: close\r\n\r\n",
    )
    assert answer.split(" ")[1] in ("200", "400", "422"), answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_writes_from_other_sites_are_refused(service, client, headers):
    answer = client.post("/studies/done/resume", headers=headers)
    assert answer.status_code == 403
    assert client.get("/studies/done", headers=headers).status_code == 200


def test_other_host_names_are_refused(home):
    with served(home, hosts=("localhost", "127.0.0.1", "[::1]")) as service, service.client() as client:
        for host in ("127.0.0.1", "localhost:80", "[::1]", "[::1]:8300"):
            assert client.get("/health", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.", "", "[::2]:1"):
            assert client.get("/health", headers={"Host": host}).status_code == 400


def test_with_tokens_any_host_name_is_accepted(tmp_path):
    Tokens(tmp_path).create("read")
    with served(tmp_path, hosts=("localhost",)) as service, service.client() as client:
        assert client.get("/health", headers={"Host": "studies.example.org"}).status_code == 200
        (tmp_path / TOKENS_FILE).write_text("broken")
        assert client.get("/studies", headers={"Host": "studies.example.org"}).status_code == 503


def test_writes_leave_one_line_each_and_reads_none(client, caplog):
    caplog.set_level(logging.INFO, "study.audit")
    client.get("/studies/done")
    assert caplog.messages == []
    client.post("/studies/done/resume")
    client.post("/studies/x%0ay/stop")
    client.post("/studies", json={"name": "no"})
    lines = [json.loads(message) for message in caplog.messages]
    assert [len(message.splitlines()) for message in caplog.messages] == [1, 1, 1]
    assert [(e["method"], e["path"], e["status"], e["study"]) for e in lines] == [
        ("POST", "/studies/done/resume", 409, "done"),
        ("POST", "/studies/x\ny/stop", 422, None),
        ("POST", "/studies", 422, None),
    ]
    assert {e["from"] for e in lines} == {"127.0.0.1"}


def exchanged(url: str, request: str) -> str:
    """The answer to these bytes, up to the end of its first piece or of the connection."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = connection.recv(65536)
        if b"connection: close" in request.encode().lower():
            while more := connection.recv(65536):
                answer += more
    return answer.decode("latin-1")
