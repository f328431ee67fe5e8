"""What is done to studies: posted, stopped, gone on with; and the jobs that run them."""

import time
from pathlib import Path
from threading import Lock

from study.loop.budget import exceeds
from study.service import redaction, submission
from study.service.cache import Look, Shelf
from study.service.runner import Begun, NoRunnerError, Runner
from study.service.schemas import Job, Study
from study.spec import StudySpec
from trainable.contract import StudyError

ASKED_S, AWAY_S = 1.0, 30.0
"""How old what is known of a job may be; how long what runs studies is left alone once it was silent."""

LIVE = ("waiting", "running")
"""States of a job that has not ended."""


class CompleteError(StudyError):
    """A study that has nothing left to do."""


class BusyError(StudyError):
    """A study of which something has to end before it goes on."""


class Desk:
    """The studies of a shelf, and what runs them."""

    def __init__(self, shelf: Shelf, runner: Runner, *, data: Path | None) -> None:
        self.shelf, self._runner, self._data = shelf, runner, data
        self._jobs: dict[str, tuple[float, Job | None]] = {}
        self._away: tuple[float, str] = (0.0, "")
        self._lock = Lock()

    def study(self, name: str, *, writes: bool = True) -> Study:
        """The study as the service shows it, with the last job where the record is incomplete.

        The job is "unknown" where Ray does not answer. Without `writes` the words of a failure are left out.
        """
        told = self._told(self.shelf.look(name))
        return told if writes else redaction.study(told)

    def line(self, look: Look, *, writes: bool = True) -> str:
        """The same as JSON, of one look at the record; made once for each where the record says all."""
        told = self._told(look)
        if not writes:
            told = redaction.study(told)
        return look.line if told is look.study else told.model_dump_json()

    def parsed(self, body: bytes, kind: str) -> StudySpec:
        """The spec in a request's body. SpecError where it is not valid, or names what it may not."""
        return submission.parsed(body, kind, data=self._data)

    def post(self, spec: StudySpec) -> tuple[Study, bool]:
        """The study of a spec, and whether it is new; begun if it was not, and going on if it may go further.

        Repeating it changes nothing, and mends a post that was cut off before its job had begun. TakenError
        where the name asks another question, BusyError where a job goes by less than this spec allows.
        """
        new = submission.put(self.shelf, spec)
        look = self.shelf.look(spec.name)
        if look.summary.state == "not begun":
            self._begin(spec, look.spec)
        elif exceeds(spec, look.spec):
            self._go_further(spec, look)
        return self.study(spec.name), new

    def _begin(self, spec: StudySpec, known: StudySpec) -> None:
        """Let a study begin by the spec that was posted last, unless it begins already."""
        begun = self._start(spec)
        if begun.same and spec != known:
            submission.replace(self.shelf.home / spec.name, spec)
        elif not begun.same and exceeds(spec, known):
            raise _busy(spec, begun.job)

    def _go_further(self, spec: StudySpec, look: Look) -> None:
        """Let a study that has ended go on by a spec that may go further, if that leaves anything to do."""
        if look.summary.state == "running":
            raise _busy(spec, None)
        if spec.storage != (there := look.spec.storage):
            raise submission.TakenError(
                f"storage.url: the record of {spec.name} is in {there.url or 'its folder'}; leave it there, "
                "or give this study another name"
            )
        if submission.left(self.shelf.home / spec.name, spec) and not (begun := self._start(spec)).same:
            raise _busy(spec, begun.job)

    def stop(self, name: str) -> Study:
        """The study, asked to stop. One that does not run is left as it is."""
        folder, look = self.shelf.folder(name), self.shelf.look(name)
        if look.summary.state == "complete" and self.study(name).job is None:
            return self.study(name)
        if look.seen is None or not submission.ask_to_stop(folder):
            self._runner.stop(name)
            self._forget(name)
        self.shelf.forget(name)
        return self.study(name)

    def resume(self, name: str) -> Study:
        """The study, going on where it was. CompleteError where nothing is left to do, BusyError where its
        job has yet to end.
        """
        folder, look = self.shelf.folder(name), self.shelf.look(name)
        if look.summary.state == "complete" and not submission.left(folder, look.spec):
            raise CompleteError(
                f"{name}: is complete ({look.summary.reason}); post it with a larger budget to go on"
            )
        if look.summary.state != "running":
            begun = self._start(look.spec)
            if begun.at is not None and look.seen is not None and submission.driven_since(folder, begun.at):
                raise BusyError(
                    f"{name}: its job {begun.job.id} still writes its report; ask again in a moment"
                )
        return self.study(name)

    def _told(self, look: Look) -> Study:
        if look.summary.state == "running":
            return look.study
        job = self._job(look.spec.name)
        if look.summary.state == "complete" and (job is None or job.state not in LIVE):
            return look.study
        return look.study.model_copy(update={"job": job})

    def _start(self, spec: StudySpec) -> Begun:
        begun = self._runner.start(spec)
        self._know(spec.name, begun.job)
        self.shelf.forget(spec.name)
        return begun

    def _know(self, name: str, job: Job | None) -> None:
        with self._lock:
            self._jobs[name] = (time.monotonic() + ASKED_S, job)
            self._away = (0.0, "")

    def _forget(self, name: str) -> None:
        with self._lock:
            self._jobs.pop(name, None)

    def _job(self, name: str) -> Job | None:
        with self._lock:
            until, job = self._jobs.get(name, (0.0, None))
            away_until, why = self._away
        if time.monotonic() < until:
            return job
        if time.monotonic() < away_until:
            return Job(id="", state="unknown", said=why)
        try:
            job = self._runner.last(name)
        except NoRunnerError as error:
            with self._lock:
                self._away = (time.monotonic() + AWAY_S, str(error))
            return Job(id="", state="unknown", said=str(error))
        self._know(name, job)
        return job


def _busy(spec: StudySpec, job: Job | None) -> BusyError:
    what = "it runs" if job is None else f"job {job.id} is there"
    return BusyError(
        f"{spec.name}: {what} with a smaller budget or without [confirm]; post this again once that has "
        f"ended, or stop it first (POST /studies/{spec.name}/stop)"
    )
