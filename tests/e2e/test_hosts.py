"""A study on three hosts, submitted from a fourth; one is cut off, one is killed: law 5 holds."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import until
from hosts import SHARED, Host, Network, network
from law5 import check_judgements, check_measurements, check_record

from study.record.ledger import Ledger

BIN = Path(sys.executable).parent
UP_S = 300.0
"""Timeout of a lane's start on a busy machine; only a hang reaches it."""

EPOCHS = 60
SPEC = f"""
name = "hosts"
[data]
source = "synthetic"
[train]
epochs = {EPOCHS}
dim = 8
hidden = 8
batch_size = 128
evaluate_every = 10
[search]
sampler = "random"
[budget]
trials = 100000
[runtime]
max_lanes = 2
engine = "plain"
slots = 1
save_every_s = 1.0
"""
"""A study that outlasts the test on any machine; later its budget is cut to the trials that have started."""


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Network]:
    with network(tmp_path) as found:
        yield found


class Cluster:
    """A head without lanes, workers, and the laptop that submits to it."""

    def __init__(self, switch: Network, shared: Path | None) -> None:
        self.secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
        self.head, self.early, self.late = (switch.host(self.secret, shared=shared) for _ in range(3))
        self.laptop = switch.host(self.secret)
        self.address = f"http://{self.head.address}:8265"
        self._ray(self.head, 0, "--head", "--port=6379", f"--dashboard-host={self.head.address}")

    def join(self, host: Host, cpus: int) -> None:
        """Start a worker with room for a number of lanes."""
        self._ray(host, cpus, f"--address={self.head.address}:6379")

    def _ray(self, host: Host, cpus: int, *options: str) -> subprocess.Popen[bytes]:
        again = 'until "$@"; do :; done'  # Ray gives a raylet 30 s to start, however busy the machine is
        return host.start(
            "sh", "-c", again, "sh", BIN / "ray", "start", "--block", f"--num-cpus={cpus}", "--num-gpus=0",
            f"--node-ip-address={host.address}", "--object-store-memory=100000000", *options, log="ray.log",
        )  # fmt: skip

    def study(self, *words: str) -> subprocess.Popen[bytes]:
        """A command on the laptop, sent to the head."""
        command = (*words, "--address", self.address)
        return self.laptop.start(BIN / "study", *command, log=f"{words[0]}.log")

    def output(self, command: str) -> str:
        """The output of all commands of that name on the laptop."""
        return (self.laptop.tmp / f"{command}.log").read_text(encoding="utf-8")

    def nodes(self) -> int:
        """The nodes that the head counts, asked from the laptop; none before it answers."""
        (self.laptop.tmp / "doctor.log").unlink(missing_ok=True)
        done = self.study("doctor").wait(UP_S) == 0
        return self.output("doctor").count(" CPUs and ") if done else 0


@pytest.mark.ray
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "sharing",
    [pytest.param(False, marks=pytest.mark.long), pytest.param(True, marks=pytest.mark.slow)],
    ids=["nothing shared", "shared storage"],
)
def test_a_study_outlives_its_workers(switch: Network, tmp_path: Path, sharing: bool):
    """Lanes move, trials of a lost node are trained elsewhere once, and no save kills a lane. The late
    worker's lanes, and the place of each lane, are read from the record.
    """
    shared = tmp_path / "shared" if sharing else None
    if shared is not None:
        shared.mkdir()
    cluster = Cluster(switch, shared)
    early, late = cluster.early, cluster.late
    until(lambda: cluster.nodes() == 1, "the head", UP_S)
    cluster.join(early, 1)
    (cluster.laptop.home / "hosts.toml").write_text(SPEC, encoding="utf-8")
    submit = ("submit", "hosts.toml", *(["--set", f"runtime.storage_path={SHARED}"] if sharing else []))
    study, folder = cluster.study(*submit), cluster.head.home / "studies" / "hosts"

    def waits_for(fact: Callable[[], object], what: str) -> None:
        until(lambda: fact() or study.poll() is not None, what, UP_S)
        assert study.poll() is None, (what, cluster.output("submit"))

    waits_for((folder / "study.toml").exists, "a record")
    ledger = Ledger.read(folder)
    waits_for(lambda: on(ledger, early), "a lane on the first worker")
    cluster.join(late, 2)
    waits_for(lambda: on(ledger, late), "a lane on the worker that joined late")
    if shared is not None:
        waits_for(lambda: any(shared.rglob("slots.json")), "a checkpoint")

    struck = running(ledger)
    early.link("down")
    waits_for(lambda: len(on(ledger, late)) == 2, "the lane of the host that was cut off")
    before = on(ledger, early)
    early.kill()
    early.link("up")
    cluster.join(early, 2)
    waits_for(lambda: cluster.nodes() == 3, "the host that came back")
    struck |= running(ledger)
    late.kill()
    waits_for(lambda: len(on(ledger, early) - before) == 2, "the lanes of the host that was killed")
    assert struck

    assert cluster.study("stop", "hosts").wait(UP_S) == 0, cluster.output("stop")
    assert study.wait(UP_S) == 0, cluster.output("submit")
    trials = len(ledger.records()) + 1
    ledger.close()
    again = cluster.study(*submit, "--set", f"budget.trials={trials}")
    assert again.wait(UP_S) == 0, cluster.output("submit")
    assert f"trials: {trials} completed" in cluster.output("submit")
    ledger = Ledger.read(folder)  # its budget has changed
    check_record(ledger, trials)
    check_measurements(ledger, only={*struck, trials - 1})
    check_judgements(ledger)
    ledger.close()


def running(ledger: Ledger) -> set[int]:
    """The running trials: a fault of a host affects some of them."""
    return {r.trial for r in ledger.records() if r.state == "running"}


def on(ledger: Ledger, host: Host) -> set[tuple[str, int]]:
    """The lanes that are on record as having been on a host, each with its incarnation there."""
    return {(p.lane, p.incarnation) for p in ledger.places() if p.address == host.address}
