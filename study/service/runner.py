"""Run studies for the service as jobs on Ray, which survive the service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from study.service.schemas import JobOut, JobState
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
"""Our name of each of Ray's job states."""


class NoRunnerError(StudyError):
    """The Ray that runs studies does not answer, or refuses."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The job that runs a study; `same` is True if it runs an equal spec.

    `at` is the start of a job that was found, in seconds since 1970; None if it waits or is new.
    """

    job: JobOut
    same: bool
    at: float | None = None


class Runner(Protocol):
    """Runs studies as jobs. Every method may raise NoRunnerError."""

    def start(self, spec: StudySpec) -> Begun:
        """The live job of the study; starts one if there is none."""
        ...

    def last(self, name: str) -> JobOut | None:
        """The last job of the study; None if there is none."""
        ...

    def stop(self, name: str) -> None:
        """End the study's live job, if any: for a study that has no record yet to request a stop in."""
        ...


class Jobs:
    """Runs studies in the folder `home`, a "studies", through the Jobs API of the Ray at `address`."""

    def __init__(self, address: str, home: Path) -> None:
        self._address, self._home = address, home
        self._known: Head | None = None

    def start(self, spec: StudySpec) -> Begun:
        """The live job; starts one if there is none. Of two concurrent calls, one finds the other's job."""
        runtime = spec.runtime.model_copy(update={"home": str(self._home.parent)})
        with self._head() as head:
            submitted = head.submit(spec.model_copy(update={"runtime": runtime}))
        job = JobOut(id=submitted.job, state="running" if submitted.at else "waiting", said="")
        return Begun(job, submitted.same, submitted.at)

    def last(self, name: str) -> JobOut | None:
        """The last job of the study."""
        with self._head() as head:
            last = head.last(name)
        if last is None:
            return None
        return JobOut(id=last.submission_id, state=STATES[last.status.value], said=last.message or "")

    def stop(self, name: str) -> None:
        """End the live job."""
        with self._head() as head:
            head.cancel(name)

    @contextmanager
    def _head(self) -> "Iterator[Head]":
        """The head, connected once; its errors become NoRunnerError."""
        from study.remote.jobs import Head  # slow, and Ray reads its token at import

        try:
            if self._known is None:
                self._known = Head(self._address)
            yield self._known
        except StudyError as error:
            raise NoRunnerError(str(error)) from error
