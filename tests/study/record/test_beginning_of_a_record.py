"""After a kill at any statement of creating a study, the next run creates it (law 5)."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from cut import CutError, counted
from formula import BASELINE, SPEC

from study.record.backends import sqlite
from study.record.ledger import Ledger
from study.record.reader import Reader
from study.spec import StudySpec
from trainable.contract import StudyError


def begin(folder):
    return Ledger.open(StudySpec.from_text(SPEC, where="test"), folder, BASELINE)


def test_a_beginning_that_was_cut_off_is_begun_by_the_next_run(tmp_path):
    """An unfinished record does not count as a study."""
    with counted(None) as sent:
        begin(tmp_path / "whole/formula").close()
    assert sent[0] > 50
    for most in range(0, sent[0], 7):
        folder = tmp_path / str(most) / "formula"
        with pytest.raises(CutError), counted(most):
            begin(folder)
        ledger = begin(folder)
        assert ledger.records() == []
        assert ledger.baseline == BASELINE
        ledger.close()


def test_a_record_lies_in_its_folder_whatever_that_is_called(tmp_path):
    """A character of URLs in a folder's name does not move the record."""
    folders = [tmp_path / name / "formula" for name in ("a?b", "a?c", "a", "a%41", "aA", "a#b", "ä ö", "{a}")]
    for folder in folders:
        ledger = begin(folder)
        ledger.ask()
        assert [path.name for path in folder.parent.iterdir()] == ["formula"]
        ledger.close()
        assert {path.name for path in folder.iterdir()} == {"ledger.db", "study.toml"}
    for folder in folders:
        for read in (Reader.read(folder), Ledger.read(folder)):
            assert len(read.records()) == 1
            read.close()
    assert {path.name for path in tmp_path.iterdir()} == {folder.parent.name for folder in folders}


def test_processes_that_begin_a_study_together_share_its_record(tmp_path):
    """The second process uses the tables of the first and does not replace them."""
    start = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    with start as pool:
        found = [
            f.result() for f in [pool.submit(fingerprint_and_claim, tmp_path / "formula") for _ in range(2)]
        ]
    assert sorted(found) == ["already being run", "claimed"]


def fingerprint_and_claim(folder):
    """Result of opening and claiming the study, in a process that stays alive for the other's attempt."""
    ledger = begin(folder)
    try:
        ledger.claim()
    except StudyError as error:
        return "already being run" if "already being run" in str(error) else str(error)
    return "claimed"


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "cifs"])
def test_no_record_is_begun_on_a_network_file_system(kind, tmp_path, monkeypatch):
    """SQLite's locks do not hold there. Catches: one that is noticed after trials were lost."""
    folder, mounts = tmp_path / "shared" / "formula", tmp_path / "mounts"
    mounts.write_text(f"/dev/root / ext4 rw 0 0\nserver:/home {tmp_path / 'shared'} {kind} rw 0 0\n")
    monkeypatch.setattr(sqlite.file_system, "__defaults__", (mounts,))
    with pytest.raises(StudyError, match=rf"network file system \({kind}\).* storage\.url"):
        begin(folder)
    assert not list(folder.rglob("*.db"))
    begin(tmp_path / "local/formula").close()
