"""How many trials a lane trains together: found by throughput, bounded by memory."""

import pytest
from members import CONFIG, new_engine

from trainable.contract import Answer, Fault, Held, Lease
from trainable.session import Session
from trainable.slots import Slots


def searched(speeds, *, room=lambda count: True):
    """The slots a search ends with, where a full epoch of `count` trials makes speeds[count] a second."""
    slots = Slots("auto", at_once=8, stacks=True)
    for _ in range(40):
        slots.trained(slots.count, slots.count / speeds[slots.count], room=room(slots.count))
    return slots.count


def test_slots_double_while_that_makes_the_lane_faster():
    """Catches a search that keeps the slower of two, or stops at the first."""
    assert searched({8: 100, 16: 190, 32: 300, 64: 310, 128: 500}) == 32


def test_slots_stay_where_twice_as_many_find_no_memory():
    assert searched({8: 100, 16: 200, 32: 400}, room=lambda count: count < 16) == 16


def test_an_epoch_that_is_not_full_says_nothing():
    slots = Slots("auto", at_once=8, stacks=True)
    for _ in range(10):
        slots.trained(7, 1e-9, room=True)
    assert slots.count == 8


def test_the_first_full_epoch_is_not_judged():
    """It compiles: catches a search that takes a slow start for the speed of few slots."""
    slots = Slots("auto", at_once=8, stacks=True)
    slots.trained(8, 60.0, room=True)
    assert slots.count == 8


@pytest.mark.parametrize(("asked", "threads", "count"), [("auto", 1, 1), ("auto", 4, 4), (3, 1, 3)])
def test_an_engine_that_does_not_stack_gets_what_it_trains_at_once(asked, threads, count):
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


def test_a_session_that_runs_out_of_memory_goes_on_with_half_the_slots():
    """Catches a lane that dies of it, and one that holds what its engine has lost."""
    calls = []

    def exchange(_lane, _incarnation, held, measurements, free):
        calls.append((len(held), free))
        names = {h.trial for h in held}
        wanted = [n for n in range(6) if n not in names][:free]
        return Answer(1, leases=tuple(Lease(n, 1, CONFIG, (0,)) for n in wanted))

    session = Session(lambda: Cramped(most=2), slots=6, lane="a", exchange=exchange)
    for _ in range(4):
        session.advance()
    assert calls == [(0, 6), (0, 3), (0, 1), (1, 0)]
    assert [h.epoch for h in session.held] == [2]


class Broken:
    """An engine that raises where trial 2 is trained, whoever is beside it."""

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
def test_a_trial_that_fails_alone_is_named_once_the_session_goes_on(build, trial, fault):
    """Catches: a lane that dies of one trial, a fault told again and again, neighbours that are blamed."""
    told = []

    def exchange(_lane, _incarnation, held, measurements, free):
        told.extend(h for h in held if h.fault is not None)
        names = {h.trial for h in held} | {h.trial for h in told}
        wanted = [n for n in (trial, trial + 1) if n not in names][:free]
        return Answer(1, leases=tuple(Lease(n, 1, CONFIG, (0,)) for n in wanted))

    session = Session(build, slots=2, lane="a", exchange=exchange)
    for _ in range(4):
        session.advance()
    assert told[0] == Held(trial, 1, told[0].epoch, fault)
    assert [h.trial for h in told].count(trial) == 1
