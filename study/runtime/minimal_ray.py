"""Start a private Ray without the processes that a run does not use.

Ray has no public switch for its API server, its autoscaler and its log monitor. Each is a Python process that
imports Ray for half a second, and `ray.init` waits for the first. Where another version of Ray has other
names, it starts them as usual.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ray._private import ray_constants
from ray._private.node import Node

NO_DASHBOARD = b"127.0.0.1:0"
"""Recorded as the address of the API server: without one, Ray's agent logs an error every second."""


@contextmanager
def minimal_ray() -> Iterator[None]:
    """Keep `ray.init` from starting the API server, the autoscaler and the log monitor."""
    with ExitStack() as restored:
        for name, instead in (
            ("start_api_server", _without_dashboard),
            ("start_monitor", _nothing),
            ("start_log_monitor", _nothing),
        ):
            restored.enter_context(patched(Node, name, instead))
        yield


@contextmanager
def patched(holder: Any, name: str, value: object) -> Iterator[None]:
    """Replace an attribute that exists, and restore it."""
    if not hasattr(holder, name):
        yield
        return
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


def _nothing(_node: Node, *_: object, **__: object) -> None: ...


def _without_dashboard(node: Node, *_: object, **__: object) -> None:
    node.get_gcs_client().internal_kv_put(
        ray_constants.DASHBOARD_ADDRESS.encode(), NO_DASHBOARD, True, ray_constants.KV_NAMESPACE_DASHBOARD
    )
