"""What runs studies for the service: jobs on a Ray, which go on whatever becomes of the service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from study.service.schemas import Job, JobState
from study.spec import StudySpec
from trainable.contract import StudyError

if TYPE_CHECKING:
    from study.remote.jobs import Head

STATES: Mapping[str, JobState] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "SUCCEEDED": "ended",
    "FAILED": "failed",
    "STOPPED": "stopped",
}
"""Ray's words for a job's state, in ours."""


class NoRunnerError(StudyError):
    """What runs studies does not answer now, or refuses."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The job that runs a study: begun `now`, or found; `same` says whether with the very same spec.

    `at` is when one that was found began, in seconds since 1970; None where it waits.
    """

    job: Job
    now: bool
    same: bool
    at: float | None = None


class Runner(Protocol):
    """Runs studies elsewhere. Every method may raise NoRunnerError."""

    def start(self, spec: StudySpec) -> Begun:
        """The job that runs the study: the live one if there is one, else one that begins now."""
        ...

    def last(self, name: str) -> Job | None:
        """The last job that was to run the study; None where there was none."""
        ...

    def stop(self, name: str) -> None:
        """End the study's live job, if there is one: for a study that has no record to ask through yet."""
        ...


class Jobs:
    """Runs studies through the Jobs API of the Ray at `address`; there they lie in `home`, a "studies"."""

    def __init__(self, address: str, home: Path) -> None:
        self._address, self._home = address, home
        self._known: Head | None = None

    def start(self, spec: StudySpec) -> Begun:
        """The live job, or one that begins now; of two that start one at once, one finds the other's."""
        runtime = spec.runtime.model_copy(update={"home": str(self._home.parent)})
        with self._head() as head:
            submitted = head.submit(spec.model_copy(update={"runtime": runtime}))
        job = Job(id=submitted.job, state="running" if submitted.at else "waiting", said="")
        return Begun(job, submitted.begun, submitted.same, submitted.at)

    def last(self, name: str) -> Job | None:
        """The last job of the study."""
        with self._head() as head:
            last = head.last(name)
        return None if last is None else Job(id=last.id, state=STATES[last.status], said=last.message)

    def stop(self, name: str) -> None:
        """End the live job."""
        with self._head() as head:
            head.cancel(name)

    @contextmanager
    def _head(self) -> "Iterator[Head]":
        """The head, asked who it is once; what it refuses is NoRunnerError."""
        from study.remote.jobs import Head  # Ray reads its token when it is imported, and takes seconds

        try:
            if self._known is None:
                self._known = Head(self._address)
            yield self._known
        except StudyError as error:
            raise NoRunnerError(str(error)) from error
