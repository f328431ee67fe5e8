"""Four studies in one PostgreSQL, each driven by a process of its own, while eight readers look at them."""

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from law5 import tables
from pandas.testing import assert_frame_equal
from postgres import Server

from study.record.ledger import Ledger
from study.record.location import studies
from study.runtime.run import run
from study.spec import StudySpec
from study.status.snapshot import Snapshot, as_dict, snapshot

VARIABLE = "STUDY_TEST_DATABASE"
SPEC = """
name = "formed"
[data]
source = "synthetic"
[train]
epochs = 4
dim = 4
hidden = 4
batch_size = "full"
[space]
weight = [0.5, 0.9, 0.99]
sharing = ["none", "both"]
learning_rate = [1e-3, 1e-2, 1e-1]
[budget]
trials = 6
[runtime]
address = "inline"
engine = "plain"
"""
SEARCHES = {
    "random": "never",
    "tpe": "pareto-asha",
    "grid": "never",
    "nsga2": "median",
}
"""Sampler → rule. One lane that trains one trial at a time: each has one outcome."""

READERS, POLL_S = 8, 0.3


def spec(sampler: str, *more: str) -> StudySpec:
    search = (f"name={sampler}", f"search.sampler={sampler}", f"stopping.rule={SEARCHES[sampler]}")
    rungs = () if SEARCHES[sampler] == "never" else ("stopping.min_epochs=2", "stopping.reduction_factor=2")
    one_by_one = ("runtime.lanes=1", "runtime.slots=1")
    return StudySpec.from_text(SPEC, where="test", overrides=[*search, *rungs, *one_by_one, *more])


def processes_of_their_own() -> ForkServerContext:
    """Processes that share only their imports, which take longer than their studies."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["study.runtime.run", "trainable.engines.plain"])
    return context


def drive(sampler: str, home: Path, url: str) -> str:
    """Run a study in the shared database to its end: why it ended."""
    os.environ[VARIABLE] = url
    return run(spec(sampler, f"storage.url=env:{VARIABLE}"), home).reason


def look(home: Path, drivers: Sequence[Future[str]]) -> Sequence[Mapping[str, Snapshot]]:
    """The outputs of `study list`, `status` and `front`, repeated until all are driven, and once more."""
    seen, driven = [], False
    while not driven:
        driven = not wait(drivers, timeout=POLL_S).not_done
        now = {}
        for folder in studies(home):
            with closing(Ledger.read(folder)) as ledger:
                now[folder.name] = snapshot(ledger)
            assert as_dict(now[folder.name])["name"] == folder.name
        seen.append(now)
    return seen


@pytest.mark.postgres
@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_fails_and_nothing_is_mixed(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Every lock is granted in time, readers delay no driver, and no row belongs to another study."""
    url = postgres.database()
    monkeypatch.setenv(VARIABLE, url)
    logged = len(postgres.log())
    home = tmp_path / "studies"
    home.mkdir()
    with (
        ProcessPoolExecutor(len(SEARCHES), mp_context=processes_of_their_own()) as processes,
        ThreadPoolExecutor(READERS) as threads,
    ):
        drivers = [processes.submit(drive, sampler, home, url) for sampler in SEARCHES]
        readers = [threads.submit(look, home, drivers) for _ in range(READERS)]
        assert [driver.result() for driver in drivers] == ["trials: 6 of 6"] * len(SEARCHES)
        looks = [reader.result() for reader in readers]
    assert re.findall(r"^.*(?:ERROR|FATAL|PANIC|deadlock|lock).*$", postgres.log()[logged:], re.M) == []

    for seen in looks:
        assert {s.state for s in seen[-1].values()} == {"complete"}
        assert seen[-1].keys() == SEARCHES.keys()
        for before, after in pairwise(seen):
            assert before.keys() <= after.keys()
            assert all(before[name].member_epochs <= after[name].member_epochs for name in before)
    assert any(s.state == "running" for seen in looks for now in seen for s in now.values())
    for sampler in SEARCHES:
        with closing(Ledger.read(home / sampler)) as ledger:
            found = tables(ledger, tmp_path / "found" / sampler)
        alone = run(spec(sampler), tmp_path / "alone")
        with closing(Ledger.read(alone.folder)) as ledger:
            expected = tables(ledger, tmp_path / "expected" / sampler)
        assert found.keys() == expected.keys()
        for name, table in found.items():
            assert_frame_equal(table, expected[name], check_exact=True)
