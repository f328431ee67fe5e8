"""A real Chromium without a network, and axe-core, which checks the accessibility of a page."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from platformdirs import user_cache_path
from playwright.sync_api import Browser, sync_playwright

AXE = "4.14.1"
NAMES = ("chromium", "chromium-browser", "google-chrome")
LONG = pytest.mark.long
LOOKS = (
    (1280, "light"),
    (390, "dark"),
    pytest.param(1280, "dark", marks=LONG),
    pytest.param(390, "light", marks=LONG),
)
"""Window widths and colour schemes: `make test` has each once, `make long` the other two pairs."""
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def absent(reason: str) -> NoReturn:
    """Skip the test for this reason; fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def browser() -> Iterator[Browser]:
    """The installed Chromium, headless."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        absent("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield started
        finally:
            started.close()


def axe() -> str:
    """The source of axe-core, which npm downloads once into the user's cache folder."""
    folder = user_cache_path("pareto-study-tests") / f"axe-core-{AXE}"
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not source.is_file():
        _fetch(folder)
    return source.read_text(encoding="utf-8")


def _fetch(folder: Path) -> None:
    """Install axe-core into the folder."""
    npm = shutil.which("npm")
    if npm is None:
        absent("npm is not installed (Debian: apt-get install npm)")
    command = [npm, "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run([*command, f"axe-core@{AXE}"], capture_output=True, text=True)
    if done.returncode:
        absent(f"npm could not install axe-core {AXE}: {done.stderr.strip()[-300:]}")
