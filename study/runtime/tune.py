"""The Ray runtime: lanes are Ray Tune trials, the Referee is an actor on the driver's node.

Tune places the lanes on the CPUs and GPUs of one machine or many, and restarts lost lanes elsewhere. It
neither searches nor schedules: the referee decides which trials the lanes run.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig, TuneError
from ray.tune.execution import class_cache
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.loop.budget import complete
from study.loop.lanes import LEASE_S
from study.record.ledger import Ledger
from study.record.tables import CHECKPOINTS, LANE_GPUS
from study.runtime import actor, preflight
from study.runtime.minimal_ray import patched
from study.runtime.placement import CPU_ENGINES, NodeShare, Seat, lane_gpus, seats, usable
from study.runtime.prometheus import export_gauges
from study.runtime.ray_start import connected, grows, nodes
from study.runtime.tune_callback import TuneCallback
from study.signals import Interrupt
from study.spec.sections import Runtime
from trainable.contract import StudyError, first_line
from trainable.exchange import RayExchange, RefereeActor
from trainable.job import Job
from trainable.tune import Lane

SCRATCH, CHECKPOINTS_FOLDER = "ray", "checkpoints"
"""Folders inside the study's: Tune's, and that of checkpoints if the spec names no storage. The record never
depends on them.
"""


def drive(
    ledger: Ledger, run: int, job: Job, folder: Path, interrupt: Interrupt, *, lease_s: float = LEASE_S
) -> str:
    """Train the rest of the study on the Ray that the spec names; return why the run ended.

    StudyError if no lane fits, or lanes cannot start.
    """
    checkpoints = _checkpoints(ledger, folder)
    with connected(ledger.spec), interrupt, _metered(ledger, folder):
        runtime = _decided(ledger)
        placed = seats(runtime, nodes())
        with _marker(checkpoints) as marker:
            _preflight(ledger, folder, placed, marker)
            referee = _start_referee(ledger, folder, run, lease_s)
            kept = checkpoints / ledger.stage
            job = replace(job, save_every_s=runtime.save_every_s, checkpoints=kept, marker=marker)
            lanes = {f"{run}.{number}": seat for number, seat in enumerate(placed)}
            watch = TuneCallback(folder, ledger.stage, referee)
            try:
                _fit(watch, referee, job, runtime, lanes, name=f"run-{run}", storage=folder / SCRATCH)
                over: str | None = ray.get(referee.over.remote()) or _end_on_record(ledger, run)
            except (RayError, TuneError) as error:
                if interrupt.asked:  # a signal to all processes of a run ends Ray as well
                    raise KeyboardInterrupt from error
                if isinstance(error, TuneError):
                    raise
                why = first_line(error)
                raise StudyError(f"Ray ended the run ({why}); run the study again to resume it") from error
            finally:
                ray.kill(referee)
                shutil.rmtree(folder / SCRATCH, ignore_errors=True)
        if over is None:
            if interrupt.asked and watch.failure is None:
                raise KeyboardInterrupt
            raise StudyError(
                watch.failure or "Ray ended the run before the study was over; run it again to resume it"
            )
    _tidy(ledger, checkpoints)
    return over


def _tidy(ledger: Ledger, checkpoints: Path) -> None:
    """Remove the checkpoints of a stage that is complete; a stopped one resumes from them."""
    if complete(ledger) is not None:
        shutil.rmtree(checkpoints / ledger.stage, ignore_errors=True)
        with suppress(OSError):  # another stage has checkpoints
            checkpoints.rmdir()


def _metered(ledger: Ledger, folder: Path) -> AbstractContextManager[None]:
    """Keep the gauges of the study up to date, if the spec asks for them."""
    return export_gauges(folder, ledger.stage) if ledger.spec.runtime.meters else nullcontext()


def _start_referee(ledger: Ledger, folder: Path, run: int, lease_s: float) -> Any:
    """The study's referee as an actor on this node; Ray restarts it as long as the driver lives.

    The actor has no name, so two studies of one name can run on one Ray; lanes get its handle.
    """
    here = NodeAffinitySchedulingStrategy(_this_node(), soft=False)
    open_ = partial(actor.referee, folder, ledger.stage, run, lease_s, meters=ledger.spec.runtime.meters)
    appointed = ray.remote(RefereeActor).options(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=here,
    )
    return appointed.remote(open_)


def _checkpoints(ledger: Ledger, folder: Path) -> Path:
    """The study's folder of checkpoints: inside its own, or in the shared storage under a name on record.

    So a run on another machine finds the checkpoints of the runs before.
    """
    if (shared := ledger.spec.runtime.storage_path) is None:
        return folder / CHECKPOINTS_FOLDER
    if (end := ledger.checkpoints) is None:
        ledger.decide(CHECKPOINTS, end := uuid4().hex[:12])
    return Path(shared) / f"{ledger.spec.name}-{end}"


def _fit(
    watch: TuneCallback,
    referee: Any,
    job: Job,
    runtime: Runtime,
    lanes: Mapping[str, Seat],
    *,
    name: str,
    storage: Path,
) -> None:
    """Run the lanes until the referee is done, or they cannot start."""
    jobs = {lane: _for(job, runtime, seat.share) for lane, seat in lanes.items()}
    bundles = {lane: _bundle(seat) for lane, seat in lanes.items()}
    lane = tune.with_parameters(Lane, exchange=RayExchange(referee), jobs=jobs)
    placed = tune.with_resources(lane, lambda config: bundles[config["lane"]])
    placed.__name__ = placed.__qualname__ = Lane.__name__  # Ray's dashboard shows the name of the class
    tuner = tune.Tuner(
        placed,
        param_space={"lane": tune.grid_search(list(lanes))},
        tune_config=TuneConfig(reuse_actors=False),
        run_config=RunConfig(
            name=name,
            storage_path=str(storage),
            stop=watch,
            callbacks=[watch],
            failure_config=FailureConfig(max_failures=-1),
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),  # lanes write their own
            verbose=0,
        ),
    )
    with patched(class_cache, "DEFAULT_ENV_VARS", {}):  # if any is set, Ray reuses no idle worker
        tuner.fit()


def _for(job: Job, runtime: Runtime, share: NodeShare) -> Job:
    """The job of a lane with this share of a node."""
    return replace(
        job,
        device="cuda" if share.gpus else "cpu",
        threads=max(1, int(share.cpus)),
        gpu_share=share.gpus if 0 < share.gpus < 1 else None,
        slots=runtime.slots_on(share.kind),
    )


def _bundle(seat: Seat) -> tune.PlacementGroupFactory:
    """Resources of a lane for Tune: the share of a node, and the node as a preference.

    Lanes are placed one by one, so Ray's own strategies cannot spread or pack them.
    """
    share = seat.share
    wanted = {"CPU": share.cpus, **({"GPU": share.gpus} if share.gpus else {}), **share.resources}
    target = {} if seat.node is None else {"_soft_target_node_id": seat.node.id}
    labels = {"bundle_label_selector": [dict(share.labels)]} if share.labels else {}
    return tune.PlacementGroupFactory([wanted], strategy="STRICT_PACK", **target, **labels)


def _this_node() -> str:
    return str(ray.get_runtime_context().get_node_id())


@contextmanager
def _marker(storage: Path) -> Iterator[Path]:
    """A file with a unique name in the storage for checkpoints: a node that sees it reaches the storage."""
    storage.mkdir(parents=True, exist_ok=True)
    marker = storage / f".seen-{uuid4().hex}"
    marker.touch()
    try:
        yield marker
    finally:
        marker.unlink(missing_ok=True)


def _decided(ledger: Ledger) -> Runtime:
    """The runtime with the GPUs of a lane as a number: that of the spec, else of the study's first run.

    So a confirmation, or a run on another day, trains on the same kind of device as the search.
    """
    runtime = ledger.spec.runtime
    if runtime.gpus_per_lane == "auto" and runtime.engine not in CPU_ENGINES:
        if (gpus := ledger.lane_gpus) is None:
            gpus = lane_gpus(runtime, nodes(), grows=grows())
            ledger.decide(LANE_GPUS, gpus)
        return runtime.model_copy(update={"gpus_per_lane": gpus})
    return runtime


def _preflight(ledger: Ledger, folder: Path, placed: Sequence[Seat], marker: Path) -> None:
    """Check every node of a cluster that lanes may use. A private Ray needs no check."""
    if ledger.spec.runtime.address == "local":
        return
    found = {node.id: node for node in nodes()}
    preflight.check(
        usable(placed, found.values()), marker, shared=ledger.spec.runtime.storage_path is not None
    )
    preflight.check_record(_this_node(), found[_this_node()].address, folder, ledger.stage)


def _end_on_record(ledger: Ledger, run: int) -> str | None:
    """The recorded reason of a run's end, which a restarted referee may not know; None before the end."""
    return complete(ledger) or ("stopped on request" if ledger.stop_requested(run) else None)
