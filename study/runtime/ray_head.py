"""The head of a Ray of one's own. Where it is gone nothing of the run can go on, but Ray waits for it.

After a minute Ray ends the driver in the middle of a word, exit code 1; at once, where the driver asks for an
object of a raylet that is gone. A signal to the whole process group (`timeout`, a service manager) ends both
with all the rest, and only the driver is left to say so: before Ray does, as a rule.
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

LOOK_S = 1.0
"""From one look to the next."""

HASTE_S = 0.02
"""The same once a signal has come, which may have ended the head as well."""

GONE_S = 5.0
"""How long it has been gone when a run ends that no signal has: what Ray notices by itself it says itself."""


def addresses() -> list[str]:
    """Where the head of the Ray that this process is connected to listens, and its raylet: "host:port"."""
    raylets = [f"{n['NodeManagerAddress']}:{n['NodeManagerPort']}" for n in ray.nodes() if n["Alive"]]
    return [str(ray.get_runtime_context().gcs_address), *raylets]


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
    places: Sequence[str], ledger: Ledger, run: int, interrupt: Interrupt, *, gone_s: float = GONE_S
) -> Iterator[None]:
    """While this is entered, `run` and its process end once one of `places` has been gone for `gone_s`, or at
    all since a signal came.

    In a thread: Ray's calls that wait for the head hear no signal and raise nothing.
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
    """Wait until nobody has listened at one of `places` for long enough; False once this is `over`."""
    there = looked = time.monotonic()
    while not over.wait(HASTE_S):
        asked, now = interrupt.asked, time.monotonic()
        if not asked and now - looked < LOOK_S:
            continue
        looked = now
        if not any(map(gone, places)):
            there = now
        elif asked or now - there >= gone_s:
            return True
    return False
