"""A studies folder that is read-only, as a disk is after a fault: it can be read, and nothing is lost."""

from pathlib import Path

from command import prepare, study
from elsewhere import read_only
from formula import BASELINE

from study.record.ledger import Ledger
from study.spec import StudySpec

READ_ONLY = "its folder is read-only, and reading takes a lock there: make it writable, or copy it"
REFUSALS = {
    ("run", "tiny.toml"): READ_ONLY,
    ("run", "tiny.toml", "--set", "name=new"): "studies/new: Read-only file system",
}


def test_a_read_only_folder_is_one_line_and_loses_nothing(tmp_path: Path):
    """The error advises no one to delete a sound record, and there is no traceback."""
    here = prepare(tmp_path / "here")
    folder = here / "studies/tiny"
    Ledger.open(StudySpec.load(here / "tiny.toml"), folder, BASELINE).close()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for command, message in REFUSALS.items():
        ended = study(*command, cwd=here, within=read_only(here / "studies"))
        assert (ended.code, ended.err.count("\n"), message in ended.err) == (2, 1, True), ended
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    for within in (read_only(here / "studies"), ()):
        assert study("status", "tiny", cwd=here, within=within).code == 0
