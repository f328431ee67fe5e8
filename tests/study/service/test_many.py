"""A list of many studies: read or unread, in files or in one database. `tests/benchmarks` times it."""

import shutil
import sqlite3
from contextlib import closing
from threading import Event, Thread

import psycopg
import pytest
from command import until
from serving import done, renamed, served

from study.record.version_tokens import VersionTokens
from study.service import cache
from study.service.cache import Look, StudyCache
from study.spec import StudySpec

MANY = 100
SPEC = StudySpec.preset("smoke")
COPIES = """
INSERT INTO studies (study_id, study_name) SELECT 1000 + k, 's' || lpad(k::text, 3, '0') FROM many;
INSERT INTO study_directions (direction, study_id, objective)
    SELECT direction, 1000 + k, objective FROM study_directions, many;
INSERT INTO study_user_attributes (study_id, key, value_json)
    SELECT 1000 + k, key, replace(value_json, 's000', 's' || lpad(k::text, 3, '0'))
    FROM study_user_attributes, many;
INSERT INTO study_system_attributes (study_id, key, value_json)
    SELECT 1000 + k, key, value_json FROM study_system_attributes, many;
INSERT INTO trials (trial_id, number, study_id, state)
    SELECT 100000 + 100 * k + number, number, 1000 + k, state FROM trials, many;
INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT 100000 + 100 * k + number, key, value_json
    FROM trials JOIN trial_user_attributes USING (trial_id), many WHERE study_id = 1;
INSERT INTO measurements
    SELECT 1000 + k, trial, replicate, epoch, ranking_loss, rating_loss, joint_loss, mrr, mrr_all, mse, wall_s
    FROM measurements, many;
INSERT INTO runs (study, host, kernel, pid, born, started, renewed, heard, stop, ended, reason)
    SELECT 1000 + k, host, kernel, pid, born, started, renewed, heard, stop, ended, reason FROM runs, many;
"""
"""The one study of a database, copied: driving each would take minutes."""


def in_files(home):
    made = done(home, "s000")
    with closing(sqlite3.connect(made / "ledger.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(1, MANY):
        renamed(shutil.copytree(made, home / f"s{number:03}"))
    until(
        lambda: VersionTokens().of(home / f"s{MANY - 1:03}") is not None,
        "files that were not written just now",
    )


def in_one_database(home, url):
    made = done(home, "s000", "storage.url=env:STUDY_MANY")
    spec = (made / "study.toml").read_text()
    for number in range(1, MANY):
        folder = home / f"s{number:03}"
        folder.mkdir()
        (folder / "study.toml").write_text(spec.replace("s000", folder.name))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TEMP TABLE many AS SELECT k FROM generate_series(1, {MANY - 1}) k")
        for statement in COPIES.split(";")[:-1]:
            connection.execute(statement)


@pytest.mark.parametrize("where", ["files", pytest.param("one database", marks=pytest.mark.long)])
def test_a_list_does_not_wait_for_reads_and_reads_no_study_twice(where, tmp_path, request, monkeypatch):
    """Not while nothing was ever read, not when all was, and not after a restart."""
    home = tmp_path / "studies"
    if where == "files":
        in_files(home)
    else:
        url = request.getfixturevalue("postgres").database()
        monkeypatch.setenv("STUDY_MANY", url)
        in_one_database(home, url)

    def states(client):
        studies = client.get("/studies").json()["studies"]
        assert len(studies) == MANY
        return {study["state"] for study in studies}

    with served(home) as service, service.client() as client:
        assert "unread" in states(client)
        until(lambda: states(client) == {"complete"}, "all to be read", 200)
    reads = []
    monkeypatch.setattr(cache, "_read", reads.append)
    with closing(StudyCache(home)) as kept:
        assert {summary.state for summary in kept.summaries(kept.names(), within_s=60)} == {"complete"}
    assert reads == []  # a noted summary is not read again


def test_reading_ahead_waits_while_a_list_is_made(tmp_path, monkeypatch):
    """The list is not delayed by a thread that reads all studies."""
    home = tmp_path / "studies"
    done(home, "one")
    with closing(StudyCache(home)) as kept:
        listing, ended, read = Event(), Event(), []
        monkeypatch.setattr(kept.versions, "all", lambda folders: listing.set() or ended.wait(60) or {})
        one = Thread(target=kept.summaries, args=([],))
        one.start()
        assert listing.wait(60)
        monkeypatch.undo()
        monkeypatch.setattr(cache, "_read", lambda folder: read.append(folder) or Look(SPEC, None, {}))
        ahead = Thread(target=kept.warm)
        ahead.start()
        ahead.join(0.5)
        assert read == []
        ended.set()
        one.join()
        ahead.join(60)
        assert read == [home / "one"]
