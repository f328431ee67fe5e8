"""A run ends with the head of its own Ray, in words and at once, whatever Ray would wait for."""

import socket
from threading import Event

import pytest
from command import until

from study.interrupt import Interrupt
from study.runtime.head import attended, gone


class Left(Interrupt):
    """An interrupt that notes how the process would end."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: list[tuple[int, str]] = []

    def leave(self, code: int, words: str = "") -> None:
        self.ways.append((code, words))


@pytest.fixture
def head():
    """Somebody who listens, as Ray's head does, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def place(listening: socket.socket) -> str:
    return "{}:{}".format(*listening.getsockname())


def test_who_does_not_listen_is_gone_and_who_does_not_answer_is_not(head):
    where = place(head)
    assert not gone(where)
    head.close()
    assert gone(where)


@pytest.mark.parametrize(
    ("asked", "code", "reason"), [(True, 130, "interrupted"), (False, 1, "failed: the head of")]
)
def test_a_run_ends_with_its_head_and_says_so(open_ledger, head, asked, code, reason):
    """Catches: a driver that waits for a Ray that is gone; a row that stays open."""
    ledger, interrupt = open_ledger(), Left()
    run = ledger.claim()
    with attended(place(head), ledger, run, interrupt, gone_s=0.0):
        if asked:
            interrupt.asked.set()
        assert interrupt.ways == []
        head.close()
        until(lambda: interrupt.ways, "the end of the run")
    ((found, words),) = interrupt.ways
    assert found == code
    assert words.startswith(reason)
    assert words.endswith("; the same command goes on from here")
    (ended,) = ledger.runs()
    assert ended.ended is not None
    assert words.startswith(ended.reason)


def test_one_that_comes_back_in_time_is_waited_for(open_ledger, head, monkeypatch):
    """Catches: a run that ends at the first refusal."""
    ledger, interrupt = open_ledger(), Left()
    where, looks, again = place(head), [True, True, False], Event()

    def look(asked: str) -> bool:
        assert asked == where
        if looks:
            return looks.pop(0)
        again.set()
        return False

    monkeypatch.setattr("study.runtime.head.gone", look)
    monkeypatch.setattr("study.runtime.head.LOOK_S", 0.01)
    with attended(where, ledger, ledger.claim(), interrupt, gone_s=60.0):
        assert again.wait(60)
    assert interrupt.ways == []
    assert ledger.runs()[-1].ended is None
