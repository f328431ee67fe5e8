"""Prometheus gauges of a study with `runtime.meters`, at Ray's metrics endpoint on the driver's node.

Gauges are read from the record, so they are right after any restart; counts and latencies come from the
referee's events. Every series has the study's name and its stage, search or confirm, as labels.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import get_args

from ray.util.metrics import Counter, Gauge, Histogram

from study.loop.events import Event
from study.record.front import candidates, front, reference
from study.record.location import DATABASE_ERRORS
from study.record.reader import WAIT_PER_READ, Reader
from study.record.rows import Stage, TrialState
from trainable.contract import StudyError

METRIC_LABELS = ("study", "stage")
EXPORT_EVERY_S = 5.0

SECONDS = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
"""Upper bounds of the buckets of an ask: milliseconds with a young record, seconds with an old one."""


class EventMetrics:
    """A listener that counts restarts of lanes and times asks."""

    def __init__(self, study: str, stage: Stage) -> None:
        labels = {"study": study, "stage": stage}
        self._asks = Histogram(
            "study_ask_seconds",
            "Seconds to draw a trial and record it.",
            boundaries=SECONDS,
            tag_keys=METRIC_LABELS,
        )
        self._restarts = Counter(
            "study_lane_restarts", "Lanes that were lost and started again.", METRIC_LABELS
        )
        self._asks.set_default_tags(labels)
        self._restarts.set_default_tags(labels)

    def __call__(self, event: Event) -> None:
        """Count a restart, or record the time of an ask; ignore other events."""
        if event.what == "asked" and event.seconds is not None:
            self._asks.observe(event.seconds)
        elif event.what == "lane started" and (event.incarnation or 0) > 1:
            self._restarts.inc()


class RecordGauges:
    """Gauges of the record: trials by state, member-epochs, hypervolume."""

    def __init__(self, study: str, stage: Stage) -> None:
        labels = {"study": study, "stage": stage}
        self._trials = Gauge("study_trials", "Trials by state.", (*METRIC_LABELS, "state"))
        self._epochs = Gauge(
            "study_member_epochs", "Epochs trained, summed over trials and seeds.", METRIC_LABELS
        )
        self._volume = Gauge("study_hypervolume", "Of the front against the trivial models.", METRIC_LABELS)
        for meter in (self._trials, self._epochs, self._volume):
            meter.set_default_tags(labels)

    def show(self, ledger: Reader) -> None:
        """Set the gauges from the present record."""
        spec, points = ledger.spec, ledger.points()
        trials = ledger.trial_summaries()
        reached = {point.trial: point.epoch for point in points}
        for state in get_args(TrialState):
            self._trials.set(sum(t.state == state for t in trials.values()), {"state": state})
        epochs = sum(reached.get(n, 0) if t.state == "running" else t.epochs for n, t in trials.items())
        self._epochs.set(epochs * spec.search.replicates)
        best = front(candidates(points, trials, spec), spec, reference(ledger.baseline, spec))
        self._volume.set(best.hypervolume)


@contextmanager
def export_gauges(folder: Path, stage: Stage) -> Iterator[None]:
    """Set the gauges from the record in `folder` every few seconds while the body runs, and at its end."""
    ended = Flag()
    thread = Thread(
        target=_show, args=(folder, RecordGauges(folder.name, stage), stage, ended), name="meters"
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(folder: Path, recorded: RecordGauges, stage: Stage, ended: Flag) -> None:
    """Set the gauges until the run has ended; while the record is away they stay as they are."""
    ledger, last = None, False
    with ExitStack() as stack:
        while not last:
            began, last = time.monotonic(), ended.is_set()
            with suppress(StudyError, *DATABASE_ERRORS):
                ledger = ledger or stack.enter_context(closing(Reader.read(folder, stage=stage)))
                recorded.show(ledger)
            ended.wait(max(EXPORT_EVERY_S, WAIT_PER_READ * (time.monotonic() - began)))
