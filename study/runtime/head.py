"""The head of a Ray of one's own. Where it is gone nothing of the run can go on, but Ray waits for it.

After a minute Ray ends the driver in the middle of a word, exit code 1. A signal to the whole process group
(`timeout`, a service manager) ends the head with all the rest, and only the driver is left to say so.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import ray

from study.interrupt import INTERRUPTED, Interrupt
from study.ledger import Ledger
from study.storage import STORAGE_ERRORS

LOOK_S = 1.0
"""From one look to the next."""

GONE_S = 5.0
"""How long it has been gone when the run ends: what Ray notices by itself is said in its own words."""


def address() -> str:
    """Where the head of the Ray that this process is connected to listens: "host:port"."""
    return str(ray.get_runtime_context().gcs_address)


def gone(place: str) -> bool:
    """Whether nobody listens at `place`, "host:port", any more; one that is slow to answer is there."""
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=LOOK_S):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


@contextmanager
def attended(
    place: str, ledger: Ledger, run: int, interrupt: Interrupt, *, gone_s: float = GONE_S
) -> Iterator[None]:
    """While this is entered, `run` and its process end once the head at `place` has been gone for `gone_s`.

    In a thread: Ray's calls that wait for the head hear no signal and raise nothing.
    """
    over = Event()

    def attend() -> None:
        if not _lost(place, over, gone_s):
            return
        asked = interrupt.asked
        reason = "interrupted" if asked else "failed: the head of this run's Ray is gone"
        with suppress(*STORAGE_ERRORS):
            ledger.release(run, reason)
        interrupt.leave(INTERRUPTED if asked else 1, f"{reason}; the same command goes on from here")

    attendant = Thread(target=attend, name="head", daemon=True)
    attendant.start()
    try:
        yield
    finally:
        over.set()
        attendant.join()


def _lost(place: str, over: Event, gone_s: float) -> bool:
    """Wait until nobody has listened at `place` for `gone_s`; False once this is `over`."""
    there = time.monotonic()
    while not over.wait(LOOK_S):
        if not gone(place):
            there = time.monotonic()
        elif time.monotonic() - there >= gone_s:
            return True
    return False
