"""The service as it is used: a real `study serve`, studies as jobs on its Ray, a real Chromium, and kills."""

import json
import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random

import pytest
from browser import browser
from command import DEADLINE_S, measured, started, study, until, with_pid
from documents import blocks
from heads import free_port
from serving import done

from study import Client, StudySpec
from study.client import ServiceError
from study.record.ledger import Ledger
from study.service.schemas import News
from study.service.serve import serve
from trainable.contract import StudyError

PAGE = "docs/service.md"


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.browser
@pytest.mark.timeout(900)
def test_a_study_is_posted_watched_and_read_while_the_service_is_killed(tmp_path):
    """Post a smoke study, watch it finish live, open the report; the service dies three times meanwhile. A
    larger budget, posted to two services at once, resumes it in one job. Then the page's example.
    """
    port, chance = free_port(), Random(8)
    (shown,) = blocks(PAGE, "sh service")
    (create,) = re.findall(r"^study (token create .+?) +#", shown.text, re.MULTILINE)
    token = study(*create.split(), cwd=tmp_path).out.strip()
    client = Client(f"http://127.0.0.1:{port}", token)
    serving = ("serve", "--port", str(port))
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        service = stack.enter_context(started(*serving, cwd=tmp_path))
        until(lambda: answers(client), "the service", 120)
        page = stack.enter_context(browser()).new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1e3 * DEADLINE_S)
        page.goto(f"http://127.0.0.1:{port}/studies")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()

        spec = StudySpec.preset("smoke", ["name=watched", "runtime.lanes=1", "train.epochs=60"])
        assert client.post(spec).summary.state == "not begun"
        assert client.post(spec).job.id == "watched-1"
        heard = pool.submit(lambda: list(client.events("watched")))
        page.goto(f"http://127.0.0.1:{port}/studies/watched")
        ledger = tmp_path / "studies" / "watched" / "ledger.db"
        until(ledger.is_file, "the first run", 240)
        for _ in range(3):
            page.wait_for_timeout(chance.uniform(500, 3000))
            with_pid(service.process.pid, signal.SIGKILL)
            service.process.wait()
            service = stack.enter_context(started(*serving, cwd=tmp_path))
            until(lambda: answers(client), "the service again", 120)
        until(lambda: page.title() == "watched: complete", "its end on the page", 400)
        until(lambda: page.locator("#trials tbody tr").count() == 8, "all trials on the page")
        page.screenshot(path=tmp_path / "complete.png", full_page=True)

        events = heard.result(120)
        page.get_by_role("link", name="Report").click()
        assert page.locator(".kind").inner_text().lower() == "pareto report"
        until(lambda: page.locator("figure svg").count() > 3, "the report's figures")
        page.screenshot(path=tmp_path / "report.png")

        with closing(Ledger.read(ledger.parent)) as record:
            points = [(p.trial, p.epoch) for p in record.points()]
            (run,) = record.runs()
        assert run.reason == "trials: 8 of 8"
        news = [event for event in events if isinstance(event, News)]
        assert sorted((p.trial, p.epoch) for n in news for p in n.points) == points
        assert sorted(end.trial for n in news for end in n.trials) == list(range(8))
        assert len(points) == 8 * 60

        until(lambda: client.study("watched").job is None, "the end of its job, which writes a report too")
        other = stack.enter_context(started("serve", "--port", "0", cwd=tmp_path))
        until(lambda: other.printed("http://"), "another service of the same folder")
        another = Client(other.out_text.split()[-1], token)
        larger = spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": 10})})
        with ThreadPoolExecutor(2) as both:
            posted = list(both.map(lambda asked: asked.post(larger), (client, another)))
        assert {study.job.id for study in posted} == {"watched-2"}
        rest = list(another.events("watched", after=posted[0].cursor))
        assert sorted(end.trial for n in rest if isinstance(n, News) for end in n.trials) == [8, 9]
        assert rest[-1].summary.reason == "trials: 10 of 10"
        assert client.post(larger).summary.state == "complete"

        (python,) = blocks(PAGE, "python service")
        exec(compile(python.text, PAGE, "exec"), {"url": f"http://127.0.0.1:{port}", "token": token})
        assert client.study("smoke").summary.state == "complete"
        assert [s.name for s in client.studies()] == ["smoke", "watched"]


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_the_ray_of_a_service_ends_with_it_unless_studies_run_there(tmp_path):
    """No Ray keeps running after a user has only viewed a study."""
    with ExitStack() as stack:
        idle = stack.enter_context(started("serve", "--port", "0", cwd=tmp_path))
        until(lambda: idle.printed("http://"), "the service", 240)
        beside = stack.enter_context(started("serve", "--port", "0", cwd=tmp_path))
        until(lambda: beside.printed("http://"), "another service of the same folder", 240)
        (pid,) = idle.titled("ray.scripts.scripts")
        beside.process.send_signal(signal.SIGINT)
        ended = beside.wait()
        assert (ended.code, ended.err) == (0, ""), ended
        assert ended.out.splitlines()[-1].endswith(f"another service uses it; `kill {pid}` ends it")
        idle.process.send_signal(signal.SIGTERM)
        ended = idle.wait()
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.splitlines()[-1] == "the Ray of these studies has ended"
        until(lambda: not idle.descendants(), "the end of all that it started")

        busy = stack.enter_context(started("serve", "--port", "0", cwd=tmp_path))
        until(lambda: busy.printed("http://"), "the service again", 240)
        client = Client(busy.out_text.split()[-1])
        client.post(StudySpec.preset("smoke", ["name=endless", "runtime.lanes=1", "train.epochs=1000000"]))
        folder = tmp_path / "studies" / "endless"
        until(lambda: measured(folder), "the first measurement", 240)
        busy.process.send_signal(signal.SIGINT)
        ended = busy.wait()
        assert ended.code == 0, ended
        line = ended.out.splitlines()[-1]
        assert line.startswith("the Ray of these studies keeps running: jobs run on it (endless); ")
        before = measured(folder)
        until(lambda: measured(folder) > before, "the study, which goes on")
        (kill,) = re.findall(r"`(kill \d+)`", line)
        subprocess.run(kill.split(), check=True)
        until(lambda: not busy.descendants(), "the end of Ray and the study")


def answers(client: Client) -> bool:
    """True if the service answers."""
    try:
        client._open("/health", "application/json").close()
    except OSError:
        return False
    return True


def test_it_does_not_listen_beyond_this_machine_without_a_token(tmp_path):
    refused = {
        "0.0.0.0": "is open to other machines, and there is no token",
        "::": "is open to other machines, and there is no token",
        "no.such.host.invalid": "is no address of this machine",
        "a..b": "is no address of this machine",
    }
    for host, message in refused.items():
        with pytest.raises(StudyError, match=message):
            serve(tmp_path, host=host, port=0, address=None, data=None, say=print)
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_reported_before_ray_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = study("serve", "--port", port, cwd=tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert f"--port: cannot listen on 127.0.0.1:{port} (Address already in use)" in ended.err
    wrong = study("serve", "--port", "0", "--address", "head:8265", cwd=tmp_path)
    assert (wrong.code, "'head:8265' is no URL of a Ray dashboard" in wrong.err) == (2, True)
    assert not (tmp_path / "studies").exists()


def test_a_silent_head_is_reported_and_studies_can_be_read(tmp_path):
    done(tmp_path / "studies", "done")
    away = f"http://127.0.0.1:{free_port()}"
    with started("serve", "--port", "0", "--address", away, cwd=tmp_path) as service:
        until(lambda: service.printed("http://127.0.0.1:"), "its address")
        url = service.out_text.strip()
        client = Client(url, patience_s=0)
        assert client.study("done").summary.state == "complete"
        with pytest.raises(ServiceError, match=f"503: {away}: no Ray answers there"):
            client.post(StudySpec.preset("smoke"))
        assert client.study("smoke").job.state == "unknown"
        until(lambda: "none can start until it answers" in service.err_text, "its warning")
        service.send(signal.SIGTERM)
        ended = service.wait()
    assert "Traceback" not in ended.err
    audit = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    assert [(line["path"], line["study"], line["status"]) for line in audit] == [("/studies", "smoke", 503)]


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['fastapi'] = None\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    ended = study("serve", cwd=tmp_path)
    assert ended.code == 2
    assert ended.err.strip() == "StudyError: study serve: needs fastapi; pip install 'pareto-study[service]'"


def test_tokens_are_made_shown_and_revoked(tmp_path):
    token = study("token", "create", "--scope", "read", "--expires", "30d", "--label", "CI", cwd=tmp_path).out
    number = re.fullmatch(r"study_([0-9a-f]{8})_.{43}\n", token)[1]
    shown = study("token", "list", cwd=tmp_path).out
    assert number in shown
    assert token.split("_", 2)[2].strip() not in shown
    assert "…" not in shown
    assert study("token", "revoke", number, cwd=tmp_path).out == f"{number}: revoked\n"
    again = study("token", "revoke", number, cwd=tmp_path)
    assert (again.code, "no token" in again.err) == (2, True)
    wrong = study("token", "create", "--scope", "all", cwd=tmp_path)
    assert (wrong.code, "use read or write" in wrong.err) == (2, True)
