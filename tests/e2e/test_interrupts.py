"""After any end of a run the next one resumes, and the record ends with the budgeted trials (law 5)."""

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from command import Running, answer, measured, prepare, rows, started, study, until, with_pid
from law5 import tables
from pandas.testing import assert_frame_equal

from study.record.ledger import Ledger
from study.record.location import holds_study
from study.record.reader import Reader
from study.runtime.run import run as run_study
from study.spec import StudySpec
from study.status.confirmation import ConfirmationProgress
from study.status.snapshot import snapshot

EPOCHS = 20
SLOW = ("run", "tiny.toml", "--set", f"train.epochs={EPOCHS}", "--set")
ENDLESS = "budget.trials=100000"
RAY = ("--set", "runtime.address=local", "--set", "runtime.lanes=1")

AFTER_RAY = """
import signal
from study import StudySpec
from study.runtime.ray_start import connected

signal.signal(signal.SIGTERM, lambda *_: print("heard"))
with connected(StudySpec.preset("smoke", ["runtime.address=local"])):
    pass
signal.raise_signal(signal.SIGTERM)
"""

linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return prepare(tmp_path / "here")


@contextmanager
def training(here: Path, *more: str):
    """A run without an end, once it has measured something."""
    before = measured(here / "studies/tiny")
    with started(*SLOW, ENDLESS, *more, cwd=here) as run:
        until(lambda: measured(here / "studies/tiny") > before or not run.running, "a measurement")
        assert run.running, run.wait()
        yield run


def ends_gracefully(run: Running, here: Path) -> None:
    ended = run.wait()
    assert (ended.code, ended.err) == (130, ""), ended
    assert "stopped on request; `study run tiny` resumes it" in ended.out
    assert ended.out.splitlines()[-1] == f"report: {here}/studies/tiny/report/index.html"


def ends_at_once(run: Running) -> None:
    def gone() -> bool:
        run.send(signal.SIGINT)  # two that come at the same moment are one
        return not run.running

    until(gone, "the end of an impatient run")
    ended = run.wait()
    assert (ended.code, ended.err) == (130, "")
    assert "interrupted; the same command resumes the study" in ended.out
    assert "report:" not in ended.out


def is_killed(run: Running) -> None:
    with_pid(run.process.pid, signal.SIGKILL)
    assert run.wait().code == -signal.SIGKILL


def goes_on(here: Path, *more: str) -> None:
    """One more trial than are begun, and the record is whole: every trial measured at every epoch, once."""
    folder = here / "studies/tiny"
    before = set(rows(folder, "SELECT * FROM measurements"))
    ((begun,),) = rows(folder, "SELECT count(*) FROM trials")
    ended = study(*SLOW, f"budget.trials={begun + 1}", *more, cwd=here)
    assert (ended.code, ended.err) == (0, ""), ended
    status = answer("status", "tiny", cwd=here)
    assert (status["state"], status["reason"]) == ("complete", f"trials: {begun + 1} of {begun + 1}")
    assert status["counts"] == {
        "completed": begun + 1,
        "stopped": 0,
        "failed": 0,
        "running": 0,
        "unfinished": 0,
    }
    keys = rows(folder, "SELECT trial, replicate, epoch FROM measurements ORDER BY 1, 2, 3")
    assert keys == [(trial, 0, epoch) for trial in range(begun + 1) for epoch in range(1, EPOCHS + 1)]
    assert before <= set(rows(folder, "SELECT * FROM measurements"))


@pytest.mark.parametrize(
    "polite", [(signal.SIGINT,), pytest.param((signal.SIGINT, signal.SIGTERM), marks=pytest.mark.long)]
)
def test_a_run_resumes_after_every_way_of_ending(here: Path, polite: tuple[signal.Signals, ...]):
    """`make test` covers TERM in the test of a closed pipe below."""
    for number in polite:
        with training(here) as run:
            run.send(number)
            ends_gracefully(run, here)
    for ends in (ends_at_once, is_killed):
        with training(here) as run:
            ends(run)
    assert answer("status", "tiny", cwd=here)["state"] == "died"
    assert study("stop", "tiny", cwd=here).out == "tiny: is not running\n"
    goes_on(here)


@pytest.mark.long
def test_a_run_stopped_before_its_first_measurement_ends_normally(here: Path):
    """Empty tables have the same column types as full ones."""
    long = ("--set", "train.epochs=1000000", "--set", "train.evaluate_every=1000000")
    with started("run", "tiny.toml", *long, cwd=here) as run:
        leased = "SELECT * FROM trial_user_attributes WHERE key = 'lease'"
        until(lambda: rows(here / "studies/tiny", leased) or not run.running, "a trial that is trained")
        run.send(signal.SIGINT)
        ends_gracefully(run, here)
    assert measured(here / "studies/tiny") == 0
    for command in ("export", "report", "front", "status", "logs"):
        ended = study(command, "tiny", cwd=here)
        assert (ended.code, ended.err) == (0, ""), ended
    assert (here / "studies/tiny/front.csv").read_text(encoding="utf-8").startswith("trial,epoch,weight,")


@pytest.mark.long
def test_a_confirmation_resumes_and_opens_the_test_set_once(here: Path):
    """The plan stays, and each fresh seed is trained exactly once."""
    overrides = (*AGAIN, "confirm.replicates=15", "confirm.fresh=0")
    command = ("run", "tiny.toml", *(word for override in overrides for word in ("--set", override)))
    opened = set()
    for point, number in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
        with started(*command, cwd=here) as run:
            until(lambda at=point: confirmed(here).ended > at or not run.running, "a point that is confirmed")
            run.send(number)
            assert run.wait().code != 0
        opened.add(confirmed(here).opened)
    assert confirmed(here).ended < confirmed(here).planned
    assert study(*command, cwd=here).code == 0
    assert opened == {confirmed(here).opened}
    assert {"confirmed", "users"} <= as_undisturbed(here, overrides)


@pytest.mark.long
def test_a_fresh_seed_stage_resumes_and_keeps_the_test_set_closed(here: Path):
    """The plan stays, each seed is trained once, and the test set stays closed until all are measured."""
    overrides = (*AGAIN, "confirm.replicates=2", "confirm.fresh=15")
    command = ("run", "tiny.toml", *(word for override in overrides for word in ("--set", override)))
    begun = set()
    for number in (signal.SIGKILL, signal.SIGTERM):
        seen = trained_afresh(here)
        with started(*command, cwd=here) as run:
            until(lambda seen=seen: trained_afresh(here) > seen or not run.running, "a fresh seed")
            run.send(number)
            assert run.wait().code != 0
        with closing(Reader.read(here / "studies/tiny")) as reader:
            assert reader.confirmation() is None
            begun.add(snapshot(reader).fresh.begun)
    assert len(begun) == 1
    assert study(*command, cwd=here).code == 0
    assert {"fresh", "confirmed", "users"} <= as_undisturbed(here, overrides)


AGAIN = (
    *("train.epochs=200", "train.evaluate_every=10", "train.candidates=last", "runtime.slots=1"),
    "budget.trials=8",
)
"""Overrides for a search whose front takes seconds to train again."""


def trained_afresh(here: Path) -> int:
    """Measurements of the fresh-seed stage; 0 before it is planned."""
    if not holds_study(here / "studies/tiny"):
        return 0
    with closing(Reader.read(here / "studies/tiny")) as reader:
        return 0 if (fresh := reader.fresh()) is None else len(list(fresh.measurements()))


def as_undisturbed(here: Path, overrides: Sequence[str]) -> set[str]:
    """The names of the tables, which are equal to those of the same study without an interruption."""
    undisturbed = run_study(StudySpec.load(here / "tiny.toml", overrides), here / "undisturbed").folder
    with closing(Ledger.read(here / "studies/tiny")) as found, closing(Ledger.read(undisturbed)) as expected:
        want = tables(expected, here / "expected")
        have = tables(found, here / "found")
    assert have.keys() == want.keys()
    for name, table in have.items():
        assert_frame_equal(table, want[name], check_exact=True)
    return set(have)


def confirmed(here: Path) -> ConfirmationProgress:
    """Progress of the confirmation; nothing before it is planned."""
    nothing = ConfirmationProgress(opened="", planned=0, ended=0, replicates=0)
    if not holds_study(here / "studies/tiny"):
        return nothing
    with closing(Reader.read(here / "studies/tiny")) as reader:
        return snapshot(reader).confirmation or nothing


def test_a_run_with_a_closed_pipe_can_be_stopped(here: Path):
    """As `study run … | head -1`. Catches: a signal that the display of the study passes on."""
    folder = here / "studies/tiny"
    with started(*SLOW, ENDLESS, cwd=here, within=("sh", "-c", 'trap "" TERM; "$@" | head -1', "sh")) as run:
        until(lambda: measured(folder) or not run.running, "a measurement")
        until(lambda: run.printed("study tiny"), "its first words")
        run.send(signal.SIGTERM)
        run.wait()
    assert rows(folder, "SELECT reason FROM runs") == [("stopped on request",)]


def test_a_signal_while_a_run_begins_ends_it_too(here: Path, monkeypatch: pytest.MonkeyPatch):
    """It fetches data, from a place that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as stack:
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(here))
        run = stack.enter_context(started("run", "tiny.toml", "--set", "data.source=ml-100k", cwd=here))
        until(lambda: run.printed("study tiny"), "its first words")
        run.send(signal.SIGTERM)
        ended = run.wait()
    assert (ended.code, ended.err) == (130, "")
    assert "interrupted; the same command resumes the study" in ended.out
    assert not (here / "studies").exists()


@pytest.mark.long
@pytest.mark.ray
def test_sigterm_is_restored_after_ray(tmp_path: Path):
    """TERM does not end the report silently, and the user's handler is restored."""
    script = [sys.executable, "-c", AFTER_RAY]
    ended = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "heard\n"), ended.stderr


def ends_with_its_ray(run: Running, *, code: int, words: str) -> None:
    """At once, in words, where Ray alone would end it after a minute, and without any."""
    ended = run.wait()
    assert (ended.code, "Failed to connect to GCS" in ended.err) == (code, False), ended
    assert f"{words}; the same command resumes the study" in ended.out
    until(lambda: not run.descendants(), "the end of Ray's processes")


@linux
@pytest.mark.ray
@pytest.mark.long
def test_a_run_whose_ray_ended_says_so_and_resumes(here: Path):
    """As `timeout` and service managers do, which signal all processes; and where Ray's head alone dies."""
    with training(here, *RAY) as run:
        run.send(signal.SIGTERM)
        ends_with_its_ray(run, code=130, words="interrupted")
    assert answer("status", "tiny", cwd=here)["state"] == "stopped"
    with training(here, *RAY) as run:
        for pid in run.titled("/gcs_server "):
            with_pid(pid, signal.SIGKILL)
        ends_with_its_ray(run, code=1, words="failed: the head of this run's Ray is gone")
    assert answer("status", "tiny", cwd=here)["state"] == "failed"
    goes_on(here, *RAY)


@linux
@pytest.mark.ray
@pytest.mark.long
def test_the_same_on_ray_and_no_process_or_folder_is_left(here: Path, monkeypatch: pytest.MonkeyPatch):
    with TemporaryDirectory() as folder:  # a socket's path is short, and pytest's folder is not
        monkeypatch.setenv("TMPDIR", folder)
        with training(here, *RAY) as run:
            assert len(run.descendants()) > 3
            run.send(signal.SIGINT)
            ends_gracefully(run, here)
            until(lambda: not run.descendants(), "the end of Ray's processes")
        assert not [*Path(folder).glob("study-*")]
        with training(here, *RAY) as run:
            is_killed(run)
            until(lambda: not run.descendants(), "the end of a killed run's Ray")
        assert [*Path(folder).glob("study-*")]
        goes_on(here, *RAY)
        assert not [*Path(folder).glob("study-*")]
