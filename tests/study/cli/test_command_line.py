"""The usual services of a command line: help, the version, and completion."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from command import STUDY, study
from typer.testing import CliRunner

from study.cli.app import COMMANDS, app

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
LINES = [
    [],
    *([name] for name in COMMANDS),
    ["token"],
    *(["token", name] for name in ("create", "list", "revoke")),
]


def completed(line: str, cwd: Path) -> list[str]:
    """Completions that Bash receives for the last word of a line."""
    asked = {"_STUDY_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = subprocess.run(
        [STUDY], cwd=cwd, env=os.environ | asked, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_run_without_a_spec_prints_its_help_and_starts_nothing(tmp_path: Path):
    """A user who wants to see the options starts no study."""
    ended = study("run", cwd=tmp_path)
    assert ended.code == 2
    assert "Usage: study run" in ended.out + ended.err
    assert "--set" in ended.out + ended.err
    assert list(tmp_path.iterdir()) == []

    lacking = study("run", "--set", "budget.trials=1", cwd=tmp_path)
    assert lacking.code == 2
    assert "Missing argument 'SPEC'" in lacking.err
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_that_of_the_package(tmp_path: Path):
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1]
    ended = study("--version", cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, f"study {version}\n", "")


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_h_is_help(words: list[str]):
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.output) == (0, long.output)
    assert "Usage:" in ESCAPES.sub("", short.output)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_for_a_shell(shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run within the shell, because the command detects the shell that called it."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    shown = study("--show-completion", shell, cwd=tmp_path)
    assert shown.code == 0
    assert "_STUDY_COMPLETE" in shown.out
    installed = study("--install-completion", shell, cwd=tmp_path)
    assert installed.code == 0, installed
    scripts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_STUDY_COMPLETE" in script for script in scripts)


def test_a_shell_completes_commands_and_names(tmp_path: Path):
    for name in ("mine", "smoke", "other"):
        (tmp_path / "studies" / name).mkdir(parents=True)
        (tmp_path / "studies" / name / "study.toml").touch()
    (tmp_path / "studies" / "no-study").mkdir()
    assert completed("study st", tmp_path) == ["stop", "status"]
    assert completed("study run ", tmp_path) == ["mine", "other", "smoke", "ml100k", "ps1"]
    assert completed("study run m", tmp_path) == ["mine", "ml100k"]
    assert completed("study submit p", tmp_path) == ["ps1"]
    assert completed("study run ./specs/m", tmp_path) == []  # the shell's own completion of paths
    for command in ("front", "status", "report", "confirm", "stop", "delete", "pick"):
        assert completed(f"study {command} ", tmp_path) == ["mine", "other", "smoke"]
    assert completed("study report mine o", tmp_path) == ["other"]
