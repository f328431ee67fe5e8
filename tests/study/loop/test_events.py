"""The log of a study has every event, with its names."""

import json
import logging
from pathlib import Path

import pytest
from formula import BASELINE, SPEC, FormulaLane

from study.loop.events import LOG_FILE, Event, EventLog
from study.loop.referee import FRUITLESS_STARTS, Referee
from study.record.ledger import Ledger
from study.runtime.run import run
from study.spec import StudySpec
from trainable.contract import Fault, Held, LaneReport


@pytest.fixture
def ledger(tmp_path: Path):
    made = Ledger.open(StudySpec.from_text(SPEC, where="test"), tmp_path / "formula", BASELINE)
    yield made
    made.close()


def lines(folder: Path) -> list[dict[str, object]]:
    """The log in a study's folder."""
    return [json.loads(line) for line in (folder / LOG_FILE).read_text(encoding="utf-8").splitlines()]


def test_log_has_one_ask_lease_and_end_for_each_trial(ledger, tmp_path):
    number, lane = ledger.claim(), FormulaLane("1.0", slots=2)
    log = EventLog(tmp_path / "formula", stage="search", run=number)
    referee = Referee(ledger, number, notify=log)
    while referee.over is None:
        lane.advance(referee.exchange)
    log.close()

    events = lines(tmp_path / "formula")
    assert all(
        (line["study"], line["stage"], line["run"]) == ("formula", "search", number) for line in events
    )
    for event in ("asked", "leased", "ended"):
        assert sorted(line["trial"] for line in events if line["event"] == event) == list(range(6))
    ended = [line for line in events if line["event"] == "ended"]
    assert {(e["lane"], e["attempt"], e["epoch"], e["verdict"]) for e in ended} == {("1.0", 1, 4, "complete")}
    assert events[0]["event"] == "lane started"
    assert (events[-1]["event"], events[-1]["words"]) == ("over", "trials: 6 of 6")


def test_retry_is_logged_as_a_warning_with_attempt_and_reason(ledger):
    heard: list[Event] = []
    lane = FormulaLane("1.0")
    referee = Referee(ledger, ledger.claim(), notify=heard.append)
    lane.advance(referee.exchange)
    (trial,) = lane.leases
    fault = Held(trial, 1, 1, Fault("error", "it broke"))
    referee.exchange(LaneReport(lane.name, lane.incarnation, (fault,), free=1))
    (back,) = [event for event in heard if event.what == "went back"]
    assert (back.lane, back.trial, back.attempt) == ("1.0", trial, 1)
    assert back.words is not None
    assert "it broke" in back.words
    assert [event.attempt for event in heard if event.what == "leased"] == [1, 2]


def test_a_repeated_call_is_told_once(ledger):
    heard: list[Event] = []
    lane = FormulaLane("1.0")
    referee = Referee(ledger, ledger.claim(), notify=heard.append)
    lane.advance(referee.exchange)
    before = len(heard)
    lane.call(referee.exchange)
    lane.call(referee.exchange)
    assert len(heard) == before


def test_the_end_is_told_once_whoever_asks_again(ledger):
    heard: list[Event] = []
    referee, lane = Referee(ledger, ledger.claim(), notify=heard.append), FormulaLane("1.0")
    for _ in range(FRUITLESS_STARTS + 2):
        lane = lane.reborn()
        lane.call(referee.exchange)
    assert [event.incarnation for event in heard if event.what == "lane started"] == list(
        range(1, FRUITLESS_STARTS + 3)
    )
    assert len([event for event in heard if event.what == "over"]) == 1


def test_a_handler_of_the_users_own_hears_it_too(tmp_path, caplog):
    """Through the logger `study.events`, as with any library."""
    caplog.set_level(logging.INFO)
    log = EventLog(tmp_path, stage="search", run=1)
    log(Event(what="went back", lane="1.0", trial=3, attempt=2, words="its lane was lost"))
    log.close()
    (record,) = caplog.records
    assert (record.name, record.levelname) == (f"study.events.{tmp_path.name}", "WARNING")
    assert lines(tmp_path)[0]["level"] == "warning"


def test_a_log_that_cannot_be_opened_costs_no_study(tmp_path, capsys):
    (tmp_path / LOG_FILE).mkdir()
    log = EventLog(tmp_path, stage="search", run=1)
    log(Event(what="over", words="trials: 1 of 1"))
    log.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path / LOG_FILE}: Is a directory; lost: {{")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="wants a device that is full")
def test_what_a_full_disk_does_not_take_is_a_line_on_stderr(tmp_path, capsys):
    """There is no traceback, and closing the log raises nothing."""
    (tmp_path / LOG_FILE).symlink_to("/dev/full")
    log = EventLog(tmp_path, stage="search", run=1)
    log(Event(what="record away", words="database or disk is full"))
    log.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path / LOG_FILE}: No space left on device; lost: {{")
    assert '"words": "database or disk is full"' in line


def test_a_study_of_one_process_has_a_log_too(tmp_path):
    spec = StudySpec.preset("smoke", ["runtime.address=inline", "budget.trials=2", "train.epochs=2"])
    run(spec, tmp_path)
    events = lines(tmp_path / spec.name)
    assert [line["trial"] for line in events if line["event"] == "ended"] == [0, 1]
    assert {line["study"] for line in events} == {"smoke"}
