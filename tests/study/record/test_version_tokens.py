"""A version token changes with its record in every database; an uncertain one is None."""

import os
import time
from contextlib import ExitStack, closing

import postgres as support
import pytest
from formula import BASELINE, SPEC
from serving import done, driven

from study.record.ledger import Ledger
from study.record.version_tokens import VersionTokens
from study.service.cache import StudyCache
from study.spec import StudySpec
from trainable.contract import StudyError

ELSEWHERE = "storage.url=env:STUDY_MARKS"


@pytest.fixture
def elsewhere(postgres, monkeypatch):
    """A PostgreSQL database that the variable names."""
    monkeypatch.setenv("STUDY_MARKS", postgres.database())


@pytest.fixture
def marked():
    """Makes version tokens that are closed after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(VersionTokens()))


@pytest.fixture
def shelved():
    """Makes caches that are closed after the test."""
    with ExitStack() as stack:
        yield lambda home: stack.enter_context(closing(StudyCache(home)))


def test_every_change_in_postgresql_changes_the_version_token(tmp_path, elsewhere, marked):
    versions, other, folder = marked(), marked(), tmp_path / "mine"
    driven_ = driven(tmp_path, "mine", ELSEWHERE)
    seen = [versions.of(folder)]
    driven_.finish()
    seen.append(versions.of(folder))  # ended
    assert versions.of(folder) == other.of(folder) == seen[-1]  # and the same for everybody

    more = StudySpec.from_text(SPEC, where="test", overrides=["name=mine", ELSEWHERE, "budget.trials=7"])
    ledger = Ledger.open(more, folder, BASELINE)
    ledger.adopt(folder)  # another budget
    seen.append(versions.of(folder))
    run = ledger.claim()  # another run
    seen.append(versions.of(folder))
    ledger.renew(run)  # it lives
    seen.append(versions.of(folder))
    ledger.release(run, "interrupted")
    seen.append(versions.of(folder))
    ledger.erase()
    ledger.close()
    seen.append(versions.of(folder))  # deleted
    assert seen[-1] is None
    assert len(set(seen)) == len(seen)


def test_each_database_is_queried_once_and_delays_only_its_studies(
    tmp_path, postgres, monkeypatch, marked, shelved
):
    """One query for each database; one that is away affects only its studies and is not queried again."""
    monkeypatch.setenv("STUDY_MARKS", postgres.database())
    monkeypatch.setenv("STUDY_OTHER", postgres.database())
    folders = {
        "a": done(tmp_path, "a", ELSEWHERE, "budget.trials=1"),
        "b": done(tmp_path, "b", ELSEWHERE, "budget.trials=1"),
        "c": done(tmp_path, "c", "storage.url=env:STUDY_OTHER", "budget.trials=1"),
        "file": done(tmp_path, "file", "budget.trials=1"),
    }
    then = time.time() - 60
    os.utime(folders["file"] / "ledger.db", (then, then))
    found = marked().all(folders.values())
    assert [type(version) for version in found.values()] == [tuple] * 4
    assert len(set(found.values())) == 4

    monkeypatch.setenv("STUDY_OTHER", "postgresql://tester@127.0.0.1:1/none")
    versions = marked()
    again = versions.all(folders.values())
    assert [again[folders[name]] for name in ("a", "b", "file")] == [
        found[folders[name]] for name in ("a", "b", "file")
    ]
    assert isinstance(again[folders["c"]], StudyError)
    assert "does not answer" in str(again[folders["c"]])
    assert versions.all(folders.values())[folders["c"]] is again[folders["c"]]
    with pytest.raises(StudyError, match="does not answer"):
        versions.of(folders["c"])
    states = {summary.name: summary.state for summary in shelved(tmp_path).summaries(["a", "c"], within_s=60)}
    assert states == {"a": "complete", "c": "unreadable"}
    assert support.PASSWORD not in str(again)


def test_postgresql_study_is_read_again_only_after_a_change(tmp_path, elsewhere, monkeypatch, shelved):
    """By every instance, after a change by any process; an instance does not repeat another's reads."""
    from study.service import cache

    reads, real = [], cache._read
    monkeypatch.setattr(cache, "_read", lambda folder: reads.append(folder.name) or real(folder))
    monkeypatch.setattr(cache, "FRESH_S", 0.0)
    monkeypatch.setattr(cache, "LOOKING", 0)
    done(tmp_path, "mine", ELSEWHERE)
    here, there = shelved(tmp_path), shelved(tmp_path)
    first = here.look("mine")
    assert here.look("mine") is first
    assert there.summaries(["mine"]) == [first.summary]
    assert reads == ["mine"]
    driven(tmp_path, "mine", ELSEWHERE, "budget.trials=8").finish()
    assert here.look("mine").summary.counts.completed == 8
    assert there.summaries(["mine"], within_s=60)[0].counts.completed == 8
    assert len(reads) == 2  # the second read a note
