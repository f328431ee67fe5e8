"""The largest numbers that a spec may have cost nothing before training; larger ones are refused."""

import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest
from formula import BASELINE, SPEC, FormulaLane

from study.loop.referee import Referee
from study.record.ledger import Ledger
from study.spec import SpecError, StudySpec
from study.status import snapshot

LARGEST = (
    "train.epochs=2147483647",
    "train.evaluate_every=2147483647",
    "train.batch_size=2147483647",
    "train.dim=65536",
    "train.hidden=65536",
    "space.dim={ int = [1, 65536] }",
    f"space.learning_rate={[n / 1000 for n in range(1, 1001)]}",
    f"search.initial=[{', '.join(['{}'] * 1000)}]",
    "search.seed=9223372036854775807",
    "search.replicates=1000",
    "stopping.reduction_factor=2147483647",
    "budget.trials=2147483647",
    "budget.member_epochs=9223372036854775807",
    "budget.wall_time_s=1e308",
    "budget.plateau={ trials = 2147483647, gain = 1e308 }",
    "confirm={ points = 2147483647, replicates = 1000, fresh = 1000 }",
    "runtime.lanes=1024",
    "runtime.max_lanes=1024",
    "runtime.slots=4096",
    "runtime.cpus_per_lane=1e308",
    "runtime.save_every_s=1e308",
)
BEYOND = (
    "train.dim=65537",
    "train.hidden=65537",
    "space.dim=[32, 65537]",
    "space.hidden={ int = [1, 65537] }",
    f"space.learning_rate={[n / 1000 for n in range(1, 1002)]}",
    f"search.initial=[{', '.join(['{}'] * 1001)}]",
    "search.replicates=1001",
    "search.replicates=2147483647",
    "stopping.reduction_factor=2147483648",
    "confirm.replicates=1001",
    "confirm.fresh=1001",
    "runtime.lanes=100000",
    "runtime.max_lanes=1025",
    "runtime.slots=4097",
    "runtime.slots={ gpu = 4097 }",
)
MOST_BYTES = 64 << 20


def spec_with(*overrides: str) -> StudySpec:
    return StudySpec.from_text(SPEC, where="test", overrides=overrides)


@pytest.mark.parametrize("override", BEYOND, ids=[o[:40] for o in BEYOND])
def test_a_number_that_work_goes_with_is_bounded_in_words(override: str):
    with pytest.raises(SpecError, match=r"^[a-z_.\[\]01]+: .* is not possible; use .*(at most|below) \d+"):
        spec_with(override)


@pytest.mark.parametrize("override", LARGEST, ids=[o[:40] for o in LARGEST])
def test_the_largest_number_costs_nothing_before_training(override: str, tmp_path: Path):
    """No list, table or rung is as long as a number in the spec."""
    spec = spec_with(override)
    tracemalloc.start()
    try:
        with closing(Ledger.open(spec, tmp_path / spec.name, BASELINE)) as ledger:
            referee = Referee(ledger, ledger.claim())
            assert FormulaLane("a").advance(referee.exchange).leases
            snapshot.as_dict(snapshot.snapshot(ledger))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES


@pytest.mark.parametrize("sharing", ["none", "both"])
def test_a_grid_is_counted_before_it_is_made(sharing: str):
    """Five lists of 30: without a weight, where nothing is shared, they are a thirtieth."""
    lists = [
        *(
            f"space.{key}={[n / 100 for n in range(1, 31)]}"
            for key in ("weight", "learning_rate", "weight_decay")
        ),
        *(f"space.{key}={list(range(1, 31))}" for key in ("dim", "hidden")),
    ]
    size = {"none": "810,000", "both": "24,300,000"}[sharing]
    with pytest.raises(SpecError, match=f"^space: {size} configurations are too many for a grid, .* 100,000"):
        spec_with("search.sampler=grid", "search.explore=0", f"space.sharing={sharing}", *lists)
    fits = spec_with("search.sampler=grid", "search.explore=0", f"space.sharing={sharing}", *lists[:3])
    assert fits.search.sampler == "grid"
