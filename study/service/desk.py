"""What is done to studies: posted, stopped, gone on with; and the jobs that run them."""

import time
from pathlib import Path
from threading import Lock

from study.service import posting
from study.service.answers import Job, Study
from study.service.runner import NoRunnerError, Runner
from study.service.shelf import Look, Shelf
from study.spec import StudySpec
from trainable.contract import StudyError

ASKED_S = 1.0
"""How old what is known of a job may be."""

DRIVEN = ("running", "complete")
"""States in which the record says all; in the others the last job may say more."""


class CompleteError(StudyError):
    """A study that has nothing left to do."""


class Desk:
    """The studies of a shelf, and what runs them."""

    def __init__(self, shelf: Shelf, runner: Runner, *, data: Path | None) -> None:
        self.shelf, self._runner, self._data = shelf, runner, data
        self._jobs: dict[str, tuple[float, Job | None]] = {}
        self._lock = Lock()

    def study(self, name: str) -> Study:
        """All that is told of a study. Where what runs studies does not answer, the job is not told."""
        return self._told(self.shelf.look(name))

    def line(self, look: Look) -> str:
        """The same as JSON, of one look at the record; made once for each where the job is not asked for."""
        return look.line if look.summary.state in DRIVEN else self._told(look).model_dump_json()

    def post(self, body: bytes, kind: str) -> tuple[Study, bool]:
        """The study that a body describes, and whether it is new; begun if it was not.

        Repeating it changes nothing, and mends a post that was cut off before its job had begun.
        """
        spec = posting.parsed(body, kind, data=self._data)
        new = posting.put(self.shelf, spec)
        if self.shelf.look(spec.name).summary.state == "not begun":
            self._start(self.shelf.look(spec.name).spec)
        return self.study(spec.name), new

    def stop(self, name: str) -> Study:
        """The study, asked to stop. One that does not run is left as it is."""
        folder, look = self.shelf.folder(name), self.shelf.look(name)
        if look.summary.state == "complete":
            return self.study(name)
        if look.seen is None or not posting.ask_to_stop(folder):
            self._runner.stop(name)
            self._forget(name)
        self.shelf.forget(name)
        return self.study(name)

    def resume(self, name: str) -> Study:
        """The study, going on where it was. CompleteError where nothing is left to do."""
        look = self.shelf.look(name)
        if look.summary.state == "complete":
            raise CompleteError(f"{name}: is complete ({look.summary.reason})")
        if look.summary.state != "running":
            self._start(look.spec)
        return self.study(name)

    def _told(self, look: Look) -> Study:
        if look.summary.state in DRIVEN:
            return look.study
        return look.study.model_copy(update={"job": self._job(look.spec.name)})

    def _start(self, spec: StudySpec) -> None:
        job = self._runner.start(spec)
        with self._lock:
            self._jobs[spec.name] = (time.monotonic() + ASKED_S, job)
        self.shelf.forget(spec.name)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._jobs.pop(name, None)

    def _job(self, name: str) -> Job | None:
        with self._lock:
            until, job = self._jobs.get(name, (0.0, None))
        if time.monotonic() < until:
            return job
        try:
            job = self._runner.last(name)
        except NoRunnerError as error:
            return Job(id="", state="unknown", said=str(error))
        with self._lock:
            self._jobs[name] = (time.monotonic() + ASKED_S, job)
        return job
