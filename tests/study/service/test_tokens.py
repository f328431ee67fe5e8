"""Authentication: every route with every kind of token, and the storage of tokens."""

import hmac
import inspect
import json
import logging
import re
import stat
from datetime import timedelta
from itertools import product

import pytest
from serving import done, served
from starlette.routing import Mount

from study.service import tokens as token_module
from study.service.app import application
from study.service.cache import StudyCache
from study.service.submission import add_study
from study.service.tokens import TOKENS_FILE, Tokens, span
from study.spec import StudySpec
from trainable.contract import StudyError

OPEN = {("GET", "/health"), ("GET", "/"), ("GET", "/sign-in"), ("POST", "/sign-in"), ("POST", "/sign-out")}
READS = {
    ("GET", "/openapi.json"),
    ("GET", "/studies"),
    ("GET", "/studies/{name}"),
    ("GET", "/studies/{name}/trials"),
    ("GET", "/studies/{name}/measurements"),
    ("GET", "/studies/{name}/events"),
    ("GET", "/studies/{name}/report"),
    ("GET", "/studies/{name}/report/"),
    ("GET", "/studies/{name}/report/{file}"),
}
WRITES = {
    ("POST", "/studies"),
    ("POST", "/studies/{name}/stop"),
    ("POST", "/studies/{name}/resume"),
}
GIVEN = ("none", "expired", "other", "revoked", "read", "write")
EXPECTED = {
    "open": dict.fromkeys(GIVEN),
    "reads": {"none": 401, "expired": 401, "other": 401, "revoked": 401, "read": None, "write": None},
    "writes": {"none": 401, "expired": 401, "other": 401, "revoked": 401, "read": 403, "write": None},
}
"""The expected status; None is any but a refusal."""

ROUTES = [
    *(("open", *route) for route in sorted(OPEN)),
    *(("reads", *route) for route in sorted(READS)),
    *(("writes", *route) for route in sorted(WRITES)),
]


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A service with tokens, and one of each kind."""
    home = tmp_path_factory.mktemp("locked") / "studies"
    done(home, "done")
    add_study(StudyCache(home), StudySpec.preset("smoke", ["name=waits"]))
    tokens = Tokens(home)
    given = {
        "none": None,
        "expired": tokens.create("write", expires=timedelta(microseconds=1)),
        "other": Tokens(home.parent / "elsewhere").create("write"),
        "revoked": tokens.create("write"),
        "read": tokens.create("read"),
        "write": tokens.create("write"),
    }
    assert tokens.revoke(given["revoked"].split("_")[1])
    with served(home, required=True, stream_s=0.1) as running:
        yield running, given


def test_the_table_has_every_route(tmp_path):
    app = application(tmp_path, None)
    routes = {
        (method, path)
        for path, operations in app.openapi()["paths"].items()
        for method in map(str.upper, operations)
    }
    mounted = [route.path for route in app.routes if isinstance(route, Mount)]
    assert routes == OPEN | READS | WRITES
    assert mounted == ["/static"]


@pytest.mark.parametrize(("needs", "method", "path"), ROUTES)
def test_each_route_requires_its_scope(locked, needs, method, path):
    service, given = locked
    where = path.format(name="done", file="front.svg")
    if path.endswith("/events"):
        where += "?follow=false"
    if path.endswith("report/"):
        where = where.replace("done", "nothing")  # a report takes seconds
    with service.client(headers={"Accept": "application/json"}) as client:
        for kind, way in product(GIVEN, ("Authorization", "Cookie")):
            token = given[kind]
            prefix = "Bearer " if way == "Authorization" else "study_token="
            headers = {} if token is None else {way: prefix + token}
            body = {"content": b"{}"} if method == "POST" else {}
            answer = client.request(method, where, headers=headers, **body)
            expected = EXPECTED[needs][kind]
            if expected is not None:
                assert answer.status_code == expected, (kind, way)
                assert set(answer.json()) == {"detail"}
                assert ("www-authenticate" in answer.headers) == (expected == 401)
            elif (method, path) != ("POST", "/sign-in"):  # which is where an empty form is no token
                assert answer.status_code not in (401, 403), (kind, way, answer.text)


def test_a_browser_signs_in_and_out(locked):
    service, given = locked
    page = {"Accept": "text/html"}
    with service.client(headers=page) as browser:
        asked = browser.get("/studies/done")
        assert (asked.status_code, 'action="/sign-in"' in asked.text) == (401, True)
        assert 'value="/studies/done"' in asked.text
        assert (
            browser.post("/sign-in", data={"token": "study_no", "here": "/studies/done"}).status_code == 401
        )
        signed = browser.post("/sign-in", data={"token": given["read"], "here": "/studies/done"})
        assert (signed.status_code, signed.headers["location"]) == (303, "/studies/done")
        cookie = signed.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert browser.get("/studies/done").status_code == 200
        assert browser.post("/studies/done/stop").status_code == 403
        browser.post("/sign-out")
        assert browser.get("/studies/done").status_code == 401


@pytest.mark.parametrize("here", ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\nb"])
def test_signing_in_does_not_redirect_to_other_sites(locked, here):
    service, given = locked
    with service.client() as browser:
        answer = browser.post("/sign-in", data={"token": given["read"], "here": here})
    assert answer.headers["location"] == "/studies"


def test_without_tokens_this_machine_is_open_until_there_is_one(tmp_path):
    with served(tmp_path / "studies") as service, service.client() as client:
        assert client.get("/studies").status_code == 200
        token = Tokens(service.home).create("read")
        assert client.get("/studies").status_code == 401
        assert client.get("/studies", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        Tokens(service.home).revoke(token.split("_")[1])
        assert client.get("/studies").status_code == 200


def test_beyond_this_machine_a_token_is_required_after_all_are_revoked(tmp_path):
    with served(tmp_path / "studies", required=True) as service, service.client() as client:
        assert client.get("/studies").status_code == 401


def test_only_a_hash_is_kept_and_only_for_its_user(tmp_path):
    token = Tokens(tmp_path).create("write", label="CI")
    secret = re.fullmatch(r"study_[0-9a-f]{8}_([A-Za-z0-9_-]{43})", token)[1]
    text = (tmp_path / TOKENS_FILE).read_text()
    assert secret not in text
    assert stat.S_IMODE((tmp_path / TOKENS_FILE).stat().st_mode) == 0o600
    (entry,) = json.loads(text)
    assert (entry["scope"], entry["label"], entry["expires"]) == ("write", "CI", None)


def test_a_token_is_valid_at_every_instance_at_once(tmp_path):
    here, there = Tokens(tmp_path), Tokens(tmp_path)
    assert there.all() == []
    token = here.create("read")
    found = there.find(token)
    assert found.may("read")
    assert not found.may("write")
    assert there.find(token[:-1] + ("A" if token[-1] != "A" else "B")) is None
    assert there.find("study_00000000_" + "A" * 43) is None
    here.revoke(found.id)
    assert there.find(token) is None


def test_every_secret_is_compared_once_and_in_constant_time(tmp_path, monkeypatch):
    """A known id, an unknown one and no token at all cost one comparison each, of hashes of one length."""
    compared, real = [], hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or real(a, b))
    tokens = Tokens(tmp_path)
    good = tokens.create("read")
    for text in (good, good[:-1], good[:-1] + "!", "study_00000000_" + "A" * 43, "", "x" * 10_000):
        tokens.find(text)
    assert compared == [(64, 64)] * 6
    source = inspect.getsource(token_module)
    assert " == token.hash" not in source
    assert "hash ==" not in source


@pytest.mark.parametrize("text", ["", "0d", "30", "d", "-1d", "1.5h", "1y", "30 d", "999999d"])
def test_an_invalid_time_is_refused(text):
    with pytest.raises(StudyError, match="--expires"):
        span(text)


def test_a_broken_file_of_tokens_refuses_every_request(tmp_path):
    with served(tmp_path) as service, service.client() as client:
        (tmp_path / TOKENS_FILE).write_text("[{}]")
        answer = client.get("/studies")
        assert answer.status_code == 503
        assert "holds no tokens" in answer.json()["detail"]
        (tmp_path / TOKENS_FILE).unlink()
        (tmp_path / TOKENS_FILE).mkdir()  # equivalent to an unreadable file
        for path in ("/studies", "/sign-in"):
            answer = client.post(path) if path == "/sign-in" else client.get(path)
            assert (answer.status_code, "every request is refused" in answer.text) == (503, True)


def test_a_read_token_gets_pages_without_buttons(locked):
    service, given = locked
    pages = {}
    for scope in ("read", "write"):
        headers = {"Accept": "text/html", "Authorization": f"Bearer {given[scope]}"}
        with service.client(headers=headers) as browser:
            pages[scope] = browser.get("/studies/waits").text
    assert 'action="/studies/waits/resume"' in pages["write"]
    assert "/resume" not in pages["read"]


def test_the_audit_names_the_token_and_never_its_secret(locked, caplog):
    service, given = locked
    caplog.set_level(logging.INFO, "study.audit")
    with service.client() as client:
        for kind in ("read", "write", "expired", "other"):
            headers = {"Authorization": f"Bearer {given[kind]}"}
            client.post("/studies/done/resume", headers=headers)
    lines = [json.loads(message) for message in caplog.messages]
    own = {kind: given[kind].split("_")[1] for kind in ("read", "write")}
    assert [(line["token"], line["status"]) for line in lines] == [
        (None, 403), (own["write"], 409), (None, 401), (None, 401)
    ]  # fmt: skip
    assert not any(token.split("_", 2)[2] in caplog.text for token in given.values() if token)
