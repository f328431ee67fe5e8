"""Client of a cluster's head: submits studies, follows them and runs commands there, over Ray's Jobs API.

A study runs there as the job NAME-1, NAME-2 …: Ray refuses an id that was used once, so if two clients submit
the same study at the same moment, one starts it and the other finds it. Every other command is a short job
that prints its answer into its log (`study.remote.result`). It needs neither torch nor the database.
"""

import shlex
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from ray.job_submission import JobDetails

from study.remote.ray_client import ClusterAwayError, RefusedError, connected
from study.remote.result import CommandResult, unpacked
from study.runtime.placement import Node, seats
from study.spec import StudySpec
from trainable.contract import StudyError

HEAD_AWAY_S, REQUEST_S, MOST_LOOK_S = 15.0, 7.0, 5.0
"""While a job is followed: the longest absence of its head, the timeout of a request, and the longest
interval between two requests. Together they notice a dead head within 30 s.
"""

UNREAD_S = 120.0
"""The longest time without a job's log while its head answers: the agent that reads it may still start."""

READY_S = 60.0
"""Longest time for which a head that has just started may answer "try again later"."""

JOB_LOOK_S, WAIT_PER_LOOK = 0.5, 5
"""Shortest pause between two looks at a job: in seconds, and as a multiple of the time that a look takes."""

ENTRY = "Running entrypoint for job "
"""Start of the line in a job's log that precedes the job's own output."""

OUR_PACKAGES = ("study", "trainable", "analysis")
PYTHON = "python -P -m"
"""`python` is that of the head's PATH; -P keeps the study's home off its path."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job that runs a study: begun just now, or found; `same` is True if it has exactly the same spec.

    `at` is the start of a found job in seconds since 1970, by the head's clock; None while it waits.
    """

    job: str
    begun: bool
    same: bool
    at: float | None = None


@dataclass(frozen=True, slots=True)
class JobEnd:
    """The end of a job: SUCCEEDED, FAILED or STOPPED, its command's exit code, and Ray's message."""

    status: str
    code: int
    message: str


class Head:
    """The head at `address`, as "http://head:8265"; "auto" on a machine of the cluster.

    StudyError if nothing answers there, something else does, or it refuses access.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = connected(address)

    # --- the jobs of studies ---------------------------------------------------------------------------

    def submit(self, spec: StudySpec, *, with_package: bool = False) -> Submitted:
        """The job that runs the study of `spec`: the live one, or one that begins now.

        Only the spec is sent, and `with_package` this machine's pareto-study with it. The study lies in
        `studies/NAME` of runtime.home there, or of the home folder of Ray's user. A live job that confirms
        the study is found, too. StudyError if a job with another question runs under this name, or no lane
        fits on the cluster.
        """
        seats(spec.runtime, self.nodes(), grows=self.grows)
        spec = spec.model_copy(update={"runtime": spec.runtime.model_copy(update={"address": "auto"})})
        metadata = {
            "study": spec.name,
            "fingerprint": spec.fingerprint,
            "spec": sha256(spec.as_toml().encode()).hexdigest(),
            "home": spec.runtime.home or "",
            "package": "sent" if with_package else "",
        }
        at = _at(metadata["home"])
        entrypoint = f'spec="$PWD/study.toml" && {at} && exec {PYTHON} study run "$spec"'
        found, known = self._begin(entrypoint, metadata, spec)
        if known["fingerprint"] != spec.fingerprint:
            raise StudyError(
                f"name: {spec.name!r} runs there with another spec, as job {found.job}; give this one "
                f"another name, or `study stop {spec.name} --address {self.address}` first"
            )
        return found

    def confirm(self, study: str, *, fingerprint: str, unfinished: bool) -> Submitted:
        """The job that confirms the study of this name and fingerprint: the live one, or a new one.

        StudyError while a job runs its search.
        """
        last = self._jobs(study)[-1:]
        home, package = (last[0].metadata["home"], last[0].metadata["package"]) if last else ("", "")
        metadata = {"study": study, "fingerprint": fingerprint, "spec": "", "home": home, "package": package}
        words = shlex.join([study, "confirm", study, *(["--unfinished"] if unfinished else [])])
        found, known = self._begin(f"{_at(home)} && exec {PYTHON} study.remote.homes {words}", metadata)
        if known["spec"]:
            raise StudyError(
                f"{study}: job {found.job} runs its search; wait for its end, or "
                f"`study stop {study} --address {self.address}` first"
            )
        return found

    def follow(self, job: str) -> Iterator[str]:
        """A job's log, in pieces, until it ends; ClusterAwayError or RefusedError if its head stays away."""
        sent, heard, read = 0, time.monotonic(), time.monotonic()
        while True:
            began = time.monotonic()
            over, log = False, ""
            try:
                with self._client.answering_within(REQUEST_S):
                    ended = self._client.get_job_info(job).status.is_terminal()
                    heard = time.monotonic()
                    log = str(self._client.get_job_logs(job))
                over, read = ended, time.monotonic()
            except (ClusterAwayError, RefusedError):
                now = time.monotonic()
                if now - heard > HEAD_AWAY_S or now - read > UNREAD_S:
                    raise
            _, entry, rest = log.partition(ENTRY)
            log = rest.partition("\n")[2] if entry else ""
            if log[sent:]:
                yield log[sent:]
                sent = len(log)
            if over:
                return
            time.sleep(min(max(JOB_LOOK_S, WAIT_PER_LOOK * (time.monotonic() - began)), MOST_LOOK_S))

    def ended(self, job: str) -> JobEnd | None:
        """The end of a job; None while it is live."""
        details = self._client.get_job_info(job)
        if not details.status.is_terminal():
            return None
        status, code = details.status.value, details.driver_exit_code
        if code is None:
            code = 0 if status == "SUCCEEDED" else 1
        return JobEnd(status, code, details.message or "")

    def stop(self, study: str) -> CommandResult:
        """Run `study stop` there and return its answer; a job without a record yet is stopped through Ray."""
        answer = self.ask(["stop", study], study=study)
        if answer.code and (live := self._live(study)) is not None:
            self._client.stop_job(live.submission_id)
            return CommandResult(0, f"{study}: job {live.submission_id} stopped before it began\n", "", {})
        return answer

    def last(self, study: str) -> JobDetails | None:
        """The last job of a study; None if it had none."""
        return next(reversed(self._jobs(study)), None)

    def cancel(self, study: str) -> None:
        """End the live job of a study, if any, as a signal would."""
        if (live := self._live(study)) is not None:
            self._client.stop_job(live.submission_id)

    def live(self) -> list[str]:
        """Running and waiting jobs on the cluster: studies by name, other jobs by id."""
        jobs = (job for job in self._client.list_jobs() if not job.status.is_terminal())
        return sorted((job.metadata or {}).get("study") or job.submission_id or job.job_id for job in jobs)

    def nodes(self) -> list[Node]:
        """The nodes of the cluster. Its head is one: a cluster without nodes has just started."""
        began = time.monotonic()
        while not (found := self._alive()) and time.monotonic() - began < READY_S:
            time.sleep(JOB_LOOK_S)
        return found

    @property
    def grows(self) -> bool:
        """True if the autoscaler of a cluster file may add nodes. That of KubeRay is unknown from here."""
        status = self._client.get("/api/cluster_status")["data"].get("clusterStatus") or {}
        types = ((status.get("autoscalerReport") or {}).get("nodeTypeMapping") or {}).values()
        return not all(name.startswith("node_") for name in types)

    # --- short jobs ------------------------------------------------------------------------------------

    def ask(
        self,
        arguments: Sequence[str],
        *,
        study: str | None = None,
        files: Sequence[str] = (),
        take: Sequence[str] = (),
        width: int = 80,
    ) -> CommandResult:
        """Run the command `arguments` in the home of `study` there; return its answer with `files`. Those to
        `take` are removed there.
        """
        known = self._jobs(study)[-1:]
        home = known[0].metadata["home"] if known and study is not None else ""
        options = [f"--study={study or ''}", *(f"--take={file}" for file in take)]
        line = shlex.join([*options, *files, "--", *arguments])
        entrypoint = f"{_at(home)} && COLUMNS={width} exec {PYTHON} study.remote.result {line}"
        name = f"ask-{uuid.uuid4().hex[:12]}"
        with TemporaryDirectory() as folder:
            package = bool(known and known[0].metadata["package"])
            _stage(Path(folder), None, with_package=package)
            self._start(name, entrypoint, {"asks": shlex.join(arguments)}, folder if package else None)
        log = "".join(self.follow(name))
        ended = self.ended(name)
        answer = unpacked(log)
        if answer is None:
            *_, last = (log.strip() or (ended.message if ended else "")).splitlines() or ["no output"]
            raise StudyError(
                f"{self.address}: no pareto-study answered there ({last}); `python` on the PATH of Ray's "
                "head must have this machine's version of it"
            )
        self._client.delete_job(name)
        return answer

    # --- inside ----------------------------------------------------------------------------------------

    def _alive(self) -> list[Node]:
        answer = self._client.get("/api/v0/nodes?limit=10000&detail=1")
        return [
            Node(
                node["node_id"],
                node["node_ip"],
                node["resources_total"].get("CPU", 0.0),
                node["resources_total"].get("GPU", 0.0),
                node["resources_total"],
                node["labels"],
            )
            for node in answer["data"]["result"]["result"]
            if node["state"] == "ALIVE"
        ]

    def _start(self, name: str, entrypoint: str, metadata: dict[str, str], folder: str | None) -> bool:
        """Start a job in a copy of `folder`; return False if its name is taken."""
        environment = {} if folder is None else {"working_dir": folder}
        began = time.monotonic()
        while True:
            try:
                self._client.submit_job(
                    entrypoint=entrypoint, submission_id=name, metadata=metadata, runtime_env=environment
                )
            except RefusedError as error:
                if any(job.submission_id == name for job in self._client.list_jobs()):
                    return False
                if "try again later" not in str(error) or time.monotonic() - began > READY_S:
                    raise
                time.sleep(JOB_LOOK_S)
            else:
                return True

    def _begin(
        self, entrypoint: str, metadata: dict[str, str], spec: StudySpec | None = None
    ) -> tuple[Submitted, dict[str, str]]:
        """Start a job of the study, or find its live job; return it with its metadata."""
        study, package = metadata["study"], bool(metadata["package"])
        while (live := self._live(study)) is None:
            name = f"{study}-{max((_number(job) for job in self._jobs(study)), default=0) + 1}"
            with TemporaryDirectory() as folder:
                _stage(Path(folder), spec, with_package=package)
                if self._start(name, entrypoint, metadata, folder if package or spec else None):
                    return Submitted(name, begun=True, same=True), metadata
        at = live.start_time / 1e3 if live.start_time else None
        same = live.metadata["spec"] in ("", metadata["spec"])
        return Submitted(live.submission_id, begun=False, same=same, at=at), live.metadata

    def _live(self, study: str) -> JobDetails | None:
        return next((job for job in self._jobs(study) if not job.status.is_terminal()), None)

    def _jobs(self, study: str | None) -> list[JobDetails]:
        """The jobs that run this study (None: any study), the oldest first."""
        ours = (job for job in self._client.list_jobs() if "fingerprint" in (job.metadata or {}))
        found = (job for job in ours if study in (job.metadata["study"], None))
        return sorted(found, key=lambda job: (job.start_time or 0, _number(job)))


def _number(job: JobDetails) -> int:
    """The number at the end of a job's name."""
    return int(job.submission_id.rpartition("-")[2])


def _stage(folder: Path, spec: StudySpec | None, *, with_package: bool) -> None:
    """Put a job's files into `folder`: the spec, and this machine's package if asked for."""
    if spec is not None:
        (folder / "study.toml").write_text(spec.as_toml(), encoding="utf-8")
    if not with_package:
        return
    here = Path(__file__).parents[2]
    for name in OUR_PACKAGES:
        shutil.copytree(here / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    package = distribution("pareto-study")
    facts = folder / f"pareto_study-{package.version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(package.read_text("METADATA") or "", encoding="utf-8")


def _at(home: str) -> str:
    """Shell words that change to the folder that contains `studies/`."""
    return f"mkdir -p {shlex.quote(home)} && cd {shlex.quote(home)}" if home else "cd"
