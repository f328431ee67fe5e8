"""Untrusted text reaches a terminal as text: it cannot clear, colour or reorder anything."""

import logging
from io import StringIO
from types import SimpleNamespace

from command import study
from rich.console import Console

from study.printable import PrintableFormatter, printable_lines
from study.remote import commands
from study.remote.result import CommandResult
from study.service.tokens import Tokens

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.\u2066\r"
"""It clears the screen, names the window, colours, turns the reading round, and begins the line again."""

OBEYED = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u061c\u200e\u200f"}
OBEYED |= {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
OBEYED -= {"\n", "\t"}
"""C0 and C1 controls and those of bidirectional text."""


def obeyed(output: str) -> set[str]:
    """The control characters in a text."""
    return set(output) & OBEYED


def test_every_character_that_a_terminal_obeys_is_escaped():
    """No control character passes, and readable text stays as it is."""
    assert obeyed(printable_lines("".join(map(chr, range(0x3000))))) == set()
    kept = "λ – é 日本 ٣\tone\n\u00a0two\u202f"
    assert printable_lines(kept) == kept
    assert printable_lines("a\udc80") == "a\\udc80"


def test_names_of_folders_and_labels_of_tokens_are_text(tmp_path):
    """`list`, `token list` and errors escape untrusted text."""
    home = tmp_path / "studies"
    (home / f"x{EVIL}").mkdir(parents=True)
    (home / f"x{EVIL}" / "ledger.db").write_text("nothing")
    (home / "torn").mkdir()
    (home / "torn" / "study.toml").write_text(
        f'name = "torn"\n"{EVIL.encode("unicode_escape").decode()}" = 1\n'
    )
    Tokens(home).create("read", label=f"[red]ann{EVIL}")
    (tmp_path / f"b{EVIL}.backup").write_text("nothing")
    for words in (
        ["list"],
        ["status", "nobody"],
        ["token", "list"],
        ["restore", f"b{EVIL}.backup"],
        ["run", f"./{EVIL}.toml"],
        ["status", EVIL],
    ):
        ended = study(*words, cwd=tmp_path)
        assert obeyed(ended.out + ended.err) == set(), words
        assert "\\u001b[2J" in ended.out + ended.err, words
        assert "Traceback" not in ended.err


def test_what_a_head_says_is_text(monkeypatch, capsys):
    """Its answers and a job's log, in a terminal and not. Catches: a head that writes to our terminal."""
    head = SimpleNamespace(ask=lambda *_, **__: CommandResult(2, f"out{EVIL}\n", f"err{EVIL}\n", {}))
    monkeypatch.setattr(commands, "_head", lambda _: head)
    commands.ask("http://head:8265", ["list"])
    commands._show([f"one{EVIL}\n", "two\n"], Console(file=StringIO()))
    printed = capsys.readouterr()
    assert obeyed(printed.out + printed.err) == set()
    assert (printed.out.count("\\u001b[2J"), printed.err.count("\\u001b[2J")) == (2, 1)
    terminal = StringIO()
    commands._show([f"one{EVIL}\n"], Console(file=terminal, force_terminal=True, width=200))
    assert "\\u001b[2J" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()


def test_a_log_line_is_text():
    record = logging.LogRecord("study.service", logging.WARNING, "", 0, "%s: gone", (EVIL,), None)
    assert obeyed(PrintableFormatter("%(message)s").format(record)) == set()
