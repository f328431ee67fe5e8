"""A study on a cluster, from a machine that reaches nothing of it but its dashboard."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import DEADLINE_S, Ended, prepare, rows, started, until
from documents import blocks
from heads import Head, head

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(600)]
(COMMANDS,) = (block.text for block in blocks("docs/cluster.md", "sh cluster"))
LONG = ("--set", "name=long", "--set", "train.epochs=1000000", "--set", "runtime.engine=plain")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """One head for the module: starting one takes longer than the commands."""
    folder = tmp_path_factory.mktemp("cluster")
    with head(folder / "home") as found:
        yield found


@pytest.fixture
def laptop(cluster: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a machine that has the cluster's token, and nothing else of it."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    return prepare(tmp_path / "laptop")


def there(cluster: Head, laptop: Path, *arguments: str) -> Ended:
    """The end of a command that is sent to the cluster."""
    with started(*arguments, "--address", cluster.address, cwd=laptop) as running:
        return running.wait(2 * DEADLINE_S)


def test_the_commands_of_the_page_on_clusters(cluster: Head, laptop: Path):
    """A study is in the home, not in the job's own folder, and files arrive unchanged."""
    for line in COMMANDS.replace("http://head:8265", cluster.address).splitlines():
        _, *words = line.partition(" #")[0].split()
        with started(*words, cwd=laptop) as running:
            ended = running.wait(2 * DEADLINE_S)
        assert (ended.code, ended.err) == (0, ""), (line, ended)
        if words[0] == "submit" and "--detach" not in words:
            assert "job smoke-1 begins" in ended.out
            assert "report: " in ended.out
    home, here = cluster.home / "studies/smoke", laptop / "studies/smoke"
    for name in ("front.csv", "manifest.json", "tables/trials.parquet", "report/front.png"):
        assert (here / name).read_bytes() == (home / name).read_bytes(), name
    assert "<html" in (here / "report/index.html").read_text()
    assert not (here / "ledger.db").exists()


def test_two_submit_one_study_and_one_detaches(cluster: Head, laptop: Path):
    """One job of two. Catches: a second driver, a study that dies with who follows it, a stop that kills."""
    submit = ("submit", "smoke", *LONG, "--address", cluster.address)
    with started(*submit, cwd=laptop) as one, started(*submit, "--detach", cwd=laptop) as other:
        last = other.wait()
        assert last.code == 0, last
        until(lambda: one.printed("in studies/long"), "the study's first words")
        one.send(signal.SIGINT)
        first = one.wait()
    assert first.code == 0, first
    assert "detached; the study continues" in first.out
    assert sorted(e.out.count("job long-1 begins") for e in (first, last)) == [0, 1]
    assert sorted(e.out.count("job long-1 runs it already") for e in (first, last)) == [0, 1]

    changed = there(cluster, laptop, "submit", "smoke", *LONG, "--set", "search.seed=9")
    assert changed.code == 2
    assert "runs there with another spec, as job long-1" in changed.err
    assert there(cluster, laptop, "stop", "long").out == "long: asked to stop\n"
    until(lambda: standing(cluster, laptop, "long") == "stopped", "the study's end")
    again = ("submit", "smoke", *LONG, "--detach")
    until(lambda: "job long-2 begins" in there(cluster, laptop, *again).out, "a second job")
    until(lambda: there(cluster, laptop, "stop", "long").out.startswith("long: asked"), "a stop")


def standing(cluster: Head, laptop: Path, name: str) -> str:
    """The state of a study there."""
    return json.loads(there(cluster, laptop, "status", name, "--json").out)["state"]


def test_a_killed_driver_is_reported_with_the_remedy(cluster: Head, laptop: Path):
    """As when memory runs out. Catches: exit 247 without a reason."""
    submit = ("submit", "smoke", *LONG, "--set", "name=killed", "--address", cluster.address)
    with started(*submit, cwd=laptop) as follower:
        until(lambda: follower.printed("in studies/killed"), "the study's first words")
        until(lambda: (cluster.home / "studies/killed/ledger.db").exists(), "the record")
        until(lambda: drivers(cluster.home / "studies/killed"), "the run")
        for pid in drivers(cluster.home / "studies/killed"):
            os.kill(pid, signal.SIGKILL)
        ended = follower.wait(2 * DEADLINE_S)
    assert ended.code == 1, ended
    assert "SIGKILL ended its process" in ended.out
    assert f"`study submit killed --address {cluster.address}` with the same spec resumes it" in ended.out


def drivers(folder: Path) -> list[int]:
    """The process that drives a study."""
    return [pid for (pid,) in rows(folder, "SELECT pid FROM runs WHERE ended IS NULL")]


def test_a_head_that_dies_is_named_and_all_is_found_on_the_next(
    laptop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ray's table of jobs is lost with it. Catches: two minutes of silence; studies that no list shows."""
    far, submit = tmp_path / "far", ("submit", "smoke", "--set", "budget.trials=1")
    with head(tmp_path / "home") as first:
        for name, value in first.environment.items():
            monkeypatch.setenv(name, value)
        for name, home in (("far", far), ("near", None)):
            elsewhere = () if home is None else ("--set", f"runtime.home={home}")
            ended = there(first, laptop, *submit, "--set", f"name={name}", *elsewhere)
            assert ended.code == 0, ended
        with started("submit", "smoke", *LONG, "--address", first.address, cwd=laptop) as follower:
            until(lambda: follower.printed("in studies/long"), "the study's first words")
            first.end()
            ended = follower.wait(2 * DEADLINE_S)
        assert ended.code == 2, ended
        assert f"{first.address}: no Ray answers there" in ended.err
        assert f"`study submit long --address {first.address}` with the same spec resumes" in ended.err
    with head(tmp_path / "home") as second:
        for name, value in second.environment.items():
            monkeypatch.setenv(name, value)
        listed = json.loads(there(second, laptop, "list", "--json").out)
        assert {s["name"] for s in listed} == {"far", "near", "long"}
        assert standing(second, laptop, "far") == "complete"
        confirmed = there(second, laptop, "confirm", "far")
        assert confirmed.code == 0, confirmed
        assert "job far-1 begins" in confirmed.out
        assert (far / "studies/far/report/index.html").is_file()


def test_the_package_is_sent_on_request(cluster: Head, laptop: Path, tmp_path: Path):
    """The head's own python knows nothing of it. Catches: the installed version used in its place."""
    home = tmp_path / "data"
    options = ("--set", "name=sent", "--set", "budget.trials=1", "--set", f"runtime.home={home}")
    ended = there(cluster, laptop, "submit", "smoke", *options, "--with-package")
    assert ended.code == 0, ended
    assert (home / "studies/sent/ledger.db").is_file()
    assert standing(cluster, laptop, "sent") == "complete"
    assert not (cluster.home / "studies/sent").exists()


def test_a_request_without_the_token_is_refused(cluster: Head, laptop: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-another-cluster")
    ended = there(cluster, laptop, "list")
    assert ended.code == 2
    assert "Authentication failed" in ended.err
    monkeypatch.delenv("RAY_AUTH_MODE")
    ended = there(cluster, laptop, "list")
    assert ended.code == 2
    assert "Authentication required" in ended.err
    assert "RAY_AUTH_TOKEN_PATH" in ended.err


def test_a_laptop_needs_no_torch(cluster: Head, laptop: Path):
    code = (
        "import sys; sys.modules.update(torch=None, numba=None, psycopg=None)\n"
        f"sys.argv[1:] = ['list', '--address', '{cluster.address}']\n"
        "from study.cli import main; main()"
    )
    done = subprocess.run([os.sys.executable, "-P", "-c", code], cwd=laptop, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
