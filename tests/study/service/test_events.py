"""Events over HTTP and the Python client: none is missed or sent twice while services restart."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from heads import free_port
from serving import Notes, done, driven, served

from study import Client, StudySpec
from study.client import ServiceError
from study.service import cache
from study.service.schemas import News, Study
from study.service.tokens import Tokens
from study.spec import SpecError
from trainable.contract import StudyError


def test_a_client_gets_each_event_once_while_services_restart(tmp_path):
    home, port = tmp_path / "studies", free_port()
    study = driven(home, "live", "budget.trials=10", slots=3)
    study.step()
    client = Client(f"http://127.0.0.1:{port}")
    with ThreadPoolExecutor(1) as pool:
        with served(home, port=port, stream_s=0.3):
            heard = pool.submit(lambda: list(client.events("live")))
            for _ in range(8):
                study.step()
        for _ in range(3):
            study.step()  # while there is no service
        with served(home, port=port):
            study.finish()
            events = heard.result(120)
    news = [event for event in events if isinstance(event, News)]
    points = [(point.trial, point.epoch) for piece in news for point in piece.points]
    assert sorted(points) == [(trial, epoch) for trial in range(10) for epoch in range(1, 5)]
    assert sorted(end.trial for piece in news for end in piece.trials) == list(range(10))
    assert isinstance(events[-1], Study)
    assert events[-1].summary.state == "complete"


def test_a_client_waits_for_a_pending_run_but_not_for_a_failed_one(tmp_path):
    home = tmp_path / "studies"
    with served(home) as service, ThreadPoolExecutor(1) as pool:
        client = Client(service.url)
        client.post(StudySpec.preset("smoke"))
        heard = client.events("smoke")
        assert next(heard).job.state == "running"
        rest = pool.submit(list, heard)
        service.runner.stop("smoke")  # before it has begun
        assert rest.result(60)[-1].job.state == "stopped"


def test_events_continue_after_any_id_and_after_a_page(service, client):
    def told(**headers):
        text = client.get("/studies/done/events?follow=false", headers=headers).text
        blocks = [dict(line.split(": ", 1) for line in b.splitlines()) for b in text.split("\n\n") if b]
        return [block for block in blocks if block.get("event") == "news"]

    (all_,) = told()
    assert all_["id"] == "6"
    assert len(json.loads(all_["data"])["trials"]) == 6
    (rest,) = told(**{"Last-Event-ID": "2_3.2"})
    points = [(p["trial"], p["epoch"]) for p in json.loads(rest["data"])["points"]]
    assert points[:4] == [(2, 1), (2, 2), (2, 3), (2, 4)]
    assert [p for p in points if p[0] == 3] == [(3, 3), (3, 4)]
    assert told(**{"Last-Event-ID": client.get("/studies/done").json()["cursor"]}) == []
    refused = client.get("/studies/done/events", headers={"Last-Event-ID": "what"})
    assert (refused.status_code, "no cursor" in refused.json()["detail"]) == (422, True)


def test_the_client_has_every_verb(tmp_path):
    home, notes = tmp_path / "studies", Notes()
    done(home, "done", "budget.trials=3")
    with served(home, runner=notes) as service:
        client = Client(service.url)
        posted = client.post(StudySpec.preset("smoke"))
        assert client.post(StudySpec.preset("smoke").as_toml()) == posted
        path = tmp_path / "spec.toml"
        path.write_text(StudySpec.preset("smoke").as_toml())
        assert client.post(path).job.id == "smoke-1"
        assert [s.name for s in client.studies()] == ["done", "smoke"]
        assert client.study("done").summary.state == "complete"
        assert [row.trial for row in client.trials("done")] == [0, 1, 2]
        assert len(list(client.measurements("done"))) == 12
        assert client.table("done", "trials", "csv").startswith(b"trial,state,")
        assert client.table("done", "trials", "csv", offset=1, limit=1).splitlines()[1:][0].startswith(b"1,")
        assert client.stop("smoke").job.state == "stopped"
        assert client.resume("smoke").job.id == "smoke-2"
        with pytest.raises(ServiceError, match=r"409: done: is complete") as refused:
            client.resume("done")
        assert refused.value.status == 409
        with pytest.raises(ServiceError, match=r"404|422") as refused:
            client.study("no/such")
    with pytest.raises(StudyError, match="is not the address of a service"):
        Client("file:///etc/passwd")


def test_an_error_is_one_line(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    client = Client(url, patience_s=0.1)
    away = rf"^{url}: no service answers: Connection refused$"
    for asked in (client.studies, lambda: client.stop("x"), lambda: next(client.events("x"))):
        with pytest.raises(ServiceError, match=away) as refused:
            asked()
        assert refused.value.status is None
    with pytest.raises(SpecError, match=r"for a file write Path\('study.toml'\)"):
        client.post("study.toml")
    with pytest.raises(SpecError, match=r"none.toml: cannot be read as a spec: No such file"):
        client.post(tmp_path / "none.toml")
    home = tmp_path / "studies"
    done(home, "done")
    tokens = Tokens(home)
    with served(home) as service:
        for token, status, message in (
            (None, 401, "a token is needed"),
            ("study_no", 401, "this token is not known here"),
            (tokens.create("read"), 403, "this is a read token, and the request needs a write token"),
            (tokens.create("write"), 409, "is a study with another spec"),
        ):
            with pytest.raises(ServiceError, match=f"^{status}: .*{message}") as refused:
                Client(service.url, token).post(StudySpec.preset("smoke", ["name=done"]))
            assert refused.value.status == status
        with pytest.raises(ServiceError, match=r"^422: .*name: missing") as refused:
            Client(service.url, token).post("[data]\nsource = 'synthetic'\n")


def test_the_client_repeats_a_list_until_all_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.StudyCache.summaries, "__kwdefaults__", {"within_s": 0.0})
    monkeypatch.setattr(cache.StudyCache, "warm", lambda self: None)
    home = tmp_path / "studies"
    done(home, "done", "budget.trials=1")
    with served(home) as service, ThreadPoolExecutor(1) as pool:
        assert [s.state for s in Client(service.url, patience_s=0).studies()] == ["unread"]
        listed = pool.submit(Client(service.url).studies)
        Client(service.url).study("done")
        assert [s.state for s in listed.result(60)] == ["complete"]


def test_only_reading_methods_are_repeated():
    """A service that fails twice: a read is repeated; a change is sent once, and its failure raised."""
    with failing(times=2) as (url, asked):
        assert Client(url).studies() == []
        assert asked == ["GET", "GET", "GET"]
    with failing(times=2) as (url, asked):
        for change in (Client(url).stop, Client(url).resume):
            with pytest.raises(ServiceError, match="503"):
                change("x")
        with pytest.raises(ServiceError, match="has another version, its answer does not fit"):
            Client(url).post(StudySpec.preset("smoke"))
        assert asked == ["POST", "POST", "POST"]


def test_the_token_is_not_sent_to_another_host():
    with failing(times=9, status=307) as (url, asked), pytest.raises(ServiceError, match="307"):
        Client(url, "study_x").studies()
    assert asked == ["GET"]


@contextmanager
def failing(*, times: int, status: int = 503):
    """A server that refuses `times` requests with `status`, then lists no studies; yields its log, too."""
    asked = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.command)
            text = b'{"total": 0, "offset": 0, "limit": 1000, "studies": []}'
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status if len(asked) <= times else 200)
            self.send_header("Location", "http://elsewhere.invalid/")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
