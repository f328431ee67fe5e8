"""Checks of every node of a cluster before lanes start; each error names its node."""

from contextlib import closing
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.record.ledger import Ledger
from study.record.rows import Stage
from trainable.contract import StudyError
from trainable.job import Origin

NODES_ANSWER_S = 120.0
"""Time that all nodes together have to answer; the first worker of a node imports all that lanes need."""


def check(addresses: dict[str, str], marker: Path, *, shared: bool) -> None:
    """Check that every node runs the driver's Python and code, and sees `marker` if `shared`.

    `addresses` has the nodes' addresses by id. StudyError names a node that fails or does not answer.
    """
    asked = {_on(node, _look).remote(Origin.here(), marker): node for node in addresses}
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=NODES_ANSWER_S)
    for task in silent:
        raise StudyError(f"node {addresses[asked[task]]}: no worker answered in {NODES_ANSWER_S:.0f} s")
    for task in answered:
        fault, sees = _answer(task, f"node {addresses[asked[task]]}")
        if shared and not sees:
            fault = f"does not see {marker.parent}; mount runtime.storage_path on every node, or leave it out"
        if fault is not None:
            raise StudyError(f"node {addresses[asked[task]]}: {fault}")


def check_record(node: str, address: str, folder: Path, stage: Stage) -> None:
    """Check that workers of the referee's node can open the record; StudyError if not.

    They have the environment of Ray, not that of the driver, and may lack the URL of the database.
    """
    fault = _answer(_on(node, _open).remote(folder, stage), f"node {address}")
    if fault is not None:
        raise StudyError(f"node {address}: {fault}")


def _on(node: str, task: Any) -> Any:
    """A task that runs only on this node."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(task).options(num_cpus=0, max_retries=0, scheduling_strategy=there)


def _answer(task: Any, where: str) -> Any:
    try:
        return ray.get(task, timeout=NODES_ANSWER_S)
    except RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise StudyError(f"{where}: cannot run this package there: {last}") from error


def _look(origin: Origin, marker: Path) -> tuple[str | None, bool]:
    """The fault of this node's code, or None; and True if the node sees the marker."""
    try:
        origin.check()
    except StudyError as error:
        return str(error), False
    return None, marker.exists()


def _open(folder: Path, stage: Stage) -> str | None:
    """The error of opening the record here, or None."""
    try:
        with closing(Ledger.read(folder, stage=stage)):
            return None
    except StudyError as error:
        return str(error)
