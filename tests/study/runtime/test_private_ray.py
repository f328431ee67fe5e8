"""A private Ray is closed to other users of the machine: its ports, its token, its files. It is small."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import ray
from ray._private.node import Node
from ray.tune.execution import class_cache

from study.remote import local_ray
from study.runtime import actor, minimal_ray, private_ray, ray_start, tune
from study.runtime.placement import NodeShare, Seat
from study.runtime.run import job
from study.runtime.tune_callback import TuneCallback
from study.spec import StudySpec
from trainable.contract import StudyError
from trainable.data.registry import load
from trainable.exchange import RayExchange, RefereeActor

MINE = StudySpec.preset("smoke", ["name=mine"])


def below(root: int) -> list[int]:
    """The process `root` and all that it has started."""
    found, parents = [root], {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def listening(pids: Iterable[int]) -> set[str]:
    """The addresses, as the kernel writes them, on which these processes listen for TCP."""
    held = set()
    for pid in pids:
        with suppress(OSError):
            held |= {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()
    ]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held}


LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, ::1 and ::ffff:127.0.0.1 in /proc/net."""


def private(folder: Path) -> bool:
    """True if only its user may enter the folder."""
    return stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.ray
def test_private_ray_is_closed_to_others(tmp_path, monkeypatch):
    """Ray was imported before. Catches: open ports, a readable token, a writable or forgotten folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    before = dict(os.environ)
    with ray_start.connected(MINE):
        secret = ray.get(ray.remote(lambda: os.environ["RAY_AUTH_TOKEN"]).remote())
        session = Path(ray._private.worker._global_node.get_session_dir_path())
        found = listening(below(os.getpid()))
        assert found
        assert found <= LOOPBACK
        assert len(secret) == 64
        assert private(session.parents[1])
    assert not session.parents[1].exists()
    assert not (tmp_path / ".ray").exists()
    after = {name: value for name, value in os.environ.items() if name not in ray_start.ENVIRONMENT}
    assert {n: v for n, v in after.items() if "AUTH" in n} == {n: v for n, v in before.items() if "AUTH" in n}


@pytest.mark.long
@pytest.mark.ray
def test_the_ray_of_a_service_is_closed_to_others(tmp_path, monkeypatch):
    """No other user can replace a job's code."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")
    made, begun, popen = private_ray.folder(), [], subprocess.Popen
    monkeypatch.setattr(local_ray, "folder", lambda: made)
    monkeypatch.setattr(
        subprocess, "Popen", lambda *words, **how: begun.append(popen(*words, **how)) or begun[-1]
    )
    home = tmp_path / "studies"
    try:
        with local_ray.dashboard(home, print):
            found = listening(below(begun[-1].pid))
            assert found
            assert found <= LOOPBACK
            assert private(made)
            assert stat.S_IMODE((home / local_ray.RAY_TOKEN_FILE).stat().st_mode) == 0o600
            assert not (tmp_path / ".ray").exists()
    finally:
        for process in begun:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:  # Ray waits for its own head that the signal has ended
                process.kill()
                process.wait()
        shutil.rmtree(made)


def test_a_folder_is_made_where_sockets_fit(tmp_path, monkeypatch, caplog):
    """A socket's path has 107 bytes at most. Catches: a Ray that cannot start, and says "AF_UNIX"."""
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(private_ray, "gettempdir", lambda: str(deep))
    monkeypatch.setattr(private_ray, "SHARED", "/dev/shm")
    made = private_ray.folder()
    assert made.parent == Path("/dev/shm")
    assert private(made)
    shutil.rmtree(made)
    assert f"{deep} is too long a path for Ray's sockets; Ray uses /dev/shm" in caplog.text
    monkeypatch.setattr(private_ray, "SHARED", str(deep))
    with pytest.raises(StudyError, match=r"TMPDIR: .* is too long a path"):
        private_ray.folder()


def test_a_ray_that_others_reach_is_refused():
    private_ray.check_private(["127.0.0.1", "::1"])
    with pytest.raises(StudyError, match=r"listens on 10\.0\.0\.7, open to others"):
        private_ray.check_private(["127.0.0.1", "10.0.0.7"])


def commands(pids: list[int]) -> str:
    """The command lines of processes."""
    return "\n".join(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in pids)


class Kept:
    """In the place of a Tuner: keeps the trainable, and the actor class that Tune would make of it."""

    def __init__(self, trainable, **_):
        self.trainable = trainable
        Kept.last = self

    def fit(self):
        self.actor = class_cache._ActorClassCache().get(self.trainable)


HEAVY = {"study", "optuna", "sqlalchemy"}
"""Modules that a driver needs and a lane does not."""


@pytest.mark.long
@pytest.mark.ray
def test_lanes_start_on_a_small_ray_in_its_idle_workers_without_the_driver_s_modules(tmp_path, monkeypatch):
    monkeypatch.setattr(tune.tune, "Tuner", Kept)

    def loaded(*_):
        return set(sys.modules)

    before, work = Node.start_api_server, job(MINE, load("synthetic", split="per-user", split_seed=0).search)
    with ray_start.connected(MINE):
        running = commands([pid for pid in below(os.getpid()) if Path(f"/proc/{pid}").exists()])
        assert "/raylet" in running
        for unused in ("dashboard.py", "monitor.py"):  # the second is log_monitor.py, too
            assert unused not in running
        open_ = partial(actor.referee, tmp_path, "search", 1, 60.0, meters=False)
        referee = ray.remote(RefereeActor).options(num_cpus=0).remote(open_)
        assert ray.get(referee.over.remote()) is None
        modules = ray.get(ray.remote(loaded).remote(RayExchange(referee)))
        assert "ray.tune" not in modules  # the referee needs none of it
        tune._fit(
            TuneCallback(tmp_path, "search", referee),
            referee,
            work,
            MINE.runtime,
            {"1.0": Seat(NodeShare(1.0, 0.0), None)},
            name="run-1",
            storage=tmp_path,
        )
        lane = Kept.last
        assert lane.trainable.default_resource_request({"lane": "1.0"}).required_resources == {"CPU": 1.0}
        modules = ray.get(ray.remote(loaded).remote(lane.trainable, RayExchange(referee), work))
        assert "trainable.tune" in modules
        assert not HEAVY & modules
    assert not lane.actor._default_options.get("runtime_env")  # with one, Ray reuses no idle worker
    assert class_cache.DEFAULT_ENV_VARS
    assert Node.start_api_server is before


def test_an_attribute_that_another_version_lacks_is_left_out():
    """Ray starts although one of its internal names has changed."""

    class Other:
        name = 1

    with minimal_ray.patched(Other, "name", 2), minimal_ray.patched(Other, "missing", 2):
        assert Other.name == 2
        assert not hasattr(Other, "missing")
    assert Other.name == 1
