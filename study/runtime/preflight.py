"""Checks of the nodes of a cluster that lanes may use, before they start; each error names its node."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.record.ledger import Ledger
from study.record.rows import Stage
from study.runtime.placement import Node
from trainable.contract import StudyError
from trainable.job import Origin

NODES_ANSWER_S = 120.0
"""Time that all nodes together have to answer; the first worker of a node imports all that lanes need."""


CUDA = "import torch; print(torch.__version__, torch.cuda.is_available())"


def check(nodes: Mapping[Node, bool], marker: Path, *, shared: bool) -> None:
    """Check that these nodes run the driver's Python and code, see `marker` if `shared`, and have CUDA if
    their value is true.

    StudyError names a node that fails or does not answer.
    """
    asked = {
        _on(node.id, _look).remote(Origin.here(), marker, cuda=cuda): node for node, cuda in nodes.items()
    }
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=NODES_ANSWER_S)
    for task in silent:
        raise StudyError(f"node {asked[task].address}: no worker answered in {NODES_ANSWER_S:.0f} s")
    for task in answered:
        where = f"node {asked[task].address}"
        fault, sees = _answer(task, where)
        if shared and not sees:
            fault = f"does not see {marker.parent}; mount runtime.storage_path on every node, or leave it out"
        if fault is not None:
            raise StudyError(f"{where}: {fault}")


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


def _look(origin: Origin, marker: Path, *, cuda: bool) -> tuple[str | None, bool]:
    """The fault of this node's code or GPU, or None; and True if the node sees the marker."""
    try:
        origin.check()
    except StudyError as error:
        return str(error), False
    return _without_cuda() if cuda else None, marker.exists()


def _without_cuda() -> str | None:
    """The fault of this node if torch cannot use its GPU, else None.

    Ray hides the GPUs from a task that asks for none, so another process looks.
    """
    free = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(  # noqa: S603 - the code is this module's
        [sys.executable, "-c", CUDA], env=free, capture_output=True, text=True, check=False
    )
    version, _, available = done.stdout.strip().partition(" ")
    if available == "True":
        return None
    return (
        f"Ray counts a GPU there, but torch {version or '(its import fails)'} of {sys.executable} cannot use "
        "it; use an image with torch's build for CUDA on a node with NVIDIA's driver and container runtime, "
        "or set runtime.gpus_per_lane = 0"
    )


def _open(folder: Path, stage: Stage) -> str | None:
    """The error of opening the record here, or None."""
    try:
        with closing(Ledger.read(folder, stage=stage)):
            return None
    except StudyError as error:
        return str(error)
