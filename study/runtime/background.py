"""Calls that run in a thread while the main thread waits for Ray."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_background(call: Callable[[], T]) -> "Future[T]":
    """Run `call` in a daemon thread and return its future: a process that ends does not wait for it."""
    future = Future[T]()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised by the future's `result`
            future.set_exception(error)

    Thread(target=run, name="background", daemon=True).start()
    return future
