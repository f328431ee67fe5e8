"""A user's interrupt reaches the record of every run, also from a notebook and despite errors."""

import os
import signal
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa
from command import until
from formula import SPEC

from study.record.reader import Reader
from study.runtime.heartbeat import forward_interrupt
from study.runtime.run import run
from study.signals import SIGNALS, Interrupt
from study.spec import StudySpec


def endless(address: str = "inline") -> StudySpec:
    """A study that measures at once, and has no end."""
    overrides = ["train.epochs=100000", f"runtime.address={address}", "runtime.lanes=1"]
    return StudySpec.from_text(SPEC, where="test", overrides=overrides)


def signalled(*numbers: signal.Signals):
    """A watch that sends this process these signals, one after the other, once something is measured."""

    def send(folder, interrupt):
        with closing(Reader.read(folder)) as reader:
            until(lambda: any(reader.measurements()), "a measurement")
        for number in numbers:
            os.kill(os.getpid(), number)
            until(lambda: interrupt._noted, "the signal")  # two that come at the same moment are one

    @contextmanager
    def watch(folder, interrupt):
        thread = Thread(target=send, args=(folder, interrupt))
        thread.start()
        yield lambda _line: None
        thread.join()

    return watch


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_from_python(tmp_path, number):
    """A script hears the signal, as a command does."""
    outcome = run(endless(), tmp_path, watch=signalled(number))
    assert (outcome.reason, outcome.interrupted) == ("stopped on request", True)


def test_interrupt_restores_the_signal_handlers():
    """After any number of entries, in any thread. Catches: files that stay open, a wakeup of a closed one."""

    def state():
        told = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(told)
        return told, *map(signal.getsignal, SIGNALS), len([*Path("/dev/fd").iterdir()])

    before, interrupt = state(), Interrupt()
    for _ in range(3):
        with interrupt:
            assert state() != before
    assert state() == before
    elsewhere = Thread(target=lambda: interrupt.__enter__().__exit__())
    elsewhere.start()
    elsewhere.join()
    assert state() == before
    assert not interrupt.asked


@pytest.mark.parametrize(
    "address", ["inline", pytest.param("local", marks=[pytest.mark.ray, pytest.mark.long])]
)
def test_a_second_signal_ends_a_run_from_python_and_not_its_process(tmp_path, monkeypatch, address):
    """The process keeps its variables, and the row of the run is closed."""
    monkeypatch.setattr("study.runtime.heartbeat.INTERRUPT_LOOK_S", 3600.0)
    with pytest.raises(KeyboardInterrupt):
        run(endless(address), tmp_path, watch=signalled(signal.SIGINT, signal.SIGINT))
    with closing(Reader.read(tmp_path / "formula")) as reader:
        assert [r.reason for r in reader.runs()] == ["interrupted"]


def test_stop_request_is_retried_and_reported_once(open_ledger, monkeypatch):
    """An interrupt outlives its first error."""
    ledger, interrupt, failed, told = open_ledger(), Interrupt(), [], []

    def fail(_connection, _cursor, statement, *_):
        if statement.startswith("UPDATE") and len(failed) < 3:
            failed.append(statement)
            raise sa.exc.OperationalError(statement, {}, Exception("database is locked"))

    monkeypatch.setattr("study.runtime.heartbeat.INTERRUPT_LOOK_S", 0.01)
    number = ledger.claim()
    sa.event.listen(ledger._engine, "before_cursor_execute", fail)
    with forward_interrupt(interrupt, ledger, number, told.append):
        assert not ledger.stop_requested(number)
        interrupt.ask()
        until(lambda: ledger.stop_requested(number), "the stop")
    assert len(failed) == 3
    assert told == ["stopping; a second signal ends the run at once"]
