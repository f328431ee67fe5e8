"""A study run from Python leaves what the command leaves; terminals, notebooks and logs show it."""

import os
import pty
import re
import sys
import termios
from pathlib import Path
from select import select

import nbclient
import nbformat
import pytest
from command import prepare, started, study, until

from study import StudySpec, run

ENDLESS = ["train.epochs=1000000", "train.evaluate_every=20"]

SCRIPT = f"""
from study import StudySpec, run

try:
    run(StudySpec.load("tiny.toml", {ENDLESS}))
except KeyboardInterrupt:
    print("the process goes on", flush=True)
"""

CELL = """
from study import StudySpec, run

outcome = run(StudySpec.load("tiny.toml", ["train.epochs=1000000", "budget.wall_time_s=6"]))
"""


def written(folder: Path) -> set[str]:
    """The files in a study's folder, without those that SQLite leaves beside an open database."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in files if not name.startswith("ledger.db-")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = prepare(tmp_path / "here")
    monkeypatch.chdir(here)
    return here


def test_a_run_from_python_writes_what_the_command_writes(here: Path):
    assert study("run", "tiny.toml", cwd=prepare(here / "command")).code == 0
    outcome = run(StudySpec.load("tiny.toml"))
    assert outcome.folder == here / "studies/tiny"
    assert outcome.report == here / "studies/tiny/report/index.html"
    assert written(outcome.folder) == written(here / "command/studies/tiny")
    outcome.report.unlink()
    again = run(StudySpec.load("tiny.toml"))
    assert (again.trained, again.report, outcome.report.is_file()) == (False, outcome.report, True)


def test_the_report_can_be_left_out_and_the_tables_are_written_all_the_same(here: Path):
    outcome = run(StudySpec.load("tiny.toml"), report=False)
    found = written(outcome.folder)
    assert outcome.report is None
    assert {"front.csv", "manifest.json", "tables/trials.parquet"} <= found
    assert not [name for name in found if name.startswith("report/")]


def test_a_manifest_says_when_and_why_the_run_ended(here: Path):
    """Tables are written after the run's end is on record."""
    outcome = run(StudySpec.load("tiny.toml"), report=False)
    manifest = (outcome.folder / "manifest.json").read_text(encoding="utf-8")
    assert re.search(r'"finished": "\d{4}-', manifest)
    assert '"reason": "trials: 4 of 4"' in manifest


def test_a_script_without_a_terminal_prints_log_lines(here: Path, monkeypatch, capsys):
    monkeypatch.setattr("study.status.live.LOG_EVERY_S", 0.01)
    run(StudySpec.load("tiny.toml"), report=False)
    shown = capsys.readouterr().out
    assert re.search(r"^tiny: .*\d+% in \d+ s.*; trials: ", shown, re.MULTILINE)
    assert "\x1b" not in shown


def test_a_script_in_a_terminal_shows_the_study_live_and_survives_two_signals(here: Path):
    """The second Ctrl-C does not end the Python process, unlike that of a command."""
    (here / "script.py").write_text(SCRIPT, encoding="utf-8")
    person, program = pty.openpty()
    termios.tcsetwinsize(program, (24, 80))
    shown = ""

    def shows(words: str) -> bool:
        nonlocal shown
        while select([person], [], [], 0)[0]:
            shown += os.read(person, 65536).decode(errors="replace")
        return words in shown

    def ended() -> bool:
        if run.running:
            os.write(person, b"\x03")
        return shows("the process goes on") or not run.running

    with started(cwd=here, terminal=program, within=(sys.executable, "script.py")) as run:
        until(lambda: shows("Front: non-dominated among"), "the live view with a front")
        assert "━━━━━━━━" in shown
        until(ended, "the end of an impatient run")
        assert shows("the process goes on")
        run.wait()
    os.close(person)
    os.close(program)


class Notebook(nbclient.NotebookClient):
    """A notebook's kernel, and the types of the messages that it sent."""

    def process_message(self, msg, cell, cell_index):
        self.sent = [*getattr(self, "sent", []), msg["msg_type"]]
        return super().process_message(msg, cell, cell_index)


@pytest.mark.long
def test_a_notebook_shows_one_bar_that_moves(here: Path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    client = Notebook(notebook, kernel_name="python3", resources={"metadata": {"path": str(here)}})
    client.execute()
    bars = [o for o in notebook.cells[0].outputs if "━━━━━━━━" in o.get("data", {}).get("text/html", "")]
    assert len(bars) == 1
    assert "Front: non-dominated among" in bars[0].data["text/plain"]
    assert "100%" in bars[0].data["text/plain"]
    assert client.sent.count("update_display_data") >= 1
    assert (here / "studies/tiny/report/index.html").is_file()
