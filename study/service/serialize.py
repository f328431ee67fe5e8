"""Convert snapshots of a record to the service's answers."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np

from analysis.front import hypervolume, non_dominated
from analysis.objective import objectives, to_losses
from study.record.front import candidates, losses
from study.record.rows import Point, TrialRecord
from study.service.cursor import Cursor
from study.service.schemas import (
    ConfigOut,
    ConfirmationOut,
    Counts,
    FrontPoint,
    Growth,
    HeldOut,
    LaneOut,
    StageProgressOut,
    Study,
    Summary,
    TestedOut,
)
from study.spec import StudySpec
from study.status.snapshot import Snapshot

MOST_GROWTH = 400
"""Most steps of the hypervolume; a screen cannot resolve more."""


def summary_of(spec: StudySpec, seen: Snapshot | None) -> Summary:
    """The summary of a study; `seen` is None while it has no record."""
    if seen is None:
        reason = "posted; its first run has not started"
        return Summary(
            name=spec.name, fingerprint=spec.fingerprint, state="not begun", reason=reason, stage=None
        )
    return Summary(
        name=spec.name,
        fingerprint=spec.fingerprint,
        state=seen.state,
        reason=seen.reason,
        stage=None if seen.stage is None else StageProgressOut(**asdict(seen.stage)),
        counts=Counts.model_validate(seen.counts),
        member_epochs=seen.member_epochs,
        share=seen.share,
        wall_s=seen.wall_s,
        left_s=seen.left_s,
        front=len(seen.front.points),
        hypervolume=seen.front.hypervolume,
    )


def unreadable(name: str, reason: str) -> Summary:
    """The summary of a study whose record cannot be read, with the reason."""
    return Summary(name=name, fingerprint=None, state="unreadable", reason=reason, stage=None)


def unread(name: str) -> Summary:
    """The summary of a study whose record has not been read."""
    reason = "not read yet; ask again in a moment"
    return Summary(name=name, fingerprint=None, state="unread", reason=reason, stage=None)


def study_of(
    spec: StudySpec,
    seen: Snapshot | None,
    summary: Summary,
    records: Mapping[int, TrialRecord],
    cursor: Cursor,
) -> Study:
    """The study as the service shows it, without its job."""
    confirmation = None if seen is None else seen.confirmation
    return Study(
        summary=summary,
        sampler=spec.search.sampler,
        objectives=spec.objectives,
        reference=None if seen is None else dict(seen.reference),
        front=[] if seen is None else list(_front(seen)),
        growth=[] if seen is None else growth(seen, records),
        lanes=[] if seen is None else _lanes(seen),
        confirmation=None if confirmation is None else ConfirmationOut(**asdict(confirmation)),
        job=None,
        cursor=str(cursor),
        spec=spec.model_dump(mode="json", exclude_none=True),
    )


def growth(seen: Snapshot, records: Mapping[int, TrialRecord]) -> list[Growth]:
    """The hypervolume after each ended trial, in order of their ends, thinned to MOST_GROWTH steps.

    Only points that beat the reference can raise it, so the others are skipped.
    """
    spec, goals = seen.spec, objectives(seen.spec.objectives)
    corner = to_losses([seen.reference[name] for name in spec.objectives], goals)
    inside: dict[int, list[Point]] = {}
    chosen = candidates(seen.points, seen.trials, spec)
    for at in np.flatnonzero((losses(chosen, spec) < corner).all(axis=1)).tolist():
        inside.setdefault(chosen[at].trial, []).append(chosen[at])
    ended = sorted(
        (r for r in records.values() if r.finished is not None),
        key=lambda r: (r.finished or "", r.trial),
    )
    began = _earliest(r.started for r in records.values())
    best, volume, steps = np.empty((0, 2)), 0.0, []
    for record in ended:
        if more := inside.get(record.trial):
            both = np.vstack([best, losses(more, spec)])
            best = both[non_dominated(both)]
            volume = hypervolume(best, corner)
        at_s = max(0.0, (datetime.fromisoformat(record.finished or "") - began).total_seconds())
        steps.append(Growth(trial=record.trial, at_s=at_s, hypervolume=volume))
    kept = np.unique(np.linspace(0, len(steps) - 1, min(MOST_GROWTH, len(steps))).round().astype(int))
    return [steps[at] for at in kept]


def _earliest(moments: Iterable[str | None]) -> datetime:
    return min((datetime.fromisoformat(at) for at in moments if at), default=datetime.now(UTC))


def _front(seen: Snapshot) -> Iterable[FrontPoint]:
    for point, beats in zip(seen.front.points, seen.front.beats_trivial, strict=True):
        config, test = seen.configs.get(point.trial), seen.tested.get((point.trial, point.epoch))
        if config is not None:
            yield FrontPoint(
                trial=point.trial,
                epoch=point.epoch,
                **point.metrics,
                beats_trivial=beats,
                test=None if test is None else TestedOut.model_validate(test.as_dict()),
                config=ConfigOut(**config.as_dict()),
            )


def _lanes(seen: Snapshot) -> list[LaneOut]:
    """The lanes that are training, each with its trials."""
    held: dict[str, list[HeldOut]] = {}
    for occupant in seen.occupants:
        trial = HeldOut(trial=occupant.trial, epoch=occupant.epoch, of=occupant.of)
        held.setdefault(occupant.lane, []).append(trial)
    return [LaneOut(lane=lane, trials=trials) for lane, trials in sorted(held.items())]
