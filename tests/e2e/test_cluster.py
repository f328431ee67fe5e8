"""A study on a cluster of two nodes, one of which joins late and is then killed: law 5 holds."""

import re
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import ray
from alone import recorded, trained_alone
from ray.cluster_utils import Cluster

from study.record.ledger import Ledger
from study.runtime import tune
from study.runtime.run import run
from study.spec import StudySpec

TRIALS, EPOCHS = 8, 60
LEASE_S = 6.0
SPEC = f"""
name = "cluster"
[data]
source = "synthetic"
[train]
epochs = {EPOCHS}
dim = 8
hidden = 8
batch_size = 64
evaluate_every = 10
[search]
sampler = "random"
[budget]
trials = {TRIALS}
[runtime]
address = "auto"
max_lanes = 3
engine = "plain"
save_every_s = 2.0
"""


@pytest.fixture
def cluster():
    """A head with room for one lane, on this machine, and this process connected to it."""
    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "num_gpus": 0}
    )
    ray.init(address=nodes.address, log_to_driver=False, logging_level="CRITICAL")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def endless() -> type[tune.Lane]:
    """A lane that never ends the first epoch of its trials, where it is not the first of the study's."""

    class Endless(tune.Lane):
        """Made here, so that it travels to Ray's workers by value."""

        def step(self):
            if self.session.held and not self.session.lane.endswith(".0"):
                time.sleep(3600)
            return super().step()

    return Endless


def until(fact, study):
    """Wait for a fact of a running study; fail if it ends first."""
    while not fact():
        if wait([study], timeout=0.2).done:
            study.result()
            pytest.fail("the study ended before it could be disturbed")


@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.long
@pytest.mark.parametrize("lane", [tune.Lane, endless()], ids=["in-its-epochs", "before-its-first"])
def test_a_node_joins_late_and_is_killed(cluster, tmp_path, monkeypatch, lane):
    """Pending lanes start, and trials of the dead node are trained elsewhere, once."""
    monkeypatch.setattr(tune, "Lane", lane)
    monkeypatch.setitem(tune.drive.__kwdefaults__, "lease_s", LEASE_S)
    spec = StudySpec.from_text(SPEC, where="test")
    with ThreadPoolExecutor(1) as pool:
        study = pool.submit(run, spec, tmp_path)
        until((tmp_path / spec.name / "study.toml").exists, study)
        ledger = Ledger.read(tmp_path / spec.name)
        until(lambda: any(ledger.measurements()), study)
        node = cluster.add_node(num_cpus=2)
        until(lambda: len({r.holder for r in ledger.records() if r.state == "running"} - {None}) == 3, study)
        cluster.remove_node(node, allow_graceful=False)
        outcome = study.result()

    assert outcome.reason == f"trials: {TRIALS} of {TRIALS}"
    records = ledger.records()
    assert [(r.trial, r.state) for r in records] == [(n, "completed") for n in range(TRIALS)]
    moved = [r.trial for r in records if r.attempt > 1 or r.holder.incarnation > 1]
    assert moved
    reasons = "; ".join(reason for r in records for reason in r.retries)
    assert all(float(s) < 5 * LEASE_S for s in re.findall(r"silent for (\d+) s", reasons)), reasons
    found = recorded(ledger)
    every_tenth = list(range(10, EPOCHS + 1, 10))
    assert {key: sorted(epochs) for key, epochs in found.items()} == {
        (n, 0): every_tenth for n in range(TRIALS)
    }
    for trial in {0, TRIALS - 1, *moved}:
        assert found[trial, 0] == trained_alone(ledger, trial, 0)
