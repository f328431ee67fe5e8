"""A record is read again when, and only when, it may have changed; a report's page keeps its own policy."""

import asyncio
import os
import time
from base64 import b64encode
from hashlib import sha256

import pytest
from serving import done, driven

from analysis.report.html import page
from study.record.version_tokens import VersionTokens
from study.service import cache, reports
from study.service.accept import chosen
from study.service.cache import NoStudyError, StudyCache
from study.service.reports import policy
from trainable.contract import StudyError


@pytest.fixture
def reads(monkeypatch):
    """The names of the studies that are read."""
    names, real = [], cache._read
    monkeypatch.setattr(cache, "_read", lambda folder: names.append(folder.name) or real(folder))
    monkeypatch.setattr(cache, "FRESH_S", 0.0)
    monkeypatch.setattr(cache, "LOOKING", 0)
    return names


def aged(folder, seconds):
    """As if the record had been written so long ago."""
    then = time.time() - seconds
    os.utime(folder / "ledger.db", (then, then))


def test_a_record_that_did_not_change_is_read_once(tmp_path, reads):
    folder = done(tmp_path, "done")
    aged(folder, 60)
    kept = StudyCache(tmp_path)
    first = kept.look("done")
    assert kept.look("done") is first
    assert kept.summaries(["done"]) == [first.summary]
    assert reads == ["done"]
    aged(folder, 30)  # written since
    assert kept.look("done") is not first
    assert reads == ["done", "done"]


def test_a_stamp_of_this_moment_is_not_trusted(tmp_path, reads):
    done(tmp_path, "done")
    kept = StudyCache(tmp_path)
    kept.look("done")
    kept.look("done")
    assert reads == ["done", "done"]


def test_a_running_study_is_read_again_because_its_run_may_die(tmp_path, reads):
    study = driven(tmp_path, "live")
    study.step()
    study.ledger.close()
    aged(tmp_path / "live", 60)
    kept = StudyCache(tmp_path)
    assert kept.look("live").summary.state == "running"
    kept.look("live")
    assert reads == ["live", "live"]


def test_only_the_last_studies_are_kept_in_full(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(cache, "STUDIES_KEPT", 1)
    for name in ("a", "b"):
        aged(done(tmp_path, name, "budget.trials=1"), 60)
    kept = StudyCache(tmp_path)
    for name in ("a", "b", "a"):
        kept.look(name)
    assert reads == ["a", "b", "a"]
    assert [summary.name for summary in kept.summaries(["a", "b"], within_s=60)] == ["a", "b"]
    assert reads == ["a", "b", "a"]


def test_a_new_service_reads_only_changed_records(tmp_path, reads):
    """The summary file of an earlier service is valid while the record's version token is the same."""
    folders = [done(tmp_path, name, "budget.trials=1") for name in ("a", "b")]
    for folder in folders:
        aged(folder, 60)
    told = [StudyCache(tmp_path).look(name).summary for name in ("a", "b")]
    assert StudyCache(tmp_path).summaries(["a", "b"], within_s=60) == told
    assert reads == ["a", "b"]
    aged(folders[1], 30)
    assert StudyCache(tmp_path).summaries(["a", "b"], within_s=60) == told
    assert reads == ["a", "b", "b"]
    (folders[0] / ".summary.json").write_text("torn")
    assert StudyCache(tmp_path).summaries(["a"], within_s=60) == told[:1]
    assert reads == ["a", "b", "b", "a"]


def test_a_list_returns_cached_summaries_after_its_time_limit(tmp_path, reads):
    """A study never read is "unread"; among the others, the oldest entry is read first."""
    for name in ("a", "b"):
        done(tmp_path, name, "budget.trials=1")  # just now, so no stamp is trusted
    kept = StudyCache(tmp_path)
    assert [s.state for s in kept.summaries(["a", "b"], within_s=0.0)] == ["unread", "unread"]
    assert reads == []
    kept.look("b")
    kept.look("a")
    assert [s.state for s in kept.summaries(["a", "b"], within_s=0.0)] == ["complete", "complete"]
    assert reads == ["b", "a"]
    kept.summaries(["a", "b"], within_s=60)
    assert reads == ["b", "a", "b", "a"]


def test_a_study_whose_spec_cannot_be_read_is_listed_with_the_reason(tmp_path):
    """Its record may be in a database that nothing else names."""
    done(tmp_path, "whole", "budget.trials=1")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "study.toml").write_text("name = ")
    kept = StudyCache(tmp_path)
    torn, whole = kept.summaries(kept.names(), within_s=60)
    assert (torn.name, torn.state, whole.state) == ("torn", "unreadable", "complete")
    assert "torn/study.toml" in torn.reason
    with pytest.raises(StudyError, match=r"study\.toml"):
        kept.look("torn")


def test_studies_can_be_read_on_a_read_only_disk(tmp_path, reads, monkeypatch, caplog):
    aged(done(tmp_path, "a"), 60)
    (tmp_path / "a" / ".summary.json").mkdir()  # as good as a disk that is full
    assert StudyCache(tmp_path).look("a").summary.state == "complete"
    assert ".summary.json" in caplog.text


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "nothing", ".hidden", "a\0"])
def test_an_unknown_name_has_no_folder(tmp_path, name):
    with pytest.raises(NoStudyError):
        StudyCache(tmp_path).folder(name)


def test_the_policy_of_a_report_is_its_own():
    text = page("mine", [])
    (script,) = (part.partition("</script>")[0] for part in text.split("<script>")[1:])
    header = policy(text)
    assert header.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert header.endswith("; frame-ancestors 'none'")
    assert b64encode(sha256(script.encode()).digest()).decode() in header


def test_a_report_is_made_again_only_if_its_record_changed(tmp_path, monkeypatch):
    """Figures take seconds. A page that is older than the record is good for half a minute all the same."""
    folder, made = done(tmp_path, "done"), []

    async def make(folder):
        made.append(folder)
        (folder / "report").mkdir(exist_ok=True)
        (folder / "report" / "index.html").write_text(f"page {len(made)}")

    monkeypatch.setattr(reports, "_made", make)

    def page():
        return asyncio.run(reports.Reports(VersionTokens()).page(folder))

    aged(folder, 60)
    assert (page(), page()) == ("page 1", "page 1")
    monkeypatch.setattr(reports, "STALE_S", 0.0)
    (folder / "report" / "index.html").touch()
    os.utime(folder / "report" / "index.html", (0, 0))  # older than the record, but made of it is
    assert page() == "page 1"
    aged(folder, 30)
    assert page() == "page 2"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/*;q=0.5, application/json;q=0.4", "text/html"),
        ("text/html;q=0, */*", "application/json"),
        ("TEXT/HTML; Q=1", "text/html"),
        ("image/png", None),
        ("application/json;q=what", None),
        (",,;", None),
    ],
)
def test_the_preferred_form_is_chosen(accept, form):
    assert chosen(accept, ("application/json", "text/html")) == form
