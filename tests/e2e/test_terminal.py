"""A study in a terminal: the live view, Ctrl-C, and the lines of a log file."""

import os
import pty
import re
import termios
from collections.abc import Iterator
from pathlib import Path
from select import select

import pytest
from command import ENDLESS, prepare, started, study, until

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLUMNS, ROWS = 80, 24
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
"""The escape sequences that hide and show a terminal's cursor."""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal of 80 × 24: the person's side, the program's side."""
    person, program = pty.openpty()
    termios.tcsetwinsize(program, (ROWS, COLUMNS))
    yield person, program
    os.close(person)
    os.close(program)


def test_a_terminal_shows_the_study_live_and_passes_ctrl_c_on(tmp_path: Path, terminal: tuple[int, int]):
    here = prepare(tmp_path / "here")
    person, program = terminal
    shown = ""

    def shows(words: str) -> bool:
        nonlocal shown
        while select([person], [], [], 0)[0]:
            shown += ESCAPES.sub("", os.read(person, 65536).decode(errors="replace"))
        return words in shown

    with started(*ENDLESS, cwd=here, terminal=program) as run:
        until(lambda: shows("Front: non-dominated among"), "the live view with a front")
        assert "━━━━━━━━" in shown
        assert "tiny: searching 0 of 4 trials, 0% in " in shown
        assert "trials: 1 running" in shown
        os.write(person, b"\x03")
        until(lambda: shows("report: ") or not run.running, "the end after Ctrl-C")
        assert run.wait().code == 130
    shows("")
    assert shown.index("stopping; a second signal ends the run at once") < shown.index("stopped on request;")
    assert max(map(len, re.split(r"[\r\n]+", shown.partition("stopped on request")[0]))) <= COLUMNS


def test_a_second_ctrl_c_restores_the_terminal(
    tmp_path: Path, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    """The cursor is visible again, and the last line says how to resume."""
    monkeypatch.setenv("TERM", "xterm")  # one whose cursor can be hidden
    person, program = terminal
    shown = b""

    def shows(words: bytes) -> bool:
        nonlocal shown
        while select([person], [], [], 0)[0]:
            shown += os.read(person, 65536)
        return words in shown

    def ended() -> bool:
        if run.running:
            os.write(person, b"\x03")
        return not run.running

    with started(*ENDLESS, cwd=prepare(tmp_path / "here"), terminal=program) as run:
        until(lambda: shows(b"Front: non-dominated among"), "the live view with a front")
        until(ended, "the end of an impatient run")
        assert run.wait().code == 130
    shows(b"")
    assert b"report: " not in shown
    assert 0 < shown.rindex(HIDE) < shown.rindex(SHOW)
    assert b"interrupted; the same command resumes the study" in shown


def test_a_file_gets_plain_lines(tmp_path: Path):
    ended = study("run", "tiny.toml", "--set", "budget.trials=1", cwd=prepare(tmp_path / "here"))
    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert re.search(r"^tiny: 100% in \d+ s; trials: 1 completed$", ended.out, re.MULTILINE)
