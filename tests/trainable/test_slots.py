"""The number of trials that a lane trains together: found by throughput, bounded by memory."""

import pytest
from members import CONFIG, new_engine

from trainable.contract import Answer, Fault, Held, Lease
from trainable.session import Session
from trainable.slots import Slots


def searched(speeds, *, room=lambda count: True):
    """Final number of slots, if a full epoch of `count` trials trains speeds[count] trials per second."""
    slots = Slots("auto", at_once=8, stacks=True)
    for _ in range(40):
        slots.trained(slots.count, slots.count / speeds[slots.count], room=room(slots.count))
    return slots.count


def test_slots_double_while_that_makes_the_lane_faster():
    """The search keeps the faster of two, and does not stop at the first."""
    assert searched({8: 100, 16: 190, 32: 300, 64: 310, 128: 500}) == 32


def test_slots_stay_if_memory_is_too_small_for_twice_as_many():
    assert searched({8: 100, 16: 200, 32: 400}, room=lambda count: count < 16) == 16


def test_an_epoch_with_free_slots_is_not_timed():
    slots = Slots("auto", at_once=8, stacks=True)
    for _ in range(10):
        slots.trained(7, 1e-9, room=True)
    assert slots.count == 8


def test_the_first_full_epoch_is_not_judged():
    """It compiles. Catches a search that times the compilation."""
    slots = Slots("auto", at_once=8, stacks=True)
    slots.trained(8, 60.0, room=True)
    assert slots.count == 8


@pytest.mark.parametrize(("asked", "threads", "count"), [("auto", 1, 1), ("auto", 4, 4), (3, 1, 3)])
def test_an_engine_that_does_not_stack_has_at_once_slots(asked, threads, count):
    slots = Slots(asked, at_once=threads, stacks=False)
    for _ in range(10):
        slots.trained(slots.count, 1.0, room=True)
    assert slots.count == count


class Cramped:
    """An engine that runs out of memory with more than `most` members."""

    def __init__(self, most):
        self._engine, self._most, self._members = new_engine("plain", dtype="float32"), most, 0

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def join(self, member, state=None):
        self._members += 1
        if self._members > self._most:
            raise MemoryError
        self._engine.join(member, state)


def test_out_of_memory_halves_the_slots():
    """The lane survives, and holds no trial that its engine has lost."""
    calls = []

    def exchange(report):
        calls.append((len(report.held), report.free))
        names = {h.trial for h in report.held}
        wanted = [n for n in range(6) if n not in names][: report.free]
        return Answer(1, leases=tuple(Lease(n, 1, CONFIG, (0,)) for n in wanted))

    session = Session(lambda: Cramped(most=2), slots=6, lane="a", exchange=exchange)
    for _ in range(4):
        session.advance()
    assert calls == [(0, 6), (0, 3), (0, 1), (1, 0)]
    assert [h.epoch for h in session.held] == [2]


class Broken:
    """An engine that raises if it trains trial 2."""

    def __init__(self):
        self._engine, self._members = new_engine("plain", dtype="float32"), set()

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def join(self, member, state=None):
        self._members.add(member.trial)
        self._engine.join(member, state)

    def epoch(self, evaluate):
        if 2 in self._members:
            raise ArithmeticError("no such metric\nand more")
        return self._engine.epoch(evaluate)


@pytest.mark.parametrize(
    ("build", "trial", "fault"),
    [
        (lambda: Cramped(most=0), 0, Fault("memory", "MemoryError: ")),
        (Broken, 2, Fault("error", "ArithmeticError: no such metric")),
    ],
)
def test_a_trial_that_fails_alone_is_reported_once(build, trial, fault):
    """The lane survives, the fault is reported once, and no neighbour is blamed."""
    told = []

    def exchange(report):
        told.extend(h for h in report.held if h.fault is not None)
        names = {h.trial for h in report.held} | {h.trial for h in told}
        wanted = [n for n in (trial, trial + 1) if n not in names][: report.free]
        return Answer(1, leases=tuple(Lease(n, 1, CONFIG, (0,)) for n in wanted))

    session = Session(build, slots=2, lane="a", exchange=exchange)
    for _ in range(4):
        session.advance()
    assert told[0] == Held(trial, 1, told[0].epoch, fault)
    assert [h.trial for h in told].count(trial) == 1
