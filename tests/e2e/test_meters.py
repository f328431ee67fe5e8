"""A study on Ray, as a Prometheus sees it: the numbers at Ray's own endpoint are those on record."""

import json
import urllib.request
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from command import until
from prometheus_client.parser import text_string_to_metric_families as families

from study.loop.events import LOG_FILE, Event
from study.record.backends.backend import DatabaseAwayError
from study.record.ledger import Ledger
from study.record.reader import Reader
from study.runtime import actor, prometheus, tune
from study.runtime.prometheus import EventMetrics
from study.runtime.run import run
from study.spec import StudySpec
from study.status.snapshot import snapshot

SPEC = """
name = "metered"
[data]
source = "synthetic"
[train]
epochs = 4
dim = 8
hidden = 8
[search]
sampler = "random"
[budget]
trials = 5
"""


@pytest.fixture
def endpoint():
    """The URL of the metrics of a Ray of this test's own."""
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="CRITICAL",
        _system_config={"metrics_report_interval_ms": 500},
    )
    (node,) = ray.nodes()
    yield f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    ray.shutdown()


def samples(endpoint: str) -> dict[str, dict[str, float]]:
    """The study's metrics at the endpoint: by name without Ray's prefix, by the label `state` or ""."""
    with urllib.request.urlopen(endpoint, timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, dict[str, float]] = {}
    for family in families(text):
        for name, labels, value, *_ in family.samples:
            if labels.get("study") == "metered" and labels.get("stage") == "search":
                key = labels.get("state", labels.get("le", ""))
                found.setdefault(name.removeprefix("ray_"), {})[key] = value
    return found


@pytest.mark.long
@pytest.mark.ray
def test_the_endpoint_says_what_the_record_says(endpoint: str, tmp_path: Path) -> None:
    run(StudySpec.from_text(SPEC, where="test", overrides=["runtime.meters=true"]), tmp_path)
    folder = tmp_path / "metered"
    events = [json.loads(line) for line in (folder / LOG_FILE).read_text(encoding="utf-8").splitlines()]
    assert sorted(line["trial"] for line in events if line["event"] == "ended") == list(range(5))
    seen = snapshot(Ledger.read(folder))
    until(lambda: samples(endpoint).get("study_member_epochs"), "the study's meters")
    until(lambda: samples(endpoint)["study_member_epochs"][""] == 20, "the record's last word", 30)
    found = samples(endpoint)
    assert found["study_trials"] | {"unfinished": 0} == seen.counts
    assert found["study_hypervolume"][""] == pytest.approx(seen.front.hypervolume, abs=1e-12)
    assert found["study_ask_seconds_count"][""] == 5
    assert found["study_ask_seconds_bucket"]["+Inf"] == 5
    assert "study_lane_restarts_total" not in found


@pytest.mark.long
@pytest.mark.ray
def test_a_lane_that_starts_again_is_counted_and_one_that_starts_is_not(endpoint: str) -> None:
    heard = EventMetrics("metered", "search")
    for incarnation in (1, 2, 3):
        heard(Event(what="lane started", lane="1.0", incarnation=incarnation))
    until(lambda: "study_lane_restarts_total" in samples(endpoint), "the counter")
    until(lambda: samples(endpoint)["study_lane_restarts_total"][""] == 2, "both restarts", 30)


@pytest.mark.parametrize("asked", [False, True])
def test_a_study_is_metered_where_its_spec_asks_for_it(tmp_path: Path, monkeypatch, asked: bool) -> None:
    """Without `runtime.meters` the open endpoint names no study."""
    made: list[str] = []
    monkeypatch.setattr(tune, "export_gauges", lambda *_: made.append("gauges") or nullcontext())
    monkeypatch.setattr(actor, "EventMetrics", lambda *_: made.append("counts") or (lambda _event: None))
    overrides = ["runtime.address=inline", *(["runtime.meters=true"] if asked else [])]
    folder = run(StudySpec.from_text(SPEC, where="test", overrides=overrides), tmp_path).folder
    with closing(Ledger.read(folder)) as ledger, tune._metered(ledger, folder):
        actor.referee(folder, "search", 1, 60.0, meters=ledger.spec.runtime.meters)
    assert made == (["gauges", "counts"] if asked else [])


def test_a_record_is_metered_once_its_database_is_back(tmp_path: Path, monkeypatch) -> None:
    """The run continues without its database and is metered afterwards."""
    seen: list[Reader] = []
    folder = run(
        StudySpec.from_text(SPEC, where="test", overrides=["runtime.address=inline"]), tmp_path
    ).folder
    read, away = Reader.read, [True, True]

    def read_late(*arguments, **named):
        if away:
            away.pop()
            raise DatabaseAwayError("the server does not answer")
        return read(*arguments, **named)

    monkeypatch.setattr(Reader, "read", read_late)
    monkeypatch.setattr(prometheus, "EXPORT_EVERY_S", 0.01)
    monkeypatch.setattr(prometheus, "RecordGauges", lambda *_: SimpleNamespace(show=seen.append))
    with prometheus.export_gauges(folder, "search"):
        until(lambda: seen, "what the record says")
    assert not away
