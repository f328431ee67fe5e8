"""The files of a report are replaced atomically: neither a reader nor a kill sees half a file."""

from collections.abc import Callable
from contextlib import ExitStack
from os import fstat
from os.path import samestat
from pathlib import Path

import pytest

from study.cli import report
from study.results import report as results
from study.runtime.run import run
from study.spec import StudySpec


def by_command(folder: Path) -> None:
    report.write([folder], folder / "report")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study."""
    spec = StudySpec.preset("smoke", ["runtime.address=inline", "budget.trials=2", "train.epochs=2"])
    return run(spec, tmp_path_factory.mktemp("files")).folder


@pytest.mark.parametrize("write", [by_command, results.write])
def test_open_file_stays_whole_when_it_is_replaced(folder: Path, write: Callable[[Path], object]):
    """A file is replaced, not truncated and rewritten."""
    write(folder)
    before = {path: path.read_bytes() for path in (folder / "report").iterdir()}
    assert {path.suffix for path in before} == {".html", ".svg", ".pdf", ".png"}
    with ExitStack() as stack:
        held = {path: stack.enter_context(path.open("rb")) for path in before}
        write(folder)
        assert {path: file.read() for path, file in held.items()} == before
        same = [path for path, file in held.items() if samestat(path.stat(), fstat(file.fileno()))]
    assert same == []
