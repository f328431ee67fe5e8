"""The password of a database: in one variable, and in nothing that a study on Ray writes, sends or says."""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import postgres
import pytest
from command import Ended, prepare, started, study, until

VARIABLE = "STUDY_PASSWORD_DATABASE"
RUN = (f"storage.url=env:{VARIABLE}", "runtime.address=local", "runtime.save_every_s=0.1", "confirm.points=1")


@pytest.mark.ray
@pytest.mark.postgres
@pytest.mark.long
def test_a_study_on_ray_leaves_its_password_nowhere(
    postgres: postgres.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The password is in no pickle of a lane or of Tune, no log of Ray, no table, manifest or page."""
    monkeypatch.setenv(VARIABLE, postgres.database())
    here, checkpoints = prepare(tmp_path / "here"), tmp_path / "checkpoints"
    with TemporaryDirectory() as ray:  # a socket's path is short, and pytest's folder is not
        monkeypatch.setenv("TMPDIR", ray)
        overrides = [*RUN, f"runtime.storage_path={checkpoints}", "train.epochs=2000", "budget.trials=2"]
        words = [word for override in overrides for word in ("--set", override)]
        with started("run", "tiny.toml", *words, cwd=here) as run:
            until(lambda: pickled(checkpoints) or not run.running, "a lane's checkpoint, and Tune's state")
            pickles, logs = written(checkpoints) | written(here / "studies"), written(Path(ray))
            until(
                lambda: logs.update(written(Path(ray))) or not run.running, "the end"
            )  # a run removes its logs
            ended = [run.wait()]
    ended += [study(command, "tiny", cwd=here) for command in ("status", "export", "report", "logs")]
    ended += [study("backup", "tiny", "tiny.backup", cwd=here)]
    assert [e.code for e in ended] == [0] * len(ended), ended
    found = pickles | logs | written(tmp_path)
    assert {"tiny.toml", "manifest.json", "index.html", "tiny.backup", "log.jsonl"} <= names(found)
    assert any("raylet" in name for name in names(logs))
    assert [path for path, content in found.items() if PASSWORD in content] == []
    assert [e for e in ended if PASSWORD.decode() in output_of(e)] == []


PASSWORD = postgres.PASSWORD.encode()


def pickled(storage: Path) -> bool:
    """True if a lane's checkpoint exists; Tune's state is older."""
    return any(storage.rglob("slots.json"))


def written(folder: Path) -> dict[Path, bytes]:
    """The files below a folder, but for those that go while one looks."""
    found = {}
    for root, _, names in os.walk(folder):
        for path in (Path(root) / name for name in names):
            with suppress(FileNotFoundError):
                found[path] = b"" if path.is_socket() else path.read_bytes()
    return found


def names(files: dict[Path, bytes]) -> set[str]:
    """The names of the files."""
    return {path.name for path in files}


def output_of(ended: Ended) -> str:
    """All output of a command."""
    return ended.out + ended.err
