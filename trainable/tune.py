"""Under Ray Tune: `Lane`, a long-lived share of a device, and `TwoTask`, one configuration for any Tuner."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import ray
from ray import tune
from ray._private.state import state

from trainable.contract import SHARINGS, Answer, Config, Exchange, Lease, StudyError
from trainable.data.registry import load
from trainable.job import Job
from trainable.session import Session

STEP_S = 1.0
"""A lane's step lasts one epoch or one second, whichever is longer, so that Tune is called less often. If
checkpoints are due, it ends with the epoch, so a kill costs at most `save_every_s` and one epoch.
"""

log = logging.getLogger(__name__)


class Lane(tune.Trainable):
    """A Session under Tune. `exchange` calls the referee; `jobs` has the job of each lane.

    Checkpoints belong to the study, not to Tune: the session writes and reads them by trial.
    """

    _name = "a lane that does not start"  # Ray asks for it if the setup fails, too

    def setup(self, config: dict[str, Any], *, exchange: Exchange, jobs: Mapping[str, Job]) -> None:
        """Check that this worker runs the driver's code, and start the session."""
        job, self._place = jobs[config["lane"]], _place()
        self._name = f"{job.study} lane {config['lane']}"
        try:
            job.origin.check()
        except StudyError as error:  # a node that joined after the preflight
            raise StudyError(f"node {self._place['address']}: {error}") from None
        checkpoints = job.checkpoints_here
        self._save_every_s = None if checkpoints is None else job.save_every_s
        self._saved = time.monotonic()
        self._begun = False
        self.session = Session(
            job.build,
            slots=job.slots,
            lane=config["lane"],
            exchange=exchange,
            by_user=job.by_user,
            checkpoints=checkpoints,
        )

    def __repr__(self) -> str:
        """The name of this actor in Ray's dashboard, state API and logs."""
        return self._name

    def step(self) -> dict[str, Any]:
        """Advance for a second or an epoch; done when the study is over.

        The first step is one epoch, so that Tune soon sees that the lane has started. A lane on a node that
        Ray takes away saves its trials and gives them back.
        """
        began = time.monotonic() if self._begun else -inf
        self._begun = True
        answer = self.session.advance()
        while not answer.park and time.monotonic() - began < STEP_S and not self._due:
            answer = self.session.advance()
        drained = not self.session.leaving and _draining(self._place["node"])
        if self._due or drained:
            self._keep()
        self.session.leaving |= drained
        if answer.park and not answer.over:
            time.sleep(STEP_S)
        lane = {"lane": self.session.lane, "incarnation": self.session.incarnation, **self._place}
        done, epoch_s = answer.over, self.session.epoch_s
        return {"over": done, "done": done, "place": lane, "epoch_s": epoch_s}

    @property
    def _due(self) -> bool:
        """True if checkpoints are due."""
        return self._save_every_s is not None and time.monotonic() - self._saved >= self._save_every_s

    def _keep(self) -> None:
        """Write the checkpoints; a disk that refuses costs them, not the lane."""
        self._saved = time.monotonic()
        try:
            self.session.keep()
        except OSError as error:
            log.warning("lane %s: no checkpoint: %s", self.session.lane, error)

    def cleanup(self) -> None:
        """Write the checkpoints before Tune ends this process, as when the study is stopped."""
        self._keep()


def _draining(node: str) -> bool:
    """True if Ray has said that it will take this node away: preemption, or `ray drain-node`."""
    return bool(node) and node in state.get_draining_nodes()


def _place() -> dict[str, Any]:
    """Placement of this process by Ray: id and address of the node, and numbers of its GPUs."""
    if not ray.is_initialized():
        return {"node": "", "address": "", "devices": []}
    context = ray.get_runtime_context()
    return {
        "node": context.get_node_id(),
        "address": ray.util.get_node_ip_address(),
        "devices": context.get_accelerator_ids()["GPU"],
    }


class TwoTask(tune.Trainable):
    """One configuration of the two-task model, for a Tuner of your own: MRR and MSE on validation.

    `space()` works with any searcher; the keys of `DEFAULTS` may be set beside it:
    `tune.Tuner(TwoTask, param_space={**TwoTask.space(), "source": "ml-1m", "epochs": 40})`.
    """

    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "source": "ml-100k",
        "split": "per-user",
        "seed": 0,
        "rating_weight": 0.01,
        "sharing": "both",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "ranking_loss": "one-minus-sigmoid",
        "batch_size": 256,
        "dim": 32,
        "hidden": 64,
        "epochs": 20,
        "evaluate_every": 1,
        "average": 0.0,
        "negatives": "all",
    }

    @staticmethod
    def space() -> dict[str, Any]:
        """Space of λ_R = 1 − λ_F and learning rate, uniform on the log scale, and the sharing of tables."""
        return {
            "rating_weight": tune.loguniform(3e-4, 0.5),
            "sharing": tune.choice(list(SHARINGS)),
            "learning_rate": tune.loguniform(5e-4, 6e-3),
        }

    def setup(self, config: dict[str, Any]) -> None:
        """Load the data, and start a session with one slot."""
        values = {**self.DEFAULTS, **config}
        fold = load(values["source"], split=values["split"], split_seed=0).search
        lease = Lease(0, 1, Config.from_dict({**values, "weight": 1 - values["rating_weight"]}), (0,))
        self.epochs = lease.config.epochs
        self.session = Session(
            Job(fold=fold, seed=values["seed"]).build,
            slots=1,
            lane="alone",
            exchange=lambda report: Answer(1, leases=() if report.held else (lease,)),
        )

    def step(self) -> dict[str, Any]:
        """Train to the next measurement and return it by name; done after the last epoch."""
        self.session.advance()
        while not self.session.measured:
            self.session.advance()
        measured = asdict(self.session.measured[0])
        del measured["users"]
        return measured | {"done": measured["epoch"] == self.epochs}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write a checkpoint of the slot to Tune's folder."""
        self.session.save(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint: str | None) -> None:
        """Restore the slot; CheckpointError for a damaged checkpoint."""
        if checkpoint is not None:
            self.session.load(Path(checkpoint))
