"""Placement of lanes on a cluster: counted as Ray counts, placed as the spec asks, refused if none fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.runtime.placement import Node, NodeShare, seats, summary, usable
from study.spec import SpecError, StudySpec
from study.spec.gpu_share import GRAIN, MOST_LANES
from study.spec.sections import Runtime
from trainable.contract import StudyError

TEXT = 'name = "a"\n[data]\nsource = "synthetic"\n[budget]\ntrials = 1\n'


def runtime(**values: object) -> Runtime:
    overrides = [f"runtime.{key}={str(v).lower() if isinstance(v, bool) else v}" for key, v in values.items()]
    return StudySpec.from_text(TEXT, where="test", overrides=overrides).runtime


def nodes(*offers: tuple[float, float]) -> list[Node]:
    return [Node(f"id{n}", f"10.0.0.{n}", *offer) for n, offer in enumerate(offers)]


def where(found) -> list[tuple[str | None, float]]:
    return [(seat.node and seat.node.id, seat.share.gpus) for seat in found]


@pytest.mark.parametrize(
    ("gpus", "share"), [(0.25, 0.25), (0.5, 0.5), (0.3333, 0.3333), (0.142857, 0.1428), (0.1429, 0.1428)]
)
def test_gpu_fraction_is_rounded_so_that_k_lanes_fit(gpus: float, share: float):
    """1/7 is rounded down, so seven lanes fit."""
    assert runtime(gpus_per_lane=gpus).gpus_per_lane == pytest.approx(share, abs=1e-12)


@given(st.integers(2, MOST_LANES))
def test_every_kth_fits_k_times(k: int):
    share = NodeShare(0.001, Runtime(gpus_per_lane=1 / k).gpus_per_lane)
    assert share.fits(Node("n", "a", 100, 1)) == k
    assert share.gpus * k <= 1 + 1e-12
    assert 1 / k - share.gpus < GRAIN


@pytest.mark.parametrize("gpus", [0.3, 0.33, 0.7, 1.5, 0.001])
def test_gpu_fraction_that_leaves_a_rest_is_refused(gpus: float):
    with pytest.raises(SpecError, match="one k-th of one") as caught:
        runtime(gpus_per_lane=gpus)
    assert "runtime.gpus_per_lane" in str(caught.value)


def test_quarter_lanes_on_two_nodes_of_two_gpus():
    found = seats(runtime(gpus_per_lane=0.25, cpus_per_lane=0.5), nodes((8, 2), (8, 2)))
    assert where(found) == [("id0", 0.25), ("id1", 0.25)] * 8


def test_the_scarcer_of_cpus_and_gpus_decides():
    assert len(seats(runtime(gpus_per_lane=0.25), nodes((3, 2)))) == 3
    assert len(seats(runtime(gpus_per_lane=1, cpus_per_lane=2), nodes((9, 5)))) == 4
    assert len(seats(runtime(cpus_per_lane=0.1), nodes((0.3, 0)))) == 3


def test_spread_takes_turns_and_pack_fills():
    offers = nodes((2, 0), (3, 0), (1, 0))
    spread = [node for node, _ in where(seats(runtime(), offers))]
    pack = [node for node, _ in where(seats(runtime(placement="pack", lanes=4), offers))]
    assert spread == ["id1", "id0", "id2", "id1", "id0", "id1"]
    assert pack == ["id1", "id1", "id1", "id0"]


def test_with_auto_a_gpu_is_used_where_there_is_one():
    assert where(seats(runtime(), nodes((2, 1), (4, 0)))) == [("id0", 1.0)]
    assert [g for _, g in where(seats(runtime(engine="numba"), nodes((2, 1))))] == [0.0, 0.0]


def test_auto_is_refused_where_gpus_may_come_later():
    """Else a study of a cluster that starts with its head alone would train on CPUs to its end."""
    with pytest.raises(StudyError, match="use 1 to wait for GPUs, or 0 to train on CPUs"):
        seats(runtime(max_lanes=4), nodes((1, 0)), grows=True)
    assert where(seats(runtime(max_lanes=1, gpus_per_lane=1), nodes((1, 0)), grows=True)) == [(None, 1.0)]
    assert where(seats(runtime(max_lanes=1, engine="numba"), nodes((1, 0)), grows=True)) == [("id0", 0.0)]
    assert where(seats(runtime(), nodes((1, 1)), grows=True)) == [("id0", 1.0)]


def test_only_nodes_with_room_for_a_lane_are_used():
    offers = nodes((2, 1), (0, 0), (2, 0), (0.5, 1))
    gpu = seats(runtime(gpus_per_lane=1), offers)
    assert {node.id: cuda for node, cuda in usable(gpu, offers).items()} == {"id0": True}
    both = seats(runtime(gpus_per_lane=1, cpu_nodes=True), offers)
    assert {node.id: cuda for node, cuda in usable(both, offers).items()} == {"id0": True, "id2": False}


def test_resources_and_labels_choose_nodes():
    """A lane goes only where Ray counts its resource, and to nodes with its labels."""
    offers = [
        Node("id0", "10.0.0.0", 8, 8, {"accelerator_type:A100": 1.0, "licence": 2.0}, {"zone": "a"}),
        Node("id1", "10.0.0.1", 8, 8, {"accelerator_type:H100": 1.0, "licence": 1.0}, {"zone": "b"}),
        Node("id2", "10.0.0.2", 8, 8),
    ]

    def lanes(**values: object) -> list[str | None]:
        return [node for node, _ in where(seats(runtime(gpus_per_lane=1, **values), offers))]

    assert lanes(resources="{ 'accelerator_type:H100' = 0.01 }") == ["id1"] * 8
    assert lanes(resources="{ licence = 1.0 }") == ["id0", "id1", "id0"]
    assert lanes(labels="{ zone = 'a' }") == ["id0"] * 8
    with pytest.raises(StudyError, match="for a lane of 1 CPUs and 1 GPUs and 1 licence at zone = c, "):
        lanes(resources="{ licence = 1.0 }", labels="{ zone = 'c' }")
    found = seats(runtime(gpus_per_lane=1, labels="{ zone = 'a' }"), offers)
    assert {node.id for node in usable(found, offers)} == {"id0"}


def test_cpu_nodes_are_used_too_where_the_spec_says_so():
    found = seats(runtime(cpu_nodes=True), nodes((2, 1), (2, 0)))
    assert where(found) == [("id0", 1.0), ("id1", 0.0), ("id1", 0.0)]
    assert list(summary(found)) == [
        "1 of 1 CPUs and 1 GPUs on 1 nodes",
        "2 of 1 CPUs and 0 GPUs on 1 nodes",
    ]


def test_more_lanes_than_fit_wait():
    found = seats(runtime(max_lanes=4), nodes((1, 0)))
    assert where(found) == [("id0", 0.0)] + [(None, 0.0)] * 3
    assert list(summary(found)) == ["1 of 1 CPUs and 0 GPUs on 1 nodes, 3 more when nodes join"]
    assert where(seats(runtime(max_lanes=2, gpus_per_lane=1), nodes((1, 0)))) == [(None, 1.0)] * 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cpus_per_lane": 3}, "the largest is 10.0.0.0 with 2 CPUs and 0 GPUs"),
        ({"gpus_per_lane": 0.5}, "no node has room for a lane of 1 CPUs and 0.5 GPUs"),
        ({"gpus_per_lane": 0.5, "engine": "numba"}, "which trains on CPUs only"),
        ({"gpus_per_lane": 2}, "a lane trains on one GPU, not on 2; use 1, and more lanes"),
    ],
)
def test_lanes_that_never_fit_are_refused(values: dict, words: str):
    with pytest.raises(StudyError, match="runtime") as caught:
        seats(runtime(**values), nodes((2, 0)))
    assert words in str(caught.value)


def test_slots_go_by_the_device():
    assert runtime(slots="{ cpu = 1, gpu = 64 }").slots_on("gpu") == 64
    assert runtime(slots="{ gpu = 64 }").slots_on("cpu") == "auto"
    assert runtime(slots=3).slots_on("cpu") == 3
