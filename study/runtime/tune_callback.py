"""What Tune asks on the driver after every result of a lane: whether the run is over."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from study.loop.referee import FRUITLESS_STARTS
from study.record.ledger import Ledger
from study.record.optuna_storage import STORAGE_ERRORS
from study.record.rows import Place, Stage
from trainable.contract import StudyError

HUNG_S = 600.0
"""When no lane has had a result for so long, and for ten epochs, all of them hang: none is left that asks
the referee, which takes trials from silent lanes.
"""

SETUP_FAILURES = FRUITLESS_STARTS
"""Times in a row that a lane may fail to start before the run gives up."""

MENDABLE = f"{StudyError.__module__}.{StudyError.__name__}"
"""In a lane's error: only the user can mend it, and starting again will not."""


class Watch(tune.Stopper, tune.Callback):
    """Ends Tune's run when the referee is done, or when lanes cannot even start; notes where lanes are."""

    def __init__(self, folder: Path, stage: Stage, referee: Any) -> None:
        self._referee = referee
        self.over = False
        self.failure: str | None = None
        self._record = folder, stage  # Tune pickles this; a Ledger is no thing to be pickled
        self._noted: set[tuple[str, int]] = set()
        self._failed: dict[str, int] = {}
        self._heard: float | None = None
        self._longest_s = 0.0

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether this lane is done; the first that hears of the end ends all."""
        self._failed.pop(trial_id, None)
        self._heard = time.monotonic()
        self._longest_s = max(self._longest_s, result["epoch_s"])
        self._note(Place(**result["place"]))
        self.over = self.over or result["over"]
        return self.over

    def _note(self, place: Place) -> None:
        """Put on record where a lane is, once; where the database is away, after its next result."""
        key = place.lane, place.incarnation
        if place.incarnation < 1 or key in self._noted:  # below: it has no number yet
            return
        folder, stage = self._record
        try:
            with closing(Ledger.read(folder, stage=stage)) as ledger:
                ledger.note_place(place)
        except STORAGE_ERRORS:
            return
        self._noted.add(key)

    def stop_all(self) -> bool:
        """Whether the run ends, pending lanes and all."""
        return self.over

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:  # noqa: ARG002
        """See whether all lanes hang that have had a result; those that are yet to start are waited for."""
        if self._heard is None:
            return
        if not any(trial.status == Trial.RUNNING for trial in trials):
            self._heard = time.monotonic()
        silent_s = time.monotonic() - self._heard
        if silent_s > max(HUNG_S, 10 * self._longest_s):
            self.over = True
            self.failure = f"no lane has had a result for {silent_s:.0f} s; run the study again to go on"

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002
        """Tell the referee that a lane's process has ended, and count its failures since its last result."""
        self._referee.lose.remote(trial.config["lane"])
        failed = self._failed[trial.trial_id] = self._failed.get(trial.trial_id, 0) + 1
        said = _last_line(trial)
        if MENDABLE in said or failed > SETUP_FAILURES:
            self.over = True
            self.failure = f"a lane failed {failed} times without a result: {said}"


def _last_line(trial: Trial) -> str:
    """The last line of a lane's error, which names it."""
    text = str(trial.get_error() or "no error on record")
    return text.strip().splitlines()[-1]
