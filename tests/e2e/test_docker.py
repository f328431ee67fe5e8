"""The image and docker/compose.yaml, in a real engine: a study goes through Jobs to its report.

The base of the image and PostgreSQL's are made here, from Debian's packages; all else is what a user gets.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from command import STUDY
from engine import ROOT, Engine, base, require, wheels

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.postgres, pytest.mark.timeout(1800)]

BASE, IMAGE, POSTGRES = "debian-python:test", "pareto-study:test", "debian-postgres:test"
TOKEN, PASSWORD = "t0ken-of-the-test-0123456789abcdef", "passw0rd-of-the-test"
VARIABLES = {
    "STUDY_IMAGE": IMAGE,
    "POSTGRES_IMAGE": POSTGRES,
    "RAY_AUTH_TOKEN": TOKEN,
    "POSTGRES_PASSWORD": PASSWORD,
}
HEAD, SERVICE = "http://127.0.0.1:8265", "http://127.0.0.1:8300"
LAPTOP = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
DATABASE = "storage.url=env:STUDY_DATABASE"

POST = f"""
import sys
from pathlib import Path
from study import Client
from study.spec import resolve

client = Client({SERVICE!r}, sys.argv[1])
client.post(resolve("smoke", ["name=posted", {DATABASE!r}], Path("studies")))
*_, last = client.events("posted")
assert "posted" in client.report("posted")
print(last.summary.state, last.summary.counts.completed)
"""


@pytest.fixture(scope="module")
def built() -> Iterator[tuple[Engine, Path]]:
    """A stopped engine that has the images."""
    require()
    memory = Path("/dev/shm")  # images are some hundred thousand files: a disk takes minutes to remove them
    folder = Path(tempfile.mkdtemp(prefix="pareto-docker-", dir=memory if memory.is_dir() else None))
    engine = Engine(folder)
    try:
        with engine.running(), wheels(folder / "wheels") as pip:
            (folder / "pip.conf").write_text(pip, encoding="utf-8")
            base(engine, folder, BASE)
            here = ("build", "--network=host", "--build-arg", f"BASE_IMAGE={BASE}")
            secret = f"id=pip,src={folder / 'pip.conf'}"
            engine.docker(
                *here, "--secret", secret, "--file", ROOT / "docker/Dockerfile", "--tag", IMAGE, ROOT
            )
            engine.docker(*here, "--tag", POSTGRES, ROOT / "tests/support/postgres-image")
        yield engine, folder
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Cluster:
    """The compose file, up, and a laptop in its network."""

    engine: Engine
    folder: Path
    token: str
    """One of the service's, to write with."""

    def study(self, *arguments: str, **variables: str) -> str:
        """The output of `study` on the laptop."""
        return self.engine.near([STUDY, *arguments], LAPTOP | variables, self.folder)

    def asked(self, headers: dict[str, str]) -> int:
        """The head's status for a list of its jobs, asked for with these headers."""
        code = f"import requests; print(requests.get('{HEAD}/api/jobs/', headers={headers}).status_code)"
        command = [sys.executable, "-c", code]
        return int(self.engine.near(command, {}, self.folder))

    def head(self, *command: str) -> str:
        """The output of a command in the head's container."""
        return self.engine.compose("exec", "--no-TTY", "head", *command, variables=VARIABLES)


@pytest.fixture(scope="module")
def cluster(built: tuple[Engine, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """PostgreSQL, a head, a worker and the service, all healthy."""
    engine, _ = built
    up = ("up", "--detach", "--wait", "--no-build", "--pull=never")
    create = ("study", "token", "create", "--scope=write", "--expires=1h")
    with engine.running(isolated=True):
        try:
            engine.compose(*up, variables=VARIABLES)
            token = engine.compose("run", "--rm", "--no-deps", "service", *create, variables=VARIABLES)
            engine.compose("--profile=service", *up, variables=VARIABLES)
            yield Cluster(engine, tmp_path_factory.mktemp("laptop"), token.strip())
        finally:
            engine.compose("--profile=service", "down", "--volumes", "--timeout=5", variables=VARIABLES)


def test_a_study_goes_through_jobs_to_its_report(cluster: Cluster) -> None:
    cluster.study("submit", "smoke", "--address", HEAD, "--set", DATABASE)
    (seen,) = json.loads(cluster.study("list", "--address", HEAD, "--json"))
    assert (seen["name"], seen["state"], seen["counts"]["completed"]) == ("smoke", "complete", 8)

    cluster.study("report", "smoke", "--address", HEAD)
    page = (cluster.folder / "studies/smoke/report/index.html").read_text(encoding="utf-8")
    assert "smoke" in page

    url = f"postgresql://study:{quote(PASSWORD)}@127.0.0.1/study"
    counted = cluster.engine.compose(
        *("exec", "--no-TTY", "postgres", "psql", url, "-Atc", "SELECT count(*) FROM measurements"),
        variables=VARIABLES,
    )
    assert int(counted) == 64


def test_a_study_is_posted_to_the_service_and_watched_there(cluster: Cluster) -> None:
    command = [sys.executable, "-c", POST, cluster.token]
    assert cluster.engine.near(command, {}, cluster.folder).split() == ["complete", "8"]


def test_no_node_runs_open(cluster: Cluster) -> None:
    """The dashboard needs the token, and no image starts Ray without one."""
    assert cluster.asked({}) == 401
    assert cluster.asked({"Authorization": "Bearer of-something-else"}) == 403
    with pytest.raises(AssertionError, match="no authentication token was found"):
        cluster.engine.docker("run", "--rm", IMAGE, "ray", "start", "--head")


def test_secrets_are_in_no_image_and_on_no_command_line(cluster: Cluster) -> None:
    containers = cluster.engine.docker("ps", "--quiet").split()
    assert len(containers) == 4
    lines = [cluster.engine.docker("top", name, "-eo", "pid,args") for name in containers]
    output = "".join([*lines, cluster.engine.docker("inspect", IMAGE, *containers)])
    assert "ray start" in output
    assert TOKEN not in output
    assert PASSWORD not in output
    assert cluster.token not in output
    layers = cluster.engine.docker("history", "--no-trunc", IMAGE)
    assert "constraints.txt" not in layers  # the stage that installs stays behind, and pip.conf with it
    assert "127.0.0.1:" not in layers.replace("127.0.0.1:52365", "")


def test_it_runs_as_a_plain_user_in_small_layers(cluster: Cluster) -> None:
    assert cluster.head("id", "--user").strip() == "1000"
    columns = ("--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}")
    sizes = cluster.engine.docker("history", *columns, IMAGE)
    (package,) = [int(line.split()[0]) for line in sizes.splitlines() if "--no-index --no-deps" in line]
    assert 0 < package < 10_000_000  # bytes of a new version of the package alone
    for name in cluster.engine.docker("ps", "--quiet").split():
        state = cluster.engine.docker("inspect", "--format", "{{.State.Health.Status}}", name)
        assert state.strip() == "healthy"
