"""Convert snapshots of a record to the service's answers."""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from analysis.front import growing
from analysis.objective import objectives, to_losses
from study.record.front import candidates, losses
from study.record.rows import TrialRecord
from study.service import schemas
from study.service.cursor import Cursor
from study.spec import StudySpec
from study.status.snapshot import Snapshot, front_as_dicts

MOST_GROWTH = 400
"""Most steps of the hypervolume; a screen cannot resolve more."""


def summary_of(spec: StudySpec, seen: Snapshot | None) -> schemas.Summary:
    """The summary of a study; `seen` is None while it has no record."""
    if seen is None:
        reason = "posted; its first run has not started"
        return unknown(spec.name, "not begun", reason, spec.fingerprint)
    return schemas.Summary(
        name=spec.name,
        fingerprint=spec.fingerprint,
        state=seen.state,
        reason=seen.reason,
        stage=seen.stage,
        counts=schemas.Counts.model_validate(seen.counts),
        member_epochs=seen.member_epochs,
        share=seen.share,
        wall_s=seen.wall_s,
        left_s=seen.left_s,
        front=len(seen.front.points),
        hypervolume=seen.front.hypervolume,
    )


def unknown(
    name: str, state: schemas.StudyState, reason: str, fingerprint: str | None = None
) -> schemas.Summary:
    """The summary of a study whose record is not read, is unreadable, or does not exist."""
    return schemas.Summary(name=name, fingerprint=fingerprint, state=state, reason=reason, stage=None)


def study_of(
    spec: StudySpec,
    seen: Snapshot | None,
    summary: schemas.Summary,
    records: Mapping[int, TrialRecord],
    cursor: Cursor,
) -> schemas.Study:
    """The study as the service shows it, without its job."""
    return schemas.Study(
        summary=summary,
        sampler=spec.search.sampler,
        objectives=spec.objectives,
        reference=None if seen is None else dict(seen.reference),
        front=[] if seen is None else [schemas.FrontPoint.model_validate(p) for p in front_as_dicts(seen)],
        growth=[] if seen is None else growth(seen, records),
        lanes=[] if seen is None else _lanes(seen),
        fresh=None if seen is None else seen.fresh,
        confirmation=None if seen is None else seen.confirmation,
        job=None,
        cursor=str(cursor),
        spec=spec.model_dump(mode="json", exclude_none=True),
    )


def growth(seen: Snapshot, records: Mapping[int, TrialRecord]) -> list[schemas.Growth]:
    """The hypervolume after each ended trial, in order of their ends, thinned to MOST_GROWTH steps."""
    spec, goals = seen.spec, objectives(seen.spec.objectives)
    corner = to_losses([seen.reference[name] for name in spec.objectives], goals)
    chosen = candidates(seen.points, seen.trials, spec)
    ended = sorted(
        (r for r in records.values() if r.finished is not None),
        key=lambda r: (r.finished or "", r.trial),
    )
    starts = (datetime.fromisoformat(r.started) for r in records.values() if r.started)
    began = min(starts, default=datetime.now(UTC))
    owners, order = (np.array([row.trial for row in rows]) for rows in (chosen, ended))
    volumes = growing(losses(chosen, spec), owners, order, corner)
    steps = []
    for at in np.unique(np.linspace(0, len(ended) - 1, min(MOST_GROWTH, len(ended))).round().astype(int)):
        at_s = max(0.0, (datetime.fromisoformat(ended[at].finished or "") - began).total_seconds())
        steps.append(schemas.Growth(trial=ended[at].trial, at_s=at_s, hypervolume=volumes[at]))
    return steps


def _lanes(seen: Snapshot) -> list[schemas.LaneOut]:
    """The lanes that are training, each with its trials."""
    held: dict[str, list[schemas.HeldOut]] = {}
    for occupant in seen.occupants:
        held.setdefault(occupant.lane, []).append(schemas.HeldOut.model_validate(occupant))
    return [schemas.LaneOut(lane=lane, trials=trials) for lane, trials in sorted(held.items())]
