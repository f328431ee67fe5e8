"""Start and end Ray. Neither needs Ray Tune, which takes longer to import."""

import gc
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from tempfile import gettempdir
from threading import current_thread, main_thread
from typing import Any

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray._private.state import state
from ray.experimental.internal_kv import _internal_kv_get

from study.runtime import private_ray
from study.runtime.minimal_ray import minimal_ray
from study.runtime.placement import Node
from study.runtime.temporary import temporary_folder
from study.spec import StudySpec
from trainable.contract import StudyError, first_line

ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # with it, fit() returns on Ctrl-C as if nothing had happened
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # lanes have nothing to log; trials are in the Ledger
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@contextmanager
def connected(spec: StudySpec) -> Iterator[bool]:
    """Connect to Ray: the present connection, a private Ray on this machine, or the cluster. Yields True for
    a private Ray.

    Ray puts the working folder first on its workers' path, and below `uv run` it may read every file in it.
    The driver works from an empty folder: a user's `analysis.py` must not replace our package, and a record
    that is opened and closed as a plain file loses its locks (sqlite.org/howtocorrupt.html, 2.2).
    """
    os.environ.update(ENVIRONMENT)
    if ray.is_initialized():
        yield False
        return
    address = spec.runtime.address
    with _in_an_empty_folder(), _term_kept(), _private(address) as private:
        try:
            _init(address, private)
            if address == "local":
                private_ray.check_private([node.address for node in nodes()])
            yield address == "local"
        finally:
            with _uncollected():
                ray.shutdown()


@contextmanager
def _in_an_empty_folder() -> Iterator[None]:
    """Work from an empty folder until the body ends."""
    with temporary_folder(gettempdir()) as made:
        empty = made / "empty"
        empty.mkdir()
        with chdir(empty):
            yield


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect garbage now, and not again before the body ends.

    A report is written while Ray ends. If its thread collected one of Ray's references, Ray would end the
    process.
    """
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _private(address: str) -> AbstractContextManager[Mapping[str, Any]]:
    """More arguments of `ray.init`: those that keep others out of a private Ray."""
    return private_ray.private() if address == "local" else nullcontext({})


def _init(address: str, more: Mapping[str, Any]) -> None:
    """Call `ray.init`. StudyError if Ray does not start or does not answer."""
    try:
        with minimal_ray() if address == "local" else nullcontext():
            ray.init(
                address=address,  # "local" starts a new Ray, even where a cluster runs on this machine
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level="CRITICAL",  # we report the end of a run; Ray would print it for each lane
                **more,
            )
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"runtime.address: {address!r}: Ray does not start or does not answer ({first_line(error)}); "
            '`study doctor` shows what is missing, and address = "inline" needs no Ray'
        ) from error


@contextmanager
def _term_kept() -> Iterator[None]:
    """Restore the handler of TERM: that of Ray ends the process without a message."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if current_thread() is main_thread() and before is not None:  # None: a handler that was set in C
            signal.signal(signal.SIGTERM, before)


def nodes() -> list[Node]:
    """The nodes of the Ray that this process is connected to."""
    return [
        Node(
            node["NodeID"],
            node["NodeManagerAddress"],
            node["Resources"].get("CPU", 0.0),
            node["Resources"].get("GPU", 0.0),
            node["Resources"],
            node["Labels"],
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def grows() -> bool:
    """True if an autoscaler may add nodes to the Ray that this process is connected to.

    The autoscaler of a cluster file or of KubeRay names the types of its nodes; without one, Ray names each
    node after its id.
    """
    if state.get_cluster_config() is not None:
        return True
    status = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or "{}")
    types = ((status.get("autoscaler_report") or {}).get("node_type_mapping") or {}).values()
    return not all(name.startswith("node_") for name in types)
