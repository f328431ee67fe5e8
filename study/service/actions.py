"""Actions on studies: post, stop, resume; and the jobs that run them."""

import time
from pathlib import Path
from threading import Lock

from study.loop.budget import exceeds
from study.service import redaction, submission
from study.service.cache import POSTED, Look, StudyCache
from study.service.runner import Begun, NoRunnerError, Runner
from study.service.schemas import JobOut, Study
from study.spec import StudySpec
from trainable import disk
from trainable.contract import StudyError

JOB_FRESH_S, RUNNER_RETRY_S = 1.0, 30.0
"""Seconds for which the state of a job is cached; seconds until a silent Ray is called again."""

LIVE = ("waiting", "running")
"""States of a job that has not ended."""


class CompleteError(StudyError):
    """The study has nothing left to do."""


class BusyError(StudyError):
    """The study, or its job, must end before this action."""


class StudyActions:
    """Actions on the studies of a cache, with the runner of their jobs; specs may name files in `data`."""

    def __init__(self, cache: StudyCache, runner: Runner, *, data: Path | None) -> None:
        self.cache, self._runner, self.data = cache, runner, data
        self._jobs: dict[str, tuple[float, JobOut | None]] = {}
        self._away: tuple[float, str] = (0.0, "")
        self._lock = Lock()

    def study(self, name: str, *, writes: bool = True) -> Study:
        """The study as the service shows it, with its last job if it is not running.

        The job is "unknown" if Ray does not answer. Without `writes` the reasons of failures are redacted.
        """
        return self._with_job(self.cache.look(name), writes=writes)

    def line(self, look: Look, *, writes: bool = True) -> str:
        """The study of `look` as JSON, with its last job if it is not running; redacted without `writes`."""
        shown = self._with_job(look, writes=writes)
        return look.line if shown is look.study else shown.model_dump_json()

    def post(self, spec: StudySpec) -> tuple[Study, bool]:
        """Post a spec and start or resume its study; returns the study, and True if it is new.

        Repeating it changes nothing, and repairs a post that was interrupted before its job started.
        NameTakenError if the name belongs to another question, BusyError if a job runs with a smaller budget.
        """
        new = submission.add_study(self.cache, spec)
        look = self.cache.look(spec.name)
        if look.summary.state == "not begun":
            self._begin(spec, look.spec)
        elif exceeds(spec, look.spec):
            self._go_further(spec, look)
        return self.study(spec.name), new

    def _begin(self, spec: StudySpec, known: StudySpec) -> None:
        """Start a study with the spec that was posted last, unless its job has started."""
        begun = self._start(spec)
        if begun.same and spec != known:
            disk.write_atomically(self.cache.home / spec.name / POSTED, spec.as_toml().encode())
        elif not begun.same and exceeds(spec, known):
            raise _busy(spec, begun.job)

    def _go_further(self, spec: StudySpec, look: Look) -> None:
        """Resume a study that has ended with a spec that allows more, if anything is left to do."""
        if look.summary.state == "running":
            raise _busy(spec, None)
        if spec.storage != (there := look.spec.storage):
            raise submission.NameTakenError(
                f"storage.url: the record of {spec.name} is in {there.url or 'its folder'}; leave it there, "
                "or give this study another name"
            )
        if submission.left(self.cache.home / spec.name, spec) and not (begun := self._start(spec)).same:
            raise _busy(spec, begun.job)

    def stop(self, name: str) -> Study:
        """Ask a study to stop, and return it. Does nothing if it is not running."""
        folder, look = self.cache.folder(name), self.cache.look(name)
        if look.summary.state == "complete" and self.study(name).job is None:
            return self.study(name)
        if look.seen is None or not submission.ask_to_stop(folder):
            self._runner.stop(name)
            with self._lock:
                self._jobs.pop(name, None)
        self.cache.forget(name)
        return self.study(name)

    def resume(self, name: str) -> Study:
        """Resume and return a study. CompleteError if nothing is left to do, BusyError while its job ends."""
        folder, look = self.cache.folder(name), self.cache.look(name)
        if look.summary.state == "complete" and not submission.left(folder, look.spec):
            raise CompleteError(
                f"{name}: is complete ({look.summary.reason}); post it with a larger budget to resume it"
            )
        if look.summary.state != "running":
            begun = self._start(look.spec)
            if begun.at is not None and look.seen is not None and submission.driven_since(folder, begun.at):
                raise BusyError(
                    f"{name}: its job {begun.job.id} is still writing the report; ask again in a moment"
                )
        return self.study(name)

    def _with_job(self, look: Look, *, writes: bool) -> Study:
        study, state = look.study, look.summary.state
        if state != "running":
            job = self._job(look.spec.name)
            if state != "complete" or (job is not None and job.state in LIVE):
                study = study.model_copy(update={"job": job})
        return study if writes else redaction.study(study)

    def _start(self, spec: StudySpec) -> Begun:
        begun = self._runner.start(spec)
        self._know(spec.name, begun.job)
        self.cache.forget(spec.name)
        return begun

    def _know(self, name: str, job: JobOut | None) -> None:
        with self._lock:
            self._jobs[name] = (time.monotonic() + JOB_FRESH_S, job)
            self._away = (0.0, "")

    def _job(self, name: str) -> JobOut | None:
        with self._lock:
            until, job = self._jobs.get(name, (0.0, None))
            away_until, why = self._away
        if time.monotonic() < until:
            return job
        if time.monotonic() >= away_until:
            try:
                job = self._runner.last(name)
                self._know(name, job)
                return job
            except NoRunnerError as error:
                why = str(error)
                with self._lock:
                    self._away = (time.monotonic() + RUNNER_RETRY_S, why)
        return JobOut(id="", state="unknown", said=why)


def _busy(spec: StudySpec, job: JobOut | None) -> BusyError:
    what = "it runs" if job is None else f"its job {job.id} was posted"
    return BusyError(
        f"{spec.name}: {what} with a smaller budget or without [confirm]; post again once it has "
        f"ended, or stop it first (POST /studies/{spec.name}/stop)"
    )
