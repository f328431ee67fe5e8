"""A run ends at once and with a message when the head of its private Ray is gone."""

import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from threading import Event

import pytest
from command import until
from formula import SPEC
from ray.exceptions import RaySystemError
from ray.tune import TuneError

from study.record.reader import Reader
from study.runtime.ray_head import gone, watch_heads
from study.runtime.run import run as run_study
from study.signals import Interrupt
from study.spec import StudySpec
from trainable.contract import StudyError

DEAF = """
import ctypes, sys
from pathlib import Path
from threading import Timer
from study.signals import Interrupt
from study.record.ledger import Ledger
from study.runtime.ray_head import watch_heads

place, folder = sys.argv[1:]
ledger = Ledger.read(Path(folder))
calls, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
calls.pthread_mutex_init(mutex, None)
calls.pthread_mutex_lock(mutex)
with Interrupt() as interrupt, watch_heads([place], ledger, ledger.claim(), interrupt, gone_s=0.0):
    interrupt.farewell = lambda words: print(words, flush=True)
    Timer(0.5, print, ["deaf"], {"flush": True}).start()
    calls.pthread_mutex_lock(mutex)
"""
"""A driver whose main thread never comes back to Python, as from a call of Ray's that waits for its head."""


class Left(Interrupt):
    """An interrupt that notes how the process would end."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: list[tuple[int, str]] = []

    def leave(self, code: int, words: str = "") -> None:
        self.ways.append((code, words))


@pytest.fixture
def head():
    """A socket that listens, as Ray's head does, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def place(listening: socket.socket) -> str:
    return "{}:{}".format(*listening.getsockname())


def test_closed_port_is_gone_and_silent_port_is_not(head):
    where = place(head)
    assert not gone(where)
    head.close()
    assert gone(where)


@pytest.mark.parametrize(
    ("asked", "code", "reason"), [(True, 130, "interrupted"), (False, 1, "failed: the head of")]
)
def test_a_run_ends_with_its_head_and_says_so(open_ledger, head, asked, code, reason):
    """The driver does not wait for a Ray that is gone, and the row of the run is closed."""
    ledger, interrupt = open_ledger(), Left()
    run = ledger.claim()
    with watch_heads([place(head)], ledger, run, interrupt, gone_s=0.0):
        if asked:
            interrupt.ask()
        assert interrupt.ways == []
        head.close()
        until(lambda: interrupt.ways, "the end of the run")
    ((found, words),) = interrupt.ways
    assert found == code
    assert words.startswith(reason)
    assert words.endswith("; the same command resumes the study")
    (ended,) = ledger.runs()
    assert ended.ended is not None
    assert words.startswith(ended.reason)


def test_signal_that_the_main_thread_misses_interrupts_the_run(open_ledger, head, tmp_path):
    """`timeout` ends the head with it. Catches: a run that TERM ended and that is recorded as failed."""
    folder = tmp_path / open_ledger().spec.name
    driver = [sys.executable, "-c", DEAF, place(head), folder]
    with subprocess.Popen(driver, stdout=subprocess.PIPE, text=True) as deaf:
        try:
            assert deaf.stdout is not None
            assert deaf.stdout.readline() == "deaf\n"
            deaf.send_signal(signal.SIGTERM)
            head.close()
            out, _ = deaf.communicate(timeout=60)
        finally:
            deaf.kill()
    assert (deaf.returncode, out) == (130, "interrupted; the same command resumes the study\n")
    with closing(Reader.read(folder)) as reader:
        assert [run.reason for run in reader.runs()] == ["interrupted"]


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.parametrize(
    ("asked", "raised", "error", "reason"),
    [
        (True, RaySystemError("no raylet"), KeyboardInterrupt, "interrupted"),
        (True, TuneError("no raylet"), KeyboardInterrupt, "interrupted"),
        (True, None, KeyboardInterrupt, "interrupted"),
        (
            False,
            RaySystemError("no raylet"),
            StudyError,
            "failed: Ray ended the run (System error: no raylet)",
        ),
    ],
    ids=["ray", "tune", "none", "unasked"],
)
def test_ray_error_is_reported_unless_a_signal_caused_it(tmp_path, monkeypatch, asked, raised, error, reason):
    """A run whose Ray was ended by TERM is not recorded as failed."""

    @contextmanager
    def watch(_folder, interrupt):
        if asked:
            interrupt.ask()
        yield lambda _line: None

    def fit(*_, **__):
        if raised is not None:
            raise raised

    monkeypatch.setattr("study.runtime.tune._fit", fit)
    monkeypatch.setattr("study.runtime.tune._end_on_record", lambda *_: None)
    spec = StudySpec.from_text(SPEC, where="test", overrides=["runtime.address=local", "runtime.lanes=1"])
    with pytest.raises(error):
        run_study(spec, tmp_path, watch=watch)
    with closing(Reader.read(tmp_path / spec.name)) as reader:
        assert [run.reason.partition(";")[0] for run in reader.runs()] == [reason]


def test_head_that_returns_in_time_is_waited_for(open_ledger, head, monkeypatch):
    """The first refusal does not end the run."""
    ledger, interrupt = open_ledger(), Left()
    where, looks, again = place(head), [True, True, False], Event()

    def look(asked: str) -> bool:
        assert asked == where
        if looks:
            return looks.pop(0)
        again.set()
        return False

    monkeypatch.setattr("study.runtime.ray_head.gone", look)
    monkeypatch.setattr("study.runtime.ray_head.HEAD_LOOK_S", 0.01)
    with watch_heads([where], ledger, ledger.claim(), interrupt, gone_s=60.0):
        assert again.wait(60)
    assert interrupt.ways == []
    assert ledger.runs()[-1].ended is None
