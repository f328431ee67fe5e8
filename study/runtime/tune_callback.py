"""Tune's stopper and callback on the driver: ends the run, and records where lanes are."""

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
"""Silence of all lanes that ends a run, if it is also longer than ten epochs. The referee takes trials only
from a silent lane beside lanes that still call it.
"""

SETUP_FAILURES = FRUITLESS_STARTS
"""Failures of a lane without a result in between, before the run gives up."""

MENDABLE = f"{StudyError.__module__}.{StudyError.__name__}"
"""Marks a lane's error that only the user can fix; restarting the lane does not help."""


class TuneCallback(tune.Stopper, tune.Callback):
    """Ends Tune's run when the referee is done or lanes cannot start; records where lanes are."""

    def __init__(self, folder: Path, stage: Stage, referee: Any) -> None:
        self._referee = referee
        self.over = False
        self.failure: str | None = None
        self._record = folder, stage  # Tune pickles this object; a Ledger cannot be pickled
        self._noted: set[tuple[str, int]] = set()
        self._failed: dict[str, int] = {}
        self._heard: float | None = None
        self._longest_s = 0.0

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """True if this lane is done; the first that learns of the end ends all."""
        self._failed.pop(trial_id, None)
        self._heard = time.monotonic()
        self._longest_s = max(self._longest_s, result["epoch_s"])
        self._note(Place(**result["place"]))
        self.over = self.over or result["over"]
        return self.over

    def _note(self, place: Place) -> None:
        """Record a lane's place once; if the database is away, after the lane's next result."""
        key = place.lane, place.incarnation
        if place.incarnation < 1 or key in self._noted:  # it has no number yet
            return
        folder, stage = self._record
        try:
            with closing(Ledger.read(folder, stage=stage)) as ledger:
                ledger.note_place(place)
        except STORAGE_ERRORS:
            return
        self._noted.add(key)

    def stop_all(self) -> bool:
        """True if the run ends, with its pending lanes."""
        return self.over

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:  # noqa: ARG002
        """End the run if all lanes hang. It waits before the first result, and while no lane runs."""
        if self._heard is None:
            return
        if not any(trial.status == Trial.RUNNING for trial in trials):
            self._heard = time.monotonic()
        silent_s = time.monotonic() - self._heard
        if silent_s > max(HUNG_S, 10 * self._longest_s):
            self.over = True
            self.failure = f"no lane has had a result for {silent_s:.0f} s; run the study again to resume it"

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002
        """Report a lane's end to the referee, and count the lane's failures since its last result."""
        self._referee.lose.remote(trial.config["lane"])
        failed = self._failed[trial.trial_id] = self._failed.get(trial.trial_id, 0) + 1
        error = _last_line(trial)
        if MENDABLE in error or failed > SETUP_FAILURES:
            self.over = True
            self.failure = f"a lane failed {failed} times without a result: {error}"


def _last_line(trial: Trial) -> str:
    """The last line of a lane's error, which names the error."""
    text = str(trial.get_error() or "no error on record")
    return text.strip().splitlines()[-1]
