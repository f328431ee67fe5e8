"""A session resumes from a checkpoint with the results of an uninterrupted one (law 1), on every engine."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainable.contract import Answer, Config, LaneReport, Lease, Measurement
from trainable.data.registry import load
from trainable.engines.registry import ENGINES
from trainable.job import Job
from trainable.session import Session

CONFIG = Config(
    weight=0.9,
    sharing="items",
    learning_rate=0.01,
    weight_decay=0.1,
    ranking_loss="bpr",
    batch_size=512,
    dim=4,
    hidden=4,
    epochs=4,
    evaluate_every=2,
)
OTHER = replace(CONFIG, weight=0.5, sharing="both", average=0.8, negatives="unseen")
LEASES = (Lease(3, 1, CONFIG, (0, 1)), Lease(7, 2, OTHER, (0, 1)))


class Listener:
    """The other side of the exchange: leases once, then only records calls."""

    def __init__(self, *leases: Lease) -> None:
        self.leases = leases
        self.heard: list[Measurement] = []

    def __call__(self, report: LaneReport) -> Answer:
        self.heard += [replace(m, wall_s=0.0) for m in report.measurements]
        leases, self.leases = self.leases, ()
        return Answer(1, leases=leases)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("saved_after", [1, 2])  # between two measurements, and with some unsent
def test_a_session_resumes_from_its_checkpoint(engine: str, saved_after: int, tmp_path: Path):
    job = Job(fold=load("synthetic", split="per-user", split_seed=0).search, seed=5, engine=engine, slots=2)
    whole, before, after = Listener(*LEASES), Listener(*LEASES), Listener()

    def session(listener: Listener) -> Session:
        return Session(job.build, slots=2, lane="a", exchange=listener, by_user=True)

    steady, first, second = session(whole), session(before), session(after)
    for _ in range(4):
        steady.advance()
    for _ in range(saved_after):
        first.advance()
    first.save(tmp_path)
    second.load(tmp_path)
    assert (second.held, second.free, second.measured) == (first.held, 0, first.measured)
    for _ in range(4 - saved_after):
        second.advance()
    assert second.held == steady.held
    assert before.heard + after.heard == whole.heard
    assert [replace(m, wall_s=0.0) for m in (*second.measured,)] == [
        replace(m, wall_s=0.0) for m in steady.measured
    ]
    assert len(whole.heard) == len(steady.measured) == 4
