"""Two `study run` of one study in one PostgreSQL, on two hosts: one drives, the other names the driver."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from socket import gethostname

import pytest
import sqlalchemy as sa
from command import ENDLESS, prepare, started, study, until, with_pid
from elsewhere import host
from postgres import Server

from study.record.ledger import Ledger
from study.record.rows import SILENT_RUN_S
from study.record.tables import runs

VARIABLE = "STUDY_TEST_DATABASE"


@pytest.fixture
def homes(tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Path]:
    """A working folder on each host."""
    monkeypatch.setenv(VARIABLE, postgres.database())
    return {name: prepare(tmp_path / name) for name in ("one", "other")}


@pytest.mark.long
@pytest.mark.postgres
def test_the_second_is_refused_until_the_first_is_silent(homes: Mapping[str, Path]):
    """One driver at a time; a host that was cut off neither keeps the study nor takes it back."""
    there = host("elsewhere")
    run = (*ENDLESS, "--set", f"storage.url=env:{VARIABLE}")
    with started(*run, cwd=homes["one"]) as first:
        until(lambda: first.printed("member-epochs"), "the first measurement")
        refused = study(*run, cwd=homes["other"], within=there)
        owner = f"tiny: already being run by process {first.process.pid} on {gethostname()}; "
        assert refused.code == 2, refused
        assert owner in refused.err
        assert "if it is gone, the study is free 60 s after its last sign of life" in refused.err

        os.kill(first.process.pid, signal.SIGSTOP)  # as a host that is cut off
        ledger = Ledger.read(homes["one"] / "studies/tiny")
        with ledger._engine.begin() as connection:
            connection.execute(sa.update(runs).values(heard=runs.c.heard - SILENT_RUN_S))
        with started(*run, cwd=homes["other"], within=there):
            until(lambda: len(ledger.runs()) == 2, "the second run")
            with_pid(first.process.pid, signal.SIGCONT)
            ended = first.wait()
            assert ended.code == 1, ended
            assert "another run of this study took it over" in ended.out
            assert [r.alive for r in ledger.runs()] == [False, True]
            assert [r.owner.host for r in ledger.runs()] == [gethostname(), "elsewhere"]
    ledger.close()
