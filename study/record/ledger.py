"""The Ledger: writes the record of a study, which is one database.

It has Optuna's tables (configurations, states, values, reasons) and four of ours: `measurements`, `by_user`
(measurements for each user, in a confirmation), `judgements` (of the stopping rule, in order) and `runs` (at
most one open row). Every entry is durable before anything acts on it, so after any crash the next run
resumes from here.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any, get_args
from weakref import WeakKeyDictionary

import optuna
import sqlalchemy as sa
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from study.record.backends.backend import Backend
from study.record.location import SPEC_FILE, Home, put_spec
from study.record.optuna_storage import create, erase, opened
from study.record.process import Owner
from study.record.reader import CLOCK, Reader
from study.record.rows import SILENT_RUN_S, Baseline, Holder, Judgement, Place, Plan, Point, Run, Stage
from study.record.tables import (
    ATTRIBUTES_TABLE,
    MEASUREMENT_COLUMNS,
    by_user,
    judgements,
    measurements,
    runs,
    stage_name,
    study_id,
)
from study.search.origin import origin
from study.search.samplers.keyed import KeyedSampler
from study.search.space import SearchSpace
from study.spec import SpecError, StudySpec
from trainable.contract import Config, FaultKind, Lease, Measurement, StudyError, Verdict


class TakenError(StudyError):
    """Error: another run, `run`, drives the study."""

    def __init__(self, words: str, run: Run) -> None:
        super().__init__(words)
        self.run = run


_CLAIMING = RLock()
_DRIVEN: "WeakKeyDictionary[Ledger, tuple[int, float]]" = WeakKeyDictionary()
"""The run that each Ledger of this process drives: number and start. Two databases may use one number."""


class Ledger(Reader):
    """The record of one stage, for writing; `open` opens it to drive the study, `read` an existing one."""

    def __init__(
        self,
        backend: Backend,
        storage: RDBStorage,
        name: str,
        *,
        stage: Stage = "search",
        search: int | None = None,
    ) -> None:
        super().__init__(backend, storage.engine, name, stage=stage, search=search)
        self._storage = storage
        self._skew = time.time() - time.monotonic()
        self._space = SearchSpace(self.spec)
        sampler = KeyedSampler(self.spec, self._space) if self.plan is None else RandomSampler()
        with self._intact():
            self._optuna = optuna.load_study(
                study_name=stage_name(name, stage), storage=storage, sampler=sampler
            )

    # --- opening ---------------------------------------------------------------------------------------

    @classmethod
    def open(cls, spec: StudySpec, folder: Path, baseline: Baseline) -> "Ledger":
        """Create or open the record of a study; `folder` gets its study.toml.

        SpecError if the record has another fingerprint; StudyError if the data changed, or if its record is
        not where `spec` says.
        """
        ledger = cls(*create(spec, folder, baseline))
        try:
            ledger.check(spec, baseline)
        except StudyError:
            ledger.close()
            raise
        ledger.spec = spec
        if not (folder / SPEC_FILE).is_file():
            put_spec(spec, folder)
        return ledger

    @classmethod
    def _in(cls, folder: Path) -> "Ledger":
        return cls(*opened(folder))

    def _sibling(self, stage: Stage) -> "Ledger":
        return Ledger(self._backend, self._storage, self._name, stage=stage, search=self._search)

    def check(self, spec: StudySpec, baseline: Baseline | None = None) -> None:
        """SpecError if `spec` has another fingerprint than the record; StudyError if the data differ."""
        if spec.fingerprint != self.spec.fingerprint:
            changes = "; ".join(self.spec.differences(spec))
            raise SpecError(
                f"name: {spec.name!r} is a study with another spec ({changes}); "
                "give this one another name, or change it back"
            )
        if baseline is not None and self.baseline.data["sha256"] != baseline.data["sha256"]:
            raise StudyError(
                f"data.source: the ratings of {spec.data.source!r} are not those that {spec.name!r} began "
                "with; give the spec another name, or restore the data"
            )

    def adopt(self, folder: Path) -> None:
        """Record the spec that this ledger was opened with, because its budget may be new, and put it into
        `folder`. Only the driver may call it, because a run takes its budget from the record.
        """
        self._set(spec=self.spec.model_dump(mode="json"), home=asdict(Home.of(folder)))
        put_spec(self.spec, folder)

    def add_stage(self, stage: Stage, spec: StudySpec, plan: Plan) -> "Ledger":
        """Create the record of a later stage with `spec` and `plan`; a confirmation opens the test set."""
        optuna_study = optuna.create_study(
            storage=self._storage,
            study_name=stage_name(self._name, stage),
            directions=self._optuna.directions,
            load_if_exists=True,
        )
        optuna_study.set_user_attr("spec", spec.model_dump(mode="json"))
        optuna_study.set_user_attr("plan", plan.as_dict())  # last: without it the stage has not begun
        return self._sibling(stage)

    def fix(self, baseline: Baseline) -> None:
        """Record the baseline."""
        self._set(baseline=asdict(baseline))

    def decide(self, fact: str, value: str | float) -> None:
        """Record a fact for all stages and runs of the study."""
        self._storage.set_study_user_attr(self._search, fact, value)

    # --- trials ----------------------------------------------------------------------------------------

    def ask(self) -> tuple[int, Config]:
        """Draw the configuration of a new trial and record it; return its number and configuration."""
        trial = self._optuna.ask()
        return trial.number, self._settle(trial)

    def settle(self, number: int) -> Config:
        """Complete the configuration of a trial whose ask was interrupted by a kill."""
        return self._settle(optuna.trial.Trial(self._optuna, self._trial_id(number)))

    def _settle(self, trial: optuna.Trial) -> Config:
        number, plan = trial.number, self.plan
        config = self._space.suggest(trial) if plan is None else plan.points[number].config
        if plan is None:
            self._write(number, origin=origin(self.spec.search, number))
        self._write(number, config=config.as_dict())
        return config

    def lease(self, number: int, config: Config, holder: Holder, *, attempt: int) -> Lease:
        """Record the lease of a trial to `holder` and return it."""
        self._write(number, lease=asdict(holder) | {"attempt": attempt, "at": self._now()})
        return Lease(number, attempt, config, tuple(range(self.spec.search.replicates)))

    def take_back(
        self, number: int, faults: Mapping[FaultKind, int], retries: Sequence[str], *, attempt: int
    ) -> None:
        """Record that a trial has no holder, and its faults so far, counted by kind and in words."""
        lease = {"attempt": attempt, "at": self._now()}
        self._write(number, retries=list(retries), faults=dict(faults), lease=lease)

    def end(self, number: int, verdict: Verdict, reason: str, *, epochs: int, point: Point | None) -> None:
        """Record the end of a trial after `epochs` epochs, with its reason and the point that stands for it.

        Optuna gets the end exactly once, also after a crash: COMPLETE with the point's values, PRUNED if it
        has no point, FAIL if it failed.
        """
        values = None if point is None else [point.metrics[name] for name in self.spec.objectives]
        outcome = {
            "verdict": verdict,
            "reason": reason,
            "epochs": epochs,
            "epoch": None if point is None else point.epoch,
            "values": values,
            "at": self._now(),
        }
        self._write(number, outcome=outcome)
        self._tell(number, outcome)

    def tell_cut_off(self) -> None:
        """Report to Optuna the recorded ends that it did not get because of a kill."""
        for trial in self._optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if "outcome" in trial.user_attrs:
                self._tell(trial.number, trial.user_attrs["outcome"])

    def _tell(self, number: int, outcome: Mapping[str, Any]) -> None:
        if outcome["verdict"] == "fail":
            self._optuna.tell(number, state=TrialState.FAIL)
        elif outcome["values"] is None:
            self._optuna.tell(number, state=TrialState.PRUNED)
        else:
            self._optuna.tell(number, values=outcome["values"], state=TrialState.COMPLETE)

    # --- measurements ----------------------------------------------------------------------------------

    def record(self, batch: Sequence[Measurement]) -> None:
        """Append measurements. One that exists stays as it is: the first wins."""
        named = [{name: getattr(m, name) for name in MEASUREMENT_COLUMNS} for m in batch]
        users = [
            {"trial": m.trial, "replicate": m.replicate, "epoch": m.epoch, **asdict(user)}
            for m in batch
            for user in m.users
        ]
        self._append({measurements: named, by_user: users})

    def judge(self, judgement: Judgement) -> None:
        """Append a judgement of the stopping rule. One that exists stays as it is: the first wins."""
        self._append({judgements: [asdict(judgement.decision) | {"epoch": judgement.epoch}]})

    # --- lanes and runs --------------------------------------------------------------------------------

    def note_lane(self, name: str, known: Mapping[str, float]) -> None:
        """Record the state of a lane."""
        self._optuna.set_user_attr(f"lane/{name}", dict(known))

    def note_place(self, place: Place) -> None:
        """Record the place of a lane in one of its incarnations."""
        self._set(**{f"place/{place.lane}/{place.incarnation}": asdict(place)})

    def claim(self) -> int:
        """Open a run by this process and return its number. TakenError if another run drives the study."""
        with _CLAIMING:
            for run in self.runs():
                if run.ended is None and (not run.alive or _left_open(run)):
                    self._end_dead_run(run)
            return self._begin_run()

    def _end_dead_run(self, run: Run) -> None:
        """End a dead run. A run that was renewed since it was read is alive and stays open."""
        self._update_run(run.run, runs.c.renewed == run.renewed, ended=run.renewed, reason="died")

    def _begin_run(self) -> int:
        times = {"started": self._time(), "renewed": self._time(), "heard": self._backend.clock()}
        row = asdict(Owner.here()) | times | {"study": self._search, "stop": False}
        try:
            with self._engine.begin() as connection:
                done = connection.execute(sa.insert(runs).values(**row))
                key = done.inserted_primary_key
                if key is None:
                    raise RuntimeError("the database did not number the run")
                clock = {"study_id": self._search, "key": f"{CLOCK}{key[0]}", "value_json": "null"}
                connection.execute(sa.insert(ATTRIBUTES_TABLE).values(**clock))
        except sa.exc.IntegrityError:
            run = self.runs()[-1]
            raise TakenError(self._taken(run), run) from None
        _DRIVEN[self] = (int(key[0]), row["started"])
        return int(key[0])

    def start_clock(self, run: int) -> None:
        """Start a run's wall time at its last renewal; call it when its first lane asks for work."""
        with self._engine.connect() as connection:
            renewed = connection.execute(sa.select(runs.c.renewed).where(runs.c.run == run)).scalar_one()
        self._storage.set_study_user_attr(self._search, f"{CLOCK}{run}", renewed)

    def _taken(self, run: Run) -> str:
        name, owner = self.spec.name, run.owner
        words = (
            f"{name}: already being run by process {owner.pid} on {owner.host}; "
            f"`study status {name}` shows it, `study stop {name}` ends it"
        )
        if owner.running is not None:
            return words
        return f"{words}; if it is gone, the study is free {SILENT_RUN_S:.0f} s after its last sign of life"

    def renew(self, run: int) -> bool:
        """Record that this run is alive; False if another process has ended it as dead."""
        return self._update_run(run, renewed=self._time(), heard=self._backend.clock())

    def release(self, run: int, reason: str) -> None:
        """End a run, with its reason. Even if that cannot be written, this process drives it no longer."""
        try:
            self._update_run(run, ended=self._time(), reason=reason)
        finally:
            with _CLAIMING:
                _DRIVEN.pop(self, None)

    def request_stop(self, run: int | None = None) -> bool:
        """Ask the open run to stop, or only the run numbered `run`; True if there was one."""
        query = sa.update(runs).where(runs.c.study == self._search, runs.c.ended.is_(None)).values(stop=True)
        if run is not None:
            query = query.where(runs.c.run == run)
        with self._engine.begin() as connection:
            return connection.execute(query).rowcount > 0

    def erase(self) -> None:
        """Delete all stages of the study from the database, completely or not at all."""
        found = (study_id(self._engine, stage_name(self._name, stage)) for stage in get_args(Stage))
        erase(self._storage, [study for study in found if study is not None])

    # --- inside ----------------------------------------------------------------------------------------

    def _append(self, batches: Mapping[sa.Table, Sequence[Mapping[str, Any]]]) -> None:
        """Add rows to tables, all or none; rows that exist stay as they are."""
        filled = {table: rows for table, rows in batches.items() if rows}
        if not filled:
            return
        with self._engine.begin() as connection:
            for table, rows in filled.items():
                connection.execute(self._backend.upsert(table), [{**row, "study": self._id} for row in rows])

    def _update_run(self, run: int, *where: sa.ColumnElement[bool], **values: Any) -> bool:
        """Update a run if it is open; True if it was."""
        query = sa.update(runs).where(runs.c.run == run, runs.c.ended.is_(None), *where).values(**values)
        with self._engine.begin() as connection:
            return connection.execute(query).rowcount > 0

    def _time(self) -> float:
        """Seconds since 1970, monotonic: changes of the clock after opening are ignored."""
        return self._skew + time.monotonic()

    def _now(self) -> str:
        """`_time` as ISO text."""
        return datetime.fromtimestamp(self._time(), UTC).isoformat(timespec="milliseconds")

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def _write(self, number: int, **attributes: Any) -> None:
        trial_id = self._trial_id(number)
        for key, value in attributes.items():
            self._storage.set_trial_user_attr(trial_id, key, value)

    def _set(self, **attributes: Any) -> None:
        for key, value in attributes.items():
            self._optuna.set_user_attr(key, value)


def _left_open(run: Run) -> bool:
    """True if this process opened the run and drives it no longer: its end could not be written."""
    return run.owner == Owner.here() and (run.run, run.started) not in _DRIVEN.values()
