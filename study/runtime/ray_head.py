"""End a run when the head of its private Ray is gone. Nothing can continue then, but Ray waits for the head.

After a minute Ray ends the driver in the middle of a word, with exit code 1; at once if the driver needs an
object from a lost raylet. A signal to the whole process group (`timeout`, a service manager) ends Ray and the
lanes as well. Then only the driver can report the end, usually before Ray ends it.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread

import ray

from study.record.ledger import Ledger
from study.record.optuna_storage import STORAGE_ERRORS
from study.signals import INTERRUPTED, RESUMES, Interrupt

HEAD_LOOK_S = 1.0
"""Interval between checks of the head."""

IDLE_S = 0.02
"""Longest wait for a signal, which may have ended the head as well."""

HASTE_S = 0.001
"""Interval between checks of the head after a signal: Ray ends the driver moments after its own end."""

GONE_S = 5.0
"""Absence of the head that ends a run without a signal. Within it Ray can report its own errors."""


def addresses() -> list[str]:
    """Addresses of the connected Ray's head and raylets, as "host:port"."""
    raylets = [f"{n['NodeManagerAddress']}:{n['NodeManagerPort']}" for n in ray.nodes() if n["Alive"]]
    return [str(ray.get_runtime_context().gcs_address), *raylets]


def gone(place: str) -> bool:
    """True if no process listens at `place` ("host:port"); one that is slow to answer still listens."""
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=HEAD_LOOK_S):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


@contextmanager
def watch_heads(
    places: Sequence[str], ledger: Ledger, run: int, interrupt: Interrupt, *, gone_s: float = GONE_S
) -> Iterator[None]:
    """While the body runs, end `run` and its process once one of `places` has been gone for `gone_s`, or as
    soon as it is gone after a signal.

    A thread checks this, for Ray's calls that wait for the head ignore signals and raise nothing.
    """
    over = Event()

    def attend() -> None:
        if not _lost(places, over, interrupt, gone_s):
            return
        asked = interrupt.asked
        reason = "interrupted" if asked else "failed: the head of this run's Ray is gone"
        with suppress(*STORAGE_ERRORS):
            ledger.release(run, reason)
        interrupt.leave(INTERRUPTED if asked else 1, f"{reason}; {RESUMES}")

    attendant = Thread(target=attend, name="head", daemon=True)
    attendant.start()
    try:
        yield
    finally:
        over.set()
        attendant.join()


def _lost(places: Sequence[str], over: Event, interrupt: Interrupt, gone_s: float) -> bool:
    """Wait until one of `places` has been gone for long enough; return False once this is `over`."""
    there = looked = time.monotonic()
    while not over.wait(HASTE_S if interrupt.asked else 0.0):
        interrupt.wait(IDLE_S)
        asked, now = interrupt.asked, time.monotonic()
        if not asked and now - looked < HEAD_LOOK_S:
            continue
        looked = now
        if not any(map(gone, places)):
            there = now
        elif asked or now - there >= gone_s:
            return True
    return False
