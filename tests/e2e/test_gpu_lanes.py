"""Lanes on quarters of GPUs, which Ray only counts here: where each lies is read from the record."""

import json
import os
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from study.record.ledger import Ledger
from study.results.export import export
from study.runtime import preflight
from study.runtime import tune as runtime
from study.runtime.run import run
from study.spec import StudySpec
from trainable import tune
from trainable.contract import StudyError

SPEC = """
name = "quarters"
[data]
source = "synthetic"
[train]
epochs = 2
dim = 4
hidden = 4
batch_size = "full"
[search]
sampler = "random"
[budget]
trials = 32
[runtime]
address = "auto"
engine = "plain"
slots = 1
cpus_per_lane = 0.5
gpus_per_lane = 0.25
"""


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with two pretended GPUs each, and this process connected to them."""
    offer = {"num_cpus": 4, "num_gpus": 2}
    nodes = Cluster(initialize_head=True, head_node_args={**offer, "include_dashboard": False})
    nodes.add_node(**offer, resources={"licence": 1}, labels={"zone": "b"})
    ray.init(address=nodes.address, log_to_driver=False, logging_level="CRITICAL")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def without_cuda(diary: Path) -> type[tune.Lane]:
    """A lane that trains on the CPU in place of its GPU, and notes its devices."""

    class Pretending(tune.Lane):
        """Made here, so that it travels to Ray's workers by value."""

        def setup(self, config, *, jobs, **given):
            name = config["lane"]
            job = jobs[name]
            told = {"device": job.device, "share": job.gpu_share, "sees": os.environ["CUDA_VISIBLE_DEVICES"]}
            (diary / name).write_text(json.dumps(told))
            job = replace(job, device="cpu", gpu_share=None)
            super().setup(config, jobs={name: job}, **given)

    return Pretending


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(600)
def test_sixteen_quarter_lanes_each_on_its_device(cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each lane is on the GPU and has the share that Ray knows and the record names."""
    (tmp_path / "diary").mkdir()
    monkeypatch.setattr(runtime, "Lane", without_cuda(tmp_path / "diary"))
    monkeypatch.setattr(runtime, "usable", lambda _found, nodes: dict.fromkeys(nodes, False))
    outcome = run(StudySpec.from_text(SPEC, where="test"), tmp_path)
    assert outcome.reason == "trials: 32 of 32"

    ledger = Ledger.read(outcome.folder)
    export(ledger, outcome.folder)
    lanes = json.loads((outcome.folder / "manifest.json").read_text())["lanes"]
    assert len({lane["lane"] for lane in lanes}) == 16
    assert {lane["incarnation"] for lane in lanes} == {1}
    on = Counter((lane["node"], *lane["devices"]) for lane in lanes)
    assert set(on.values()) == {4}
    assert {node for node, _ in on} == {node["NodeID"] for node in ray.nodes()}
    for lane in lanes:
        told = json.loads((tmp_path / "diary" / lane["lane"]).read_text())
        assert told == {"device": "cuda", "share": 0.25, "sees": ",".join(lane["devices"])}


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.parametrize("asked", ["resources={ licence = 0.5 }", "labels={ zone = 'b' }"])
def test_lanes_go_to_the_node_that_they_ask_for(
    cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
):
    """More lanes than this node has room for wait, even if another node has room."""
    (tmp_path / "diary").mkdir()
    monkeypatch.setattr(runtime, "Lane", without_cuda(tmp_path / "diary"))
    monkeypatch.setattr(runtime, "usable", lambda _found, nodes: dict.fromkeys(nodes, False))
    overrides = [f"runtime.{asked}", "runtime.lanes=10", "budget.trials=40"]
    outcome = run(StudySpec.from_text(SPEC, where="test", overrides=overrides), tmp_path)
    assert outcome.reason == "trials: 40 of 40"
    with closing(Ledger.read(outcome.folder)) as ledger:
        nodes = {place.node for place in ledger.places()}
    assert nodes == {node["NodeID"] for node in ray.nodes() if node["Labels"].get("zone") == "b"}


@pytest.mark.long
@pytest.mark.ray
def test_lanes_that_can_never_be_placed_are_refused_at_once(cluster, tmp_path: Path):
    asked = StudySpec.from_text(SPEC, where="test", overrides=["runtime.cpus_per_lane=30"])
    with pytest.raises(
        StudyError, match=r"no node has room for a lane of 30 CPUs and 0\.25 GPUs, the largest is"
    ):
        run(asked, tmp_path)


@pytest.mark.long
@pytest.mark.ray
def test_the_preflight_names_the_node(cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Different code and a missing mount are reported before training, with the node."""
    addresses = {replace(node, address=f"10.0.0.{n}"): False for n, node in enumerate(runtime.nodes())}
    marker = tmp_path / "marker"
    preflight.check(addresses, marker, shared=False)
    with pytest.raises(StudyError, match=r"node 10\.0\.0\.[01]: does not see .*; mount runtime.storage_path"):
        preflight.check(addresses, marker, shared=True)
    marker.touch()
    preflight.check(addresses, marker, shared=True)
    with pytest.raises(
        StudyError, match=r"node 10\.0\.0\.[01]: Ray counts a GPU there, but torch .* cannot use it"
    ):
        preflight.check(dict.fromkeys(addresses, True), marker, shared=False)
    here = preflight.Origin.here()
    for other, words in (
        (replace(here, sha256="0"), "their sources differ"),
        (replace(here, python="3.1.4"), "3.1.4"),
    ):
        monkeypatch.setattr(preflight.Origin, "here", lambda origin=other: origin)
        with pytest.raises(StudyError, match=rf"node 10\.0\.0\.[01]: .*{words}"):
            preflight.check(addresses, marker, shared=False)
    with pytest.raises(StudyError, match=r"node 10\.0\.0\.0: .*contains no study"):
        preflight.check_record(next(iter(addresses)).id, "10.0.0.0", tmp_path, "search")
