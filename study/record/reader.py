"""The Reader: reads the record of a study.

It uses SQL on Optuna's tables and ours, without Optuna: importing Optuna takes longer than reading a study of
thousands of trials, and its `get_trials` takes seconds for one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from study.record import decoded
from study.record.backends.backend import Backend, damaged
from study.record.location import Home, connected
from study.record.rows import (
    Baseline,
    Judgement,
    Place,
    Plan,
    Point,
    Run,
    Stage,
    TrialRecord,
    TrialSummary,
)
from study.record.tables import (
    ATTRIBUTES_TABLE,
    CHECKPOINTS,
    LANE_GPUS,
    MEASUREMENT_COLUMNS,
    RECORD_SCHEMA,
    by_user,
    judgements,
    measurements,
    runs,
    stage_name,
    study_id,
)
from study.spec import StudySpec
from trainable.contract import METRICS, Measurement, StudyError

_TRIALS = sa.table("trials", *map(sa.column, ("trial_id", "study_id", "number", "state")))
_TRIAL_ATTRIBUTES = sa.table("trial_user_attributes", *map(sa.column, ("trial_id", "key", "value_json")))

NO_TOKEN = 1
"""No token: those that lanes choose for themselves are below 0."""

CLOCK = "clock/"
"""Prefix of the key of a run's start time; the value is null while it waits for its first lane."""

WAIT_PER_READ = 20
"""Wait between two reads of a growing record, in durations of the last read."""

_BATCH = 10_000
"""Rows of measurements in memory at a time."""

_NAMED = 1000
"""Largest number of trials that a query names; for more, all are read."""


class Reader:
    """The record of one stage of a study, for reading; `search` is the number of its search, if known."""

    def __init__(
        self,
        backend: Backend,
        engine: sa.Engine,
        name: str,
        *,
        stage: Stage = "search",
        search: int | None = None,
    ) -> None:
        self._backend = backend
        self._engine = engine
        self._name = name
        self.stage = stage
        if (found := study_id(engine, stage_name(name, stage))) is None:
            raise StudyError(f"{name}: is no longer in its database")
        self._id = found
        self._search = found if search is None else search
        """The number of the search, which a run drives even while a later stage trains."""
        facts = self._facts()
        if search is None and (schema := facts.get("schema")) != RECORD_SCHEMA:
            raise StudyError(
                f"{name}: its record was written with schema {schema}, this version reads "
                f"{RECORD_SCHEMA}; use the version of pareto-study that wrote it"
            )
        with self._intact():
            self.spec = StudySpec.model_validate(facts["spec"])
            self.plan: Plan | None = decoded.plan(facts["plan"]) if "plan" in facts else None
            """The plan of a later stage; None in a search."""
            if self.spec.name != name:
                raise ValueError(f"its spec is that of {self.spec.name!r}")

    @classmethod
    def read(cls, folder: Path, *, stage: Stage = "search") -> Self:
        """Open the record of a stage of the study in `folder`. StudyError if there is none."""
        reader = cls._in(folder)
        if stage == "search":
            return reader
        if (later := reader.later(stage)) is None:
            name = reader.spec.name
            raise StudyError(f"{name}: its front was not trained again; `study confirm {name}` does it")
        return later

    @classmethod
    def _in(cls, folder: Path) -> Self:
        return cls(*connected(folder))

    @contextmanager
    def _intact(self) -> Iterator[None]:
        """DamagedError if the block decodes a value that no study writes."""
        try:
            yield
        except decoded.FAULTS as error:
            raise damaged(self._name, error) from error

    @property
    def baseline(self) -> Baseline:
        """The baseline of the study."""
        with self._intact():
            return decoded.baseline(self._facts()["baseline"])

    @property
    def home(self) -> Home | None:
        """The folder that a record in a shared database belongs to; None if it is not on record."""
        facts = self._facts()
        with self._intact():
            return decoded.home(facts["home"]) if "home" in facts else None

    @property
    def lane_gpus(self) -> float | None:
        """GPUs of a lane, as the study's first run on Ray decided for "auto"; None if none did."""
        decided = self._facts(self._search)
        with self._intact():
            return decoded.lane_gpus(decided[LANE_GPUS]) if LANE_GPUS in decided else None

    @property
    def checkpoints(self) -> str | None:
        """The end of the name of the folder of checkpoints, 12 hex digits; None before a run on Ray."""
        known = self._facts(self._search)
        with self._intact():
            return decoded.checkpoints(known[CHECKPOINTS]) if CHECKPOINTS in known else None

    @property
    def fixed(self) -> bool:
        """True if the baseline is on record. A later stage gets it after its plan; a kill may intervene."""
        return "baseline" in self._facts()

    def confirmation(self) -> Self | None:
        """The record of this search's confirmation; None if the test set was not opened."""
        return self.later("confirm")

    def fresh(self) -> Self | None:
        """The record of this search's fresh-seed stage; None if it has not begun."""
        return self.later("fresh")

    @property
    def confirming(self) -> bool:
        """True if a stage after this search has begun."""
        return self.fresh() is not None or self.confirmation() is not None

    def later(self, stage: Stage) -> Self | None:
        """The record of a stage after this search; None if it was not planned."""
        found = study_id(self._engine, stage_name(self._name, stage)) if self.stage == "search" else None
        return None if found is None or "plan" not in self._facts(found) else self._sibling(stage)

    def _sibling(self, stage: Stage) -> Self:
        """Open the record of another stage in the same database."""
        return type(self)(self._backend, self._engine, self._name, stage=stage, search=self._search)

    def _facts(self, study: int | None = None) -> dict[str, Any]:
        """The facts of this study, or of the one numbered `study`, and of its lanes, by key."""
        attributes = ATTRIBUTES_TABLE.c
        query = sa.select(attributes.key, attributes.value_json)
        query = query.where(attributes.study_id == (self._id if study is None else study))
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        with self._intact():
            keys = [row.key for row in rows]
            if not all(map(decoded.text, keys)):
                raise ValueError("a fact has no name")
            return dict(zip(keys, decoded.decoded([row.value_json for row in rows]), strict=True))

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    # --- trials ------------------------------------------------------------------------------------------

    def records(self, some: Collection[int] | None = None) -> list[TrialRecord]:
        """Every trial, or those of these numbers, by number."""
        return [decoded.trial_record(number, entry) for number, entry in self._entries(some=some).items()]

    def trial_summaries(self) -> dict[int, TrialSummary]:
        """State, reason, epochs and configuration of every trial, by number; faster than `records`."""
        return {n: decoded.trial_summary(entry) for n, entry in self._entries("config", "outcome").items()}

    def _entries(self, *keys: str, some: Collection[int] | None = None) -> dict[int, dict[str, Any]]:
        """Facts of each trial, or of some, by number: under these keys, or under all."""
        trials, attribute = _TRIALS.c, _TRIAL_ATTRIBUTES.c
        noted = attribute.trial_id == trials.trial_id
        joined = _TRIALS.outerjoin(_TRIAL_ATTRIBUTES, noted & attribute.key.in_(keys) if keys else noted)
        query = sa.select(trials.number, attribute.key, attribute.value_json).select_from(joined)
        query = query.where(trials.study_id == self._id).order_by(trials.number)
        if some is not None and len(some) <= _NAMED:
            query = query.where(trials.number.in_(some))
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        entries: dict[int, dict[str, Any]] = {}
        with self._intact():
            values = decoded.decoded(["null" if value is None else value for _, _, value in rows])
            for (number, key, _), value in zip(rows, values, strict=True):
                if some is None or number in some:
                    # a trial without facts has one row without a key
                    entries.setdefault(number, {})[key] = value
            return {number: decoded.entry(number, noted, self._planned) for number, noted in entries.items()}

    @property
    def _planned(self) -> int | None:
        """Number of planned trials; None in a search."""
        return None if self.plan is None else len(self.plan.points)

    # --- measurements ------------------------------------------------------------------------------------

    def measurements(self) -> Iterator[Measurement]:
        """Every measurement, by trial, replicate and epoch."""
        m = measurements.c
        query = sa.select(*(m[name] for name in MEASUREMENT_COLUMNS)).where(m.study == self._id)
        query = query.order_by(m.trial, m.replicate, m.epoch)
        with self._engine.connect() as connection:
            for rows in connection.execute(query).partitions(_BATCH):
                self._check(rows, (int, int, int, *(float for _ in MEASUREMENT_COLUMNS[3:])))
                yield from (Measurement(*row) for row in rows)

    def by_user(self) -> list[dict[str, Any]]:
        """Measurements of each user, in a confirmation: trial, replicate, epoch, and `UserMetrics`."""
        names = [c for c in by_user.c if c.name != "study"]
        query = sa.select(*names).where(by_user.c.study == self._id).order_by(*by_user.primary_key.columns)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        kinds: dict[str, type] = dict.fromkeys(("trial", "replicate", "epoch", "ratings"), int) | {
            "user": str
        }
        self._check(rows, [kinds.get(c.name, float) for c in names])
        return [dict(row._mapping) for row in rows]

    def points(
        self, *, trial: int | None = None, epoch: int | None = None, until: int | None = None
    ) -> list[Point]:
        """Points with all replicates, by trial and epoch; optionally of one trial, at or up to one epoch."""
        m, replicates = measurements.c, self.spec.search.replicates
        if replicates == 1:  # avg would take twice as long
            query = sa.select(m.trial, m.epoch, *(m[name] for name in METRICS))
        else:
            query = sa.select(m.trial, m.epoch, *(sa.func.avg(m[name]) for name in METRICS))
            # the largest value is text or bytes if any value is; avg takes those for 0
            query = query.add_columns(*(sa.func.max(m[name]) for name in METRICS))
            query = query.group_by(m.trial, m.epoch).having(sa.func.count() == replicates)
        query = query.where(m.study == self._id).order_by(m.trial, m.epoch)
        if trial is not None:
            query = query.where(m.trial == trial)
        if epoch is not None:
            query = query.where(m.epoch == epoch)
        if until is not None:
            query = query.where(m.epoch <= until)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        self._check(rows, (int, int, *(float for _ in METRICS * 2)))
        return [Point._make(row[: len(Point._fields)]) for row in rows]

    def _check(self, rows: Sequence[Sequence[Any]], kinds: Sequence[type]) -> None:
        """DamagedError if columns have other types than `kinds`, or trials were not planned."""
        with self._intact():
            decoded.columns(rows, kinds, trials=self._planned)

    def trained(self) -> dict[int, tuple[int, float]]:
        """Last measured epoch and summed seconds of each trial's measurements."""
        m = measurements.c
        query = sa.select(m.trial, sa.func.max(m.epoch), sa.func.sum(m.wall_s))
        query = query.where(m.study == self._id).group_by(m.trial)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        self._check(rows, (int, int, float))
        return {trial: (epoch, wall_s) for trial, epoch, wall_s in rows}

    def judgements(self) -> list[Judgement]:
        """Judgements of the stopping rule, in order."""
        j = judgements.c
        query = sa.select(j.epoch, j.trial, j.verdict, j.reason).where(j.study == self._id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(j.judgement)).all()
        with self._intact():
            return [decoded.judgement(row) for row in rows]

    # --- lanes and runs ----------------------------------------------------------------------------------

    def lane(self, name: str) -> dict[str, Any]:
        """State of a lane: its incarnation, its starts since its last progress, the token that it chose
        before it had a number, and its longest epoch in seconds.
        """
        unknown = {"incarnation": 0, "starts": 0, "token": NO_TOKEN, "longest_s": 0.0}
        facts = self._facts()
        with self._intact():
            return decoded.lane(unknown | facts.get(f"lane/{name}", {}))

    def places(self) -> list[Place]:
        """Places of all lanes, by lane and incarnation."""
        facts = self._facts()
        with self._intact():
            found = [decoded.place(value) for key, value in facts.items() if key.startswith("place/")]
        return sorted(found, key=lambda place: (place.lane, place.incarnation))

    def begun(self) -> int:
        """Number of trials that have begun."""
        query = sa.select(sa.func.count()).select_from(_TRIALS).where(_TRIALS.c.study_id == self._id)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def owned(self, run: int) -> bool:
        """True while this run is open; False if another process has ended it as dead."""
        query = sa.select(runs.c.ended).where(runs.c.run == run)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one() is None

    def stop_requested(self, run: int) -> bool:
        """True if this run was asked to stop."""
        with self._engine.connect() as connection:
            return bool(connection.execute(sa.select(runs.c.stop).where(runs.c.run == run)).scalar_one())

    def runs(self) -> list[Run]:
        """Every run of the study, in order."""
        r = runs.c
        owner = (r.host, r.kernel, r.pid, r.born)
        driven = (r.started, r.renewed, sa.type_coerce(r.stop, sa.Integer), r.ended, r.reason, r.heard)
        query = sa.select(r.run, *owner, *driven, self._backend.clock()).order_by(r.run)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(r.study == self._search)).all()
        facts = self._facts(self._search)
        with self._intact():
            return [self._clocked(decoded.run(row), facts) for row in rows]

    def _clocked(self, run: Run, facts: Mapping[str, Any]) -> Run:
        """The run with the start of its wall time; without a clock on record it is the run's start."""
        return replace(run, began=decoded.clock(facts.get(f"{CLOCK}{run.run}", run.started)))
