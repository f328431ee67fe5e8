"""Reading a study's log: every line once and whole, without control characters for a terminal."""

import json
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from formula import BASELINE, SPEC, FormulaLane
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from study.cli.app import app
from study.loop.events import LOG_FILE, Event, EventLog
from study.loop.referee import Referee
from study.loop.retries import STARTS
from study.printable import printable
from study.record.ledger import Ledger
from study.spec import StudySpec
from study.status import logs
from study.status.logs import Tail, in_words, lines
from trainable.contract import Fault, Held, LaneReport

HOSTILE = "CUDA\x1b]0;owned\x07\x1b[2J \x9b2J \u202egnp.exe\nnext line λ"


def log(folder: Path, *events: Event) -> list[str]:
    """The lines of a log with these events."""
    written = EventLog(folder, stage="search", run=1)
    for event in events:
        written(event)
    written.close()
    return (folder / LOG_FILE).read_text(encoding="utf-8").splitlines()


# --- a file that grows -----------------------------------------------------------------------------------

events = st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8")))


@given(events, st.lists(st.integers(0, 400)))
def test_every_line_comes_once_and_whole(tmp_path_factory, events, cuts):
    """No line or character is split, and no line is repeated."""
    path = tmp_path_factory.mktemp("tail") / LOG_FILE
    content = "".join(f"{line}\n" for line in events).encode()
    tail, found = Tail(path), []
    with path.open("wb", buffering=0) as file:
        for begin, end in pairwise(sorted({0, *(min(cut, len(content)) for cut in cuts), len(content)})):
            file.write(content[begin:end])
            found += tail.lines()
    tail.close()
    assert found == events


def test_late_file_and_its_successor_are_followed(tmp_path):
    """The end of the old file is read before the first line of the new one."""
    path, tail = tmp_path / LOG_FILE, Tail(tmp_path / LOG_FILE)
    assert list(tail.lines()) == []
    path.write_text("first\nsec")
    assert list(tail.lines()) == ["first"]
    old = path.rename(tmp_path / "log.1")
    with old.open("a") as file:
        file.write("ond\ntorn")
    assert list(tail.lines()) == ["second"]
    path.write_text("third\n")
    assert list(tail.lines()) == ["third"]
    assert list(tail.lines()) == []
    tail.close()


def test_a_file_that_was_cut_short_is_read_from_its_beginning(tmp_path):
    path, tail = tmp_path / LOG_FILE, Tail(tmp_path / LOG_FILE)
    path.write_text("first\nsecond\ntorn")
    assert list(tail.lines()) == ["first", "second"]
    path.write_text("third\n")
    assert list(tail.lines()) == ["third"]
    tail.close()


def test_lines_written_before_the_end_are_read(tmp_path, monkeypatch):
    """The log is read once more after the last check of the study."""
    monkeypatch.setattr(logs, "LOG_LOOK_S", 0.0)
    left = ["first\nsec", "ond\n", "last\n", "torn"]

    def over() -> bool:
        with (tmp_path / LOG_FILE).open("a") as file:
            file.write(left.pop(0))
        return not left

    assert list(lines(tmp_path, over=over)) == ["first", "second", "last"]


# --- what is shown of it ---------------------------------------------------------------------------------


@given(st.text())
def test_no_control_character_reaches_a_terminal(text):
    line = json.dumps({"words": text}, ensure_ascii=False)
    assert printable(text).isprintable()
    assert printable(line).isprintable()
    assert json.loads(printable(line)) == {"words": text}


def test_event_is_one_line_with_all_its_fields(tmp_path):
    back = Event(what="went back", lane="1.0", trial=3, attempt=2, words=HOSTILE)
    asked = Event(what="asked", trial=4, seconds=0.01234)
    ended = Event(what="over", words="trials: 6 of 6")
    shown = [in_words(line) for line in log(tmp_path, back, asked, ended)]
    stamps = [line.partition(" ")[0] for line in shown]
    assert all(stamp.endswith("Z") and "T" in stamp for stamp in stamps)
    assert [line.partition(" ")[2] for line in shown] == [
        r"warning search  went back    lane 1.0, trial 3, attempt 2: CUDA\u001b]0;owned\u0007\u001b[2J "
        r"\u009b2J \u202egnp.exe\nnext line λ",
        "info    search  asked        trial 4, seconds 0.012",
        "info    search  over         trials: 6 of 6",
    ]


@pytest.mark.parametrize("line", ['{"time": "2026-', "[]", "{}", '{"time": 1, "level": 2}', "", "no\x1b[2J"])
def test_foreign_line_is_shown_as_it_is(line):
    assert in_words(line) == printable(line)


# --- the command -----------------------------------------------------------------------------------------


@pytest.fixture
def study_(tmp_path, monkeypatch) -> Path:
    """The folder of the study "formula", run to its end; commands are called beside `studies/`."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "studies" / "formula"
    ledger = Ledger.open(StudySpec.from_text(SPEC, where="test"), folder, BASELINE)
    number, lane = ledger.claim(), FormulaLane("1.0", slots=2)
    written = EventLog(folder, stage="search", run=number)
    referee = Referee(ledger, number, notify=written)
    while referee.over is None:
        lane.advance(referee.exchange)
    written.close()
    ledger.release(number, referee.over)
    ledger.close()
    return folder


def test_people_and_machines_read_the_same_log(study_):
    there = (study_ / LOG_FILE).read_text(encoding="utf-8")
    machines = CliRunner().invoke(app, ["logs", "formula", "--json"])
    people = CliRunner().invoke(app, ["logs", "formula"])
    assert (machines.exit_code, machines.output) == (0, there)
    assert (people.exit_code, people.output.splitlines()) == (0, [in_words(x) for x in there.splitlines()])
    assert sum(" ended " in line for line in people.output.splitlines()) == 6


def test_follow_ends_if_no_driver_runs(study_):
    followed = CliRunner().invoke(app, ["logs", "formula", "--follow"])
    *events, last = followed.output.splitlines()
    assert events == [in_words(line) for line in (study_ / LOG_FILE).read_text(encoding="utf-8").splitlines()]
    assert last == "formula: its run has ended; see `study status formula`"
    asked = CliRunner().invoke(app, ["logs", "formula", "--follow", "--json"])
    assert asked.output == (study_ / LOG_FILE).read_text(encoding="utf-8")


def test_running_study_is_followed_until_ctrl_c(study_, monkeypatch):
    """The end comes from the record, because the log has that of the previous run."""

    def ctrl_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("study.status.logs.time.sleep", ctrl_c)
    with closing(Ledger.read(study_)) as ledger:
        ledger.claim()
        followed = CliRunner().invoke(app, ["logs", "formula", "--follow", "--json"])
    assert (followed.exit_code, followed.stdout) == (130, (study_ / LOG_FILE).read_text(encoding="utf-8"))


def test_a_study_without_a_log_says_so(study_):
    (study_ / LOG_FILE).unlink()
    asked = CliRunner().invoke(app, ["logs", "formula", "--json"])
    assert (asked.exit_code, asked.stdout) == (0, "")
    assert asked.stderr == "formula: has no log yet; a run writes it\n"


def test_no_command_prints_control_characters_of_a_trials_error(study_):
    spec = StudySpec.from_text(SPEC, where="test", overrides=["budget.trials=7"])
    with closing(Ledger.open(spec, study_, BASELINE)) as ledger:
        written, lane = EventLog(study_, stage="search", run=2), FormulaLane("2.0")
        referee = Referee(ledger, ledger.claim(), notify=written)
        lane.advance(referee.exchange)
        (trial,) = lane.leases
        for attempt in range(1, STARTS["error"] + 1):
            raised = Held(trial, attempt, 0, Fault("error", HOSTILE))
            referee.exchange(LaneReport(lane.name, lane.incarnation, (raised,), free=1))
        written.close()
    for words in (["logs", "formula"], ["logs", "formula", "--json"], ["status", "formula"]):
        shown = CliRunner().invoke(app, words).output
        assert "gnp.exe" in shown
        assert shown.replace("\n", "").isprintable()


def test_unknown_study_and_conflicting_options_are_refused(study_):
    unknown = CliRunner().invoke(app, ["logs", "nobody"])
    assert str(unknown.exception) == "no study 'nobody' here; studies here: formula"
    both = CliRunner().invoke(app, ["logs", "formula", "--follow", "--address", "http://head:8265"])
    assert "`study submit SPEC --address URL`" in str(both.exception)
