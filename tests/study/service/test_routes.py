"""The routes' answers agree with the record, in every format; their actions happen once."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pandas as pd
import pytest
from command import until
from formula import SPEC as FORMULA
from pandas.testing import assert_frame_equal
from serving import Notes, done, driven, served

from study.loop.confirmation import begin
from study.record.ledger import Ledger
from study.results.export import tables
from study.service.cache import StudyCache
from study.service.runner import NoRunnerError
from study.service.submission import add_study, parsed
from study.spec import SpecError, StudySpec
from study.status import snapshot

SPEC = {"name": "posted", "data": {"source": "synthetic"}, "budget": {"trials": 4}}
TOML = StudySpec.model_validate(SPEC).as_toml()


@pytest.fixture
def fresh(tmp_path):
    """A service of an empty folder, and a way in."""
    with served(tmp_path / "studies") as running, running.client() as asking:
        yield running, asking


def as_toml(text):
    return {"content": text, "headers": {"Content-Type": "application/toml"}}


# --- answers ---------------------------------------------------------------------------------------------


def test_a_study_is_shown_as_recorded(home, client):
    told = client.get("/studies/done").json()
    with closing(Ledger.read(home / "done")) as ledger:
        status = snapshot.as_dict(snapshot.snapshot(ledger))
    assert told["front"] == status["front"]
    same = ("name", "fingerprint", "state", "reason", "counts", "member_epochs", "share", "hypervolume")
    assert {key: told["summary"][key] for key in same} == {key: status[key] for key in same}
    assert (told["job"], told["lanes"], told["summary"]["left_s"]) == (None, [], None)
    assert told["growth"][-1]["hypervolume"] == status["hypervolume"]
    volumes = [step["hypervolume"] for step in told["growth"]]
    assert volumes == sorted(volumes)
    assert len(volumes) == sum(status["counts"].values())
    assert StudySpec.model_validate(told["spec"]).fingerprint == status["fingerprint"]
    assert client.get("/studies").json()["studies"] == [told["summary"]]


@pytest.mark.parametrize("name", ["trials", "measurements"])
def test_tables_equal_the_export_in_every_format(home, client, name):
    with closing(Ledger.read(home / "done")) as ledger:
        frame = getattr(tables(ledger), name)
    pages = [client.get(f"/studies/done/{name}?limit=4&offset={at}") for at in range(0, len(frame), 4)]
    links = [page.links.get("next", {}).get("url") for page in pages]
    assert links == [
        *(f"/studies/done/{name}?offset={at}&limit=4" for at in range(4, len(frame), 4)),
        None,
    ]
    rows = [row for page in pages for row in page.json()["rows"]]
    told = pd.DataFrame(rows, columns=frame.columns)
    for column in frame.select_dtypes("datetimetz"):
        told[column] = pd.to_datetime(told[column], utc=True)
    assert_frame_equal(told.astype(frame.dtypes.to_dict()), frame)
    assert {page.json()["total"] for page in pages} == {len(frame)}

    parquet = client.get(f"/studies/done/{name}", headers={"Accept": "application/vnd.apache.parquet"})
    assert_frame_equal(pd.read_parquet(io.BytesIO(parquet.content)), frame)
    csv = client.get(f"/studies/done/{name}", headers={"Accept": "text/csv;q=0.9, application/json;q=0.1"})
    assert csv.text == frame.to_csv(index=False)
    assert csv.headers["x-total-count"] == str(len(frame))


def test_an_unknown_format_is_refused(client):
    for path in ("/studies", "/studies/done", "/studies/done/trials"):
        answer = client.get(path, headers={"Accept": "image/png"})
        assert (answer.status_code, "use one of" in answer.json()["detail"]) == (406, True)


def test_lists_are_paged_by_name(tmp_path):
    home = tmp_path / "studies"
    for name in ("b", "a", "c"):
        done(home, name, "budget.trials=1")
    (home / "broken").mkdir()
    (home / "broken" / "ledger.db").write_text("nothing")
    (home / "no-study").mkdir()
    with served(home) as service, service.client() as client:

        def page_of_two():
            return client.get("/studies?offset=1&limit=2").json()

        until(lambda: all(s["state"] != "unread" for s in page_of_two()["studies"]), "both to be read")
        page = page_of_two()
        assert (page["total"], [s["name"] for s in page["studies"]]) == (4, ["b", "broken"])
        broken = page["studies"][1]
        assert (broken["state"], broken["fingerprint"]) == ("unreadable", None)
        assert client.get("/studies/broken").status_code == 503
        assert client.get("/studies/no-study").status_code == 404


def test_a_changed_study_is_read_again(tmp_path):
    home = tmp_path / "studies"
    study = driven(home, "live", "budget.trials=8")
    while len(study.ledger.records()) < 4:
        study.step()
    with served(home) as service, service.client() as client:
        told = client.get("/studies/live").json()
        assert told["summary"]["state"] == "running"
        assert [lane["lane"] for lane in told["lanes"]] == [study.lane.name]
        held = {h["trial"]: h["of"] for h in told["lanes"][0]["trials"]}
        assert held == dict.fromkeys(study.lane.leases, 4)
        study.finish()

        def state():
            return client.get("/studies/live").json()["summary"]

        until(lambda: state()["state"] == "complete", "the end")
        assert state()["counts"]["completed"] == 8


def test_a_stopped_study_has_unfinished_trials_but_no_running_ones(tmp_path):
    home = tmp_path / "studies"
    study = driven(home, "stopped", "budget.trials=8")
    while len(study.ledger.records()) < 4:
        study.step()
    study.ledger.release(study.run, "stopped on request")
    study.ledger.close()
    with served(home) as service, service.client() as client:
        summary = client.get("/studies/stopped").json()["summary"]
        assert (summary["state"], summary["counts"]["running"]) == ("stopped", 0)
        assert summary["counts"]["unfinished"] == 2
        rows = client.get("/studies/stopped/trials").json()["rows"]
        assert [row["state"] for row in rows].count("unfinished") == 2
        page = client.get("/studies/stopped", headers={"Accept": "text/html"}).text
        assert '<span class="state unfinished">unfinished</span>' in page
        assert "running" not in page


def test_a_study_whose_confirmation_was_interrupted_is_not_complete(tmp_path):
    """It does not show "complete 100 %" with half of the training to come, and says how to resume."""
    home = tmp_path / "studies"
    folder = done(home, "half", "confirm={ points = 2, replicates = 2 }")
    with closing(Ledger.read(folder)) as ledger:
        planned = len(begin(ledger, ledger.spec.confirm).plan.points)
    with served(home) as service, service.client() as client:
        told = client.get("/studies/half").json()
        summary = told["summary"]
        assert (summary["state"], summary["share"] < 1) == ("stopped", True)
        assert summary["stage"] == {
            "name": "confirming", "done": 0, "planned": planned, "unit": "points",
            "words": f"confirming 0 of {planned} points",
        }  # fmt: skip
        missing = f"search complete, 0 of {planned} points confirmed"
        assert summary["reason"].endswith(missing)
        for path in ("/studies", "/studies/half"):
            page = client.get(path, headers={"Accept": "text/html"}).text
            assert summary["stage"]["words"] in page
            assert missing in page
            assert "100" not in page.partition("<h2")[0].partition("<main")[2]
        assert '<form method="post" action="/studies/half/resume">' in page
        assert client.post("/studies/half/resume").status_code < 400
        assert service.runner.started == ["half"]


# --- actions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{"json": SPEC}, as_toml(TOML)], ids=["json", "toml"])
def test_posting_is_idempotent(fresh, body):
    service, client = fresh
    first, second = client.post("/studies", **body), client.post("/studies", **body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["location"] == "/studies/posted"
    assert first.json() == second.json() == client.get("/studies/posted").json()
    assert first.json()["summary"]["state"] == "not begun"
    assert first.json()["job"]["id"] == "posted-1"
    assert service.runner.started == ["posted"]

    other = client.post("/studies", json=SPEC | {"train": {"epochs": 3}})
    assert other.status_code == 409
    assert "train.epochs: 20 → 3" in other.json()["detail"]


def test_the_last_post_before_the_job_starts_counts(fresh):
    service, client = fresh

    def posted(trials):
        answer = client.post("/studies", json=SPEC | {"budget": {"trials": trials}})
        return answer.status_code, answer.json().get("spec", {}).get("budget")

    assert posted(4) == (201, {"trials": 4})
    assert posted(9) == (409, None)  # a job is there, which goes by 4
    assert posted(2) == (200, {"trials": 4})
    service.runner.stop("posted")  # before it had begun
    assert posted(9) == (200, {"trials": 9})
    assert posted(9) == (200, {"trials": 9})
    assert service.runner.started == ["posted", "posted"]
    assert service.runner.live["posted"][0].budget.trials == 9


def test_one_of_many_concurrent_posts_creates_the_study(fresh):
    service, _ = fresh
    with served(service.home, runner=service.runner) as another, ThreadPoolExecutor(8) as pool:
        urls = [service.url, another.url] * 8
        for url in urls[:2]:  # FastAPI resolves its routes at the first request, and two in one process warn
            assert httpx.get(f"{url}/health").status_code == 200
        answers = list(pool.map(lambda url: httpx.post(f"{url}/studies", json=SPEC, timeout=60), urls))
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert service.runner.started == ["posted"]


def test_the_next_post_starts_a_job_that_did_not_start(fresh):
    service, client = fresh
    service.runner.away = True
    assert client.post("/studies", json=SPEC).status_code == 503
    told = client.get("/studies/posted").json()
    assert (told["summary"]["state"], told["job"]["state"]) == ("not begun", "unknown")
    service.runner.away = False
    assert client.post("/studies", json=SPEC).status_code == 200
    assert service.runner.started == ["posted"]


def test_stop_and_resume(tmp_path):
    home = tmp_path / "studies"
    study = driven(home, "live", "budget.trials=50")
    study.step()
    with served(home) as service, service.client() as client:
        assert client.post("/studies/live/stop").status_code == 200
        assert study.ledger.stop_requested(study.run)
        while study.step():
            pass
        study.finish()
        told = client.post("/studies/live/stop")
        assert (told.status_code, told.json()["summary"]["state"]) == (200, "stopped")
        resumed = client.post("/studies/live/resume")
        assert (resumed.status_code, service.runner.started) == (200, ["live"])
        client.post("/studies/live/resume")
        assert service.runner.started == ["live"]


def formula(name, *overrides):
    """The body of a formula study."""
    return as_toml(
        StudySpec.from_text(FORMULA, where="test", overrides=(f"name={name}", *overrides)).as_toml()
    )


def test_only_a_larger_budget_resumes_a_study_that_has_ended(tmp_path):
    """As `study run` does; the same post again changes nothing, before its job, during it and after it."""
    home = tmp_path / "studies"
    done(home, "done")  # 6 trials, budget spent
    with served(home) as service, service.client() as client:

        def posted(*overrides):
            answer = client.post("/studies", **formula("done", *overrides))
            return answer.status_code, list(service.runner.started), answer.json()

        for less in ("budget.trials=6", "budget.trials=5", "runtime.lanes=3", "budget.member_epochs=9"):
            assert posted(less)[:2] == (200, []), less
        more = "budget.trials=8"
        status, started, told = posted(more)
        assert (status, started, told["summary"]["state"]) == (200, ["done"], "complete")
        assert (told["job"]["id"], told["spec"]["budget"]) == ("done-1", {"trials": 6})
        assert service.runner.live["done"][0].budget.trials == 8
        assert posted(more)[:2] == (200, ["done"])
        status, _, answer = posted("budget.trials=9")
        assert (status, "with a smaller budget" in answer["detail"]) == (409, True)

        going = driven(home, "done", more)  # as the job does: the record has the larger budget now
        going.step()
        until(lambda: posted(more)[2]["summary"]["state"] == "running", "the run")
        assert posted("budget.trials=9")[0] == 409
        going.finish()
        service.runner.live.clear()
        until(lambda: client.get("/studies/done").json()["summary"]["state"] == "complete", "its end")
        status, started, told = posted(more)
        assert (status, started, told["spec"]["budget"]) == (200, ["done"], {"trials": 8})
        assert sum(told["summary"]["counts"].values()) == 8
        assert posted("budget.trials=8", "confirm={}")[:2] == (200, ["done", "done"])
        service.runner.live.clear()
        status, _, answer = posted("budget.trials=9", "storage.url=env:ELSEWHERE")
        assert (status, "leave it there" in answer["detail"]) == (409, True)


def test_a_larger_budget_resumes_a_stopped_study_but_the_same_does_not(tmp_path):
    home = tmp_path / "studies"
    study = driven(home, "live", "budget.trials=50")
    study.step()
    study.ledger.release(study.run, "stopped by a user")
    with served(home) as service, service.client() as client:
        assert client.post("/studies", **formula("live", "budget.trials=50")).status_code == 200
        assert service.runner.started == []
        assert client.post("/studies", **formula("live", "budget.trials=60")).status_code == 200
        assert service.runner.started == ["live"]
        assert client.post("/studies/live/stop").json()["job"]["state"] == "stopped"  # before it has begun


def test_an_interrupted_confirmation_resumes(tmp_path):
    home = tmp_path / "studies"
    done(home, "done", "confirm={}")
    with served(home) as service, service.client() as client:
        page = client.get("/studies/done", headers={"Accept": "text/html"}).text
        assert "/studies/done/resume" in page
        assert client.post("/studies/done/resume").status_code == 200
        assert service.runner.started == ["done"]


def test_a_study_does_not_resume_before_its_last_job_ends(tmp_path):
    """After its run a job writes a report. A resume would find that job, and start none."""
    home = tmp_path / "studies"
    with served(home) as service, service.client() as client:
        service.runner.start(StudySpec.from_text(FORMULA, where="test", overrides=["name=live"]))
        study = driven(home, "live", "budget.trials=50")
        study.step()
        study.ledger.release(study.run, "stopped by a user")
        answer = client.post("/studies/live/resume")
        assert (answer.status_code, "ask again in a moment" in answer.json()["detail"]) == (409, True)
        service.runner.live.clear()
        assert client.post("/studies/live/resume").status_code == 200
        assert service.runner.started == ["live", "live"]
        assert client.post("/studies/live/resume").status_code == 200  # its job has yet to begin


def test_a_study_that_has_not_begun_is_stopped_with_its_job(fresh):
    service, client = fresh
    client.post("/studies", json=SPEC)
    told = client.post("/studies/posted/stop").json()
    assert (service.runner.live, told["job"]["state"]) == ({}, "stopped")
    assert client.post("/studies/posted/resume").status_code == 200
    assert service.runner.started == ["posted", "posted"]


def test_a_complete_study_is_not_resumed(service, client):
    answer = client.post("/studies/done/resume")
    assert (answer.status_code, "is complete" in answer.json()["detail"]) == (409, True)
    assert service.runner.started == []


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "name: missing"),
        (SPEC | {"trian": {}}, "trian: unknown key"),
        (SPEC | {"name": "../up"}, "cannot be a study's name"),
        (SPEC | {"name": "a/b"}, "cannot be a study's name"),
        (SPEC | {"name": "<b>"}, "cannot be a study's name"),
        (SPEC | {"name": "a\r\nSet-Cookie: x=y"}, "cannot be a study's name"),
        (SPEC | {"name": ".tokens"}, "cannot be a study's name"),
        (SPEC | {"data": {"source": "/etc/passwd.csv"}}, "takes no data files"),
        (SPEC | {"storage": {"url": "postgresql://inside:5432/x"}}, "may not name a database by its URL"),
        (SPEC | {"runtime": {"storage_path": "/etc"}}, "runtime.storage_path: only the operator"),
        (SPEC | {"runtime": {"home": "/etc"}}, "runtime.home: only the operator"),
        (SPEC | {"runtime": {"address": "inline"}}, "runtime.address: only the operator"),
        ([], "is not a JSON object"),
    ],
)
def test_an_invalid_spec_is_refused_with_the_reason(fresh, body, reason):
    service, client = fresh
    answer = client.post("/studies", json=body)
    assert (answer.status_code, reason in answer.json()["detail"]) == (422, True), answer.text
    assert not service.home.exists() or not any(service.home.iterdir())
    assert service.runner.started == []


@pytest.mark.parametrize(
    "text", ["{", '{"name": NaN}', '"\\ud800"', '{"name": "\\ud800"}', "[" * 50_000, "1" * 6000, "null"]
)
def test_invalid_json_is_refused(client, text):
    answer = client.post("/studies", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("content", [b"\xff", b"name = ", b"a = " + b"[" * 5000])
def test_invalid_toml_is_refused(client, content):
    assert client.post("/studies", **as_toml(content)).status_code == 422


def test_another_kind_of_body_is_refused(client):
    assert client.post("/studies", content="{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post("/studies", content="{}").status_code == 415


def test_a_failing_disk_is_reported_and_no_job_starts(fresh):
    """And not where on this machine it is."""
    service, client = fresh
    service.home.mkdir()
    (service.home / "posted").touch()  # as good as a folder that is read-only
    answer = client.post("/studies", json=SPEC)
    assert (answer.status_code, answer.json()) == (503, {"detail": "studies/posted: File exists"})
    assert service.runner.started == []


def test_data_files_must_be_in_the_data_folder(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "data-of-others.csv").touch()
    (data / "way-out.csv").symlink_to(tmp_path / "data-of-others.csv")
    inside = json.dumps(SPEC | {"data": {"source": str(data / "mine.csv")}})
    assert parsed(inside.encode(), "application/json", data=data).data.source == str(data / "mine.csv")
    relative = {
        "application/toml": TOML.replace('"synthetic"', '"mine.csv"'),
        "application/json": json.dumps(SPEC | {"data": {"source": "mine.csv"}}),
    }
    for kind, body in relative.items():
        assert parsed(body.encode(), kind, data=data).data.source == str(data / "mine.csv")
    for name in ("data-of-others.csv", "data/../data-of-others.csv", "data/way-out.csv"):
        body = json.dumps(SPEC | {"data": {"source": str(tmp_path / name)}})
        with pytest.raises(SpecError, match="outside the data folder"):
            parsed(body.encode(), "application/json", data=data)


def test_a_silent_runner_is_not_called_at_every_read(tmp_path, monkeypatch):
    """A call to a silent runner may take half a minute, and every reader would wait for it."""
    asked = []

    def last(name):
        asked.append(name)
        raise NoRunnerError("no Ray answers")

    notes = Notes()
    monkeypatch.setattr(notes, "last", last)
    home = tmp_path / "studies"
    done(home, "done")
    add_study(StudyCache(home), StudySpec.preset("smoke", ["name=waits"]))
    with served(home, runner=notes) as service, service.client() as client:
        for name in ("done", "waits", "waits", "done"):
            told = client.get(f"/studies/{name}").json()
            assert (told["job"] or {}).get("state") == {"done": None, "waits": "unknown"}[name]
        assert asked == ["done"]
        client.post("/studies/waits/resume")  # which finds that it answers again
        assert client.get("/studies/waits").json()["job"]["state"] == "running"


def test_studies_can_be_read_without_a_runner(home):
    with served(home, runner=Notes(away=True)) as service, service.client() as client:
        assert client.get("/studies/done").status_code == 200
