"""Snapshot of a study's front: its points, configurations and test values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.record.front import Front
from study.record.reader import Reader
from study.record.rows import Point, TrialSummary
from study.record.tested import Tested, tested
from study.spec import StudySpec
from study.status.confirmation import ConfirmationProgress, Confirming
from study.status.searching import Searching
from trainable.contract import Config


@dataclass(frozen=True)
class FrontSnapshot:
    """The front of a study at one moment.

    `trials` has all trials by number, `configs` the configurations of running trials and of the front.
    `points` are all measured points, each once; `tested` has the test values of the confirmed ones, by trial
    and epoch. `reference` has the trivial models' scores, by metric.
    """

    spec: StudySpec
    trials: Mapping[int, TrialSummary]
    front: Front
    configs: Mapping[int, Config]
    confirmation: ConfirmationProgress | None
    points: Sequence[Point]
    tested: Mapping[tuple[int, int], Tested]
    reference: Mapping[str, float]


def front_snapshot(reader: Reader) -> FrontSnapshot:
    """The front as the record has it now."""
    search = Searching.of(reader)
    return front_of(search, Confirming.of(reader, search.same))


def front_of(search: Searching, planned: Confirming | None) -> FrontSnapshot:
    """The front of a search and of its confirmation, if one is `planned`."""
    best, records = search.front, search.records
    return FrontSnapshot(
        spec=search.spec,
        trials=search.trials,
        front=best,
        configs={n: r.config for n, r in records.items() if r.config is not None},
        confirmation=None if planned is None else planned.progress(records[p.trial] for p in best.points),
        points=[p for p in search.points if (p.trial, p.epoch) not in search.same],
        tested={} if planned is None else tested(planned.reader),
        reference=search.reader.baseline.reference,
    )


def front_as_dicts(seen: FrontSnapshot) -> list[dict[str, Any]]:
    """The points of the front, JSON-ready."""
    return [
        {
            "trial": p.trial,
            "epoch": p.epoch,
            **p.metrics,
            "beats_trivial": beats,
            "test": None if (test := seen.tested.get((p.trial, p.epoch))) is None else test.as_dict(),
            "config": config.as_dict(),
        }
        for p, beats in zip(seen.front.points, seen.front.beats_trivial, strict=True)
        if (config := seen.configs.get(p.trial)) is not None
    ]
