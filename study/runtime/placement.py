"""Where lanes go: what a cluster offers, and what a spec gets of it. Knows no Ray.

A lane asks for a share of one node. Its seat names a node, softly: where that has no room or is gone, Ray
takes another.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from study.spec.sections import Kind, Runtime
from trainable.contract import StudyError

ROUNDING = 1e-9
CPU_ENGINES = ("numba",)
"""Engines that know no GPU."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster: its id in Ray, its address, and what it offers."""

    id: str
    address: str
    cpus: float
    gpus: float

    def __str__(self) -> str:
        return f"{self.address} with {self.cpus:g} CPUs and {self.gpus:g} GPUs"


@dataclass(frozen=True, slots=True)
class Share:
    """What one lane has of a node."""

    cpus: float
    gpus: float

    @property
    def kind(self) -> Kind:
        """The kind of device that it trains on."""
        return "gpu" if self.gpus else "cpu"

    def fits(self, node: Node) -> int:
        """How many such lanes a node has room for: fractions of one GPU never lie on two."""
        fit = int(node.cpus / self.cpus + ROUNDING)
        if self.gpus >= 1:
            return min(fit, int(node.gpus / self.gpus))
        return min(fit, int(node.gpus) * int(1 / self.gpus + ROUNDING)) if self.gpus else fit

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs and {self.gpus:g} GPUs"


@dataclass(frozen=True, slots=True)
class Seat:
    """One lane: its share, and the node it should lie on (None: it waits for one to join)."""

    share: Share
    node: Node | None


def seats(runtime: Runtime, nodes: Sequence[Node]) -> tuple[Seat, ...]:
    """A seat for every lane that the spec gets on these nodes. StudyError where it can get none at all."""
    main = Share(runtime.cpus_per_lane, _gpus(runtime, nodes))
    rooms = {node: main.fits(node) for node in nodes}
    beside: dict[Node, int] = {}
    spare = Share(runtime.cpus_per_lane, 0.0)
    if main.gpus and runtime.cpu_nodes:
        beside = {node: spare.fits(node) for node in nodes if not node.gpus}
    fit = sum(rooms.values()) + sum(beside.values())
    if not fit and runtime.max_lanes is None:
        raise StudyError(_nowhere(main, nodes))
    wanted = (runtime.max_lanes or fit) if runtime.lanes == "auto" else runtime.lanes
    found = [
        *(Seat(main, node) for node in _dealt(rooms, runtime.placement)),
        *(Seat(spare, node) for node in _dealt(beside, runtime.placement)),
    ][:wanted]
    return (*found, *[Seat(main, None)] * (wanted - len(found)))


def _gpus(runtime: Runtime, nodes: Iterable[Node]) -> float:
    """GPUs of a lane; with "auto" one where there is one and the engine can use it."""
    if runtime.gpus_per_lane != "auto":
        if runtime.gpus_per_lane and runtime.engine in CPU_ENGINES:
            raise StudyError(
                f"runtime.gpus_per_lane: {runtime.gpus_per_lane:g} is of no use to the engine "
                f"{runtime.engine!r}, which knows no GPU; use 0, or the engine torch"
            )
        return runtime.gpus_per_lane
    return 1.0 if runtime.engine not in CPU_ENGINES and any(node.gpus >= 1 for node in nodes) else 0.0


def trains_on_this_cpu(runtime: Runtime) -> bool:
    """True if lanes on this machine train on its CPU: the spec says so, or there is no NVIDIA GPU."""
    if runtime.engine in CPU_ENGINES or runtime.gpus_per_lane == 0:
        return True
    return runtime.gpus_per_lane == "auto" and not any(Path("/proc/driver/nvidia/gpus").glob("*"))


def _nowhere(share: Share, nodes: Sequence[Node]) -> str:
    """Why no lane can ever be placed on these nodes."""
    largest = max(nodes, key=lambda node: (node.gpus, node.cpus), default=None)
    has = "there is no node" if largest is None else f"the largest is {largest}"
    return (
        f"runtime: no node has room for a lane of {share}, {has}; lower runtime.cpus_per_lane or "
        "gpus_per_lane, or set runtime.max_lanes to wait for nodes"
    )


def _dealt(rooms: dict[Node, int], placement: str) -> Iterator[Node]:
    """Each node once for every lane it has room for: in turns, or the roomiest full before the next."""
    order = sorted(rooms, key=lambda node: -rooms[node])
    if placement == "pack":
        for node in order:
            yield from [node] * rooms[node]
        return
    for turn in range(max(rooms.values(), default=0)):
        yield from (node for node in order if rooms[node] > turn)


def summary(found: Sequence[Seat]) -> Iterator[str]:
    """What a spec gets, in words: lanes by share, and how many of them wait."""
    for share in dict.fromkeys(seat.share for seat in found):
        here = [seat for seat in found if seat.share == share]
        placed = [seat.node for seat in here if seat.node is not None]
        waiting = len(here) - len(placed)
        more = f", {waiting} more when nodes join" if waiting else ""
        yield f"{len(placed)} of {share} on {len(set(placed))} nodes{more}"
