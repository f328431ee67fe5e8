"""Ray takes a node away while it trains: its trials resume on another at their epoch."""

import json
import time
from pathlib import Path
from threading import Thread

import pytest
import ray
from alone import recorded, trained_alone
from command import rows, until
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DrainNodeReason

from study.loop.events import LOG_FILE
from study.record.ledger import Ledger
from study.runtime.run import run
from study.spec import StudySpec

TRIALS, EPOCHS, DEADLINE_S = 4, 400, 60.0
MEASURED = "SELECT DISTINCT trial FROM measurements"
SPEC = f"""
name = "drained"
[data]
source = "synthetic"
[train]
epochs = {EPOCHS}
evaluate_every = 20
dim = 4
hidden = 4
batch_size = 64
[search]
sampler = "random"
[budget]
trials = {TRIALS}
[runtime]
address = "auto"
engine = "plain"
slots = 2
save_every_s = 1000.0
"""


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(600)
def test_trials_of_a_drained_node_resume_at_their_epoch(tmp_path: Path):
    """No checkpoint is due before the drain, so the lane's own save is the only one."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    drained = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="CRITICAL")
    log = tmp_path / "drained" / LOG_FILE

    def events(what: str) -> list[dict]:
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == what]

    try:
        spec = StudySpec.from_text(
            SPEC, where="test", overrides=[f"runtime.storage_path={tmp_path / 'kept'}"]
        )
        study = Thread(target=run, args=(spec, tmp_path))
        study.start()
        until(lambda: len(rows(log.parent, MEASURED)) == TRIALS, "a measurement of every trial")
        deadline = int((time.time() + DEADLINE_S) * 1e3)
        accepted, words = GcsClient(address=cluster.address).drain_node(
            drained.node_id, DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"), "a test", deadline
        )
        assert accepted, words
        until(lambda: len(events("went back")) == 2, "two trials given back")
        cluster.remove_node(drained)
        study.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    back, resumed = events("went back"), events("resumed")
    assert {e["words"] for e in back} == {"its lane leaves: Ray takes the node away"}
    assert {(e["trial"], 2) for e in back} == {(e["trial"], e["attempt"]) for e in resumed}
    assert min(e["epoch"] for e in resumed) > 1
    ledger = Ledger.read(tmp_path / "drained")
    assert [(r.state, r.epochs, r.faults) for r in ledger.records()] == [("completed", EPOCHS, {})] * TRIALS
    assert recorded(ledger) == {(n, 0): trained_alone(ledger, n, 0) for n in range(TRIALS)}
    ledger.close()
    assert not any((tmp_path / "kept").iterdir())
