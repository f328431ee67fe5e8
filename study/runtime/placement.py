"""Placement of lanes on the nodes of a cluster. Imports no Ray.

A lane asks for a share of one node. Its seat prefers a node: if that is full or gone, Ray takes another.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from study.spec.sections import Kind, Runtime
from trainable.contract import StudyError

SHARE_TOLERANCE = 1e-9
CPU_ENGINES = ("numba",)
"""Engines that train on CPUs only."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster: its id in Ray, address, CPUs, GPUs, all resources, and labels."""

    id: str
    address: str
    cpus: float
    gpus: float
    resources: Mapping[str, float] = field(default_factory=dict, hash=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.address} with {self.cpus:g} CPUs and {self.gpus:g} GPUs"


@dataclass(frozen=True, slots=True)
class NodeShare:
    """The CPUs, GPUs and custom resources that one lane has of a node, and the labels that the node needs."""

    cpus: float
    gpus: float
    resources: Mapping[str, float] = field(default_factory=dict, hash=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def kind(self) -> Kind:
        """The kind of device that it trains on."""
        return "gpu" if self.gpus else "cpu"

    def fits(self, node: Node) -> int:
        """Number of such lanes that fit on a node; a fraction of a GPU lies on one GPU."""
        if not self.labels.items() <= node.labels.items():
            return 0
        fit = int(node.cpus / self.cpus + SHARE_TOLERANCE)
        for name, amount in self.resources.items():
            fit = min(fit, int(node.resources.get(name, 0.0) / amount + SHARE_TOLERANCE))
        if self.gpus >= 1:
            return min(fit, int(node.gpus / self.gpus))
        return min(fit, int(node.gpus) * int(1 / self.gpus + SHARE_TOLERANCE)) if self.gpus else fit

    def __str__(self) -> str:
        custom = "".join(f" and {amount:g} {name}" for name, amount in self.resources.items())
        labelled = ", ".join(f"{key} = {value}" for key, value in self.labels.items())
        return f"{self.cpus:g} CPUs and {self.gpus:g} GPUs{custom}{labelled and f' at {labelled}'}"


@dataclass(frozen=True, slots=True)
class Seat:
    """A lane's share and preferred node (None: it waits for one to join)."""

    share: NodeShare
    node: Node | None


def seats(runtime: Runtime, nodes: Sequence[Node], *, grows: bool = False) -> tuple[Seat, ...]:
    """A seat for every lane that the spec gets on these nodes. StudyError if it can never get one.

    `grows` is true if an autoscaler may add nodes.
    """
    main = _share(runtime, lane_gpus(runtime, nodes, grows=grows))
    rooms = {node: main.fits(node) for node in nodes}
    beside: dict[Node, int] = {}
    spare = _share(runtime, 0.0)
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


def _share(runtime: Runtime, gpus: float) -> NodeShare:
    return NodeShare(runtime.cpus_per_lane, gpus, runtime.resources, runtime.labels)


def lane_gpus(runtime: Runtime, nodes: Iterable[Node], *, grows: bool) -> float:
    """GPUs of a lane; with "auto" one, if a node has one and the engine can use it.

    StudyError for a number that no engine uses, and for "auto" on a cluster that has no GPU but may get one.
    """
    gpus = runtime.gpus_per_lane
    if runtime.engine in CPU_ENGINES:
        if gpus == "auto" or not gpus:
            return 0.0
        raise StudyError(
            f"runtime.gpus_per_lane: {gpus:g} is of no use to the engine {runtime.engine!r}, which trains on "
            "CPUs only; use 0, or the engine torch"
        )
    if gpus != "auto":
        if gpus > 1:
            raise StudyError(
                f"runtime.gpus_per_lane: a lane trains on one GPU, not on {gpus:g}; use 1, and more lanes"
            )
        return gpus
    if any(node.gpus >= 1 for node in nodes):
        return 1.0
    if grows:
        raise StudyError(
            'runtime.gpus_per_lane: "auto" cannot know if this cluster will have GPUs: it has none now, and '
            "an autoscaler may add nodes; use 1 to wait for GPUs, or 0 to train on CPUs"
        )
    return 0.0


def usable(found: Iterable[Seat], nodes: Iterable[Node]) -> dict[Node, bool]:
    """The nodes that have room for one of these lanes; true if such a lane has a part of a GPU."""
    shares = {seat.share for seat in found}
    fits = {node: [share for share in shares if share.fits(node)] for node in nodes}
    return {node: any(share.gpus for share in some) for node, some in fits.items() if some}


def trains_on_this_cpu(runtime: Runtime) -> bool:
    """True if lanes on this machine train on its CPU: the spec says so, or there is no NVIDIA GPU."""
    if runtime.engine in CPU_ENGINES or runtime.gpus_per_lane == 0:
        return True
    return runtime.gpus_per_lane == "auto" and not any(Path("/proc/driver/nvidia/gpus").glob("*"))


def _nowhere(share: NodeShare, nodes: Sequence[Node]) -> str:
    """The error for nodes on which no lane can ever be placed."""
    largest = max(nodes, key=lambda node: (node.gpus, node.cpus), default=None)
    has = "there is no node" if largest is None else f"the largest is {largest}"
    return (
        f"runtime: no node has room for a lane of {share}, {has}; lower runtime.cpus_per_lane or "
        "gpus_per_lane, ask for fewer resources and labels, or set runtime.max_lanes to wait for nodes"
    )


def _dealt(rooms: dict[Node, int], placement: str) -> Iterator[Node]:
    """Each node once for every lane that fits on it: in turns, or the largest filled before the next."""
    order = sorted(rooms, key=lambda node: -rooms[node])
    if placement == "pack":
        for node in order:
            yield from [node] * rooms[node]
        return
    for turn in range(max(rooms.values(), default=0)):
        yield from (node for node in order if rooms[node] > turn)


def summary(found: Sequence[Seat]) -> Iterator[str]:
    """Lines on the lanes that a spec gets: their number by share, and the number that waits for nodes."""
    for share in dict.fromkeys(seat.share for seat in found):
        here = [seat for seat in found if seat.share == share]
        placed = [seat.node for seat in here if seat.node is not None]
        waiting = len(here) - len(placed)
        more = f", {waiting} more when nodes join" if waiting else ""
        yield f"{len(placed)} of {share} on {len(set(placed))} nodes{more}"
