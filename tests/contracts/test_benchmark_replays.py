"""A replay of recorded curves makes the decisions of the study, in the same order."""

import pytest
from curves import Curves
from formula import BASELINE, SPEC, FormulaLane
from replay import Proposals, Sampled, replay

from study.loop.referee import Referee
from study.loop.rules.registry import rule
from study.record.front import front, reference
from study.record.ledger import Ledger
from study.search.samplers.registry import SAMPLERS
from study.spec import StudySpec

TRIALS, EPOCHS = 16, 9
OVERRIDES = (
    f"budget.trials={TRIALS}",
    f"train.epochs={EPOCHS}",
    "space.learning_rate={ log = [5e-4, 6e-3] }",
    "stopping.min_epochs=2",
    "stopping.reduction_factor=2",
)


def driven(home, name):
    """The record of a study with this rule, run by two lanes of one slot in turns."""
    spec = StudySpec.from_text(SPEC, where="test", overrides=[*OVERRIDES, f"stopping.rule={name}"])
    ledger = Ledger.open(spec, home / name / spec.name, BASELINE)
    run = ledger.claim()
    referee, lanes = Referee(ledger, run), [FormulaLane(f"{run}.{i}") for i in range(2)]
    while referee.over is None:
        for lane in lanes:
            lane.advance(referee.exchange)
    return ledger


def recorded(ledger):
    """The curves of a study without stopping."""
    points = ledger.points()
    return Curves(
        spec=ledger.spec,
        corner=reference(ledger.baseline, ledger.spec),
        points=tuple(tuple(p for p in points if p.trial == trial) for trial in range(TRIALS)),
        parameters=tuple(dict(t.params) for t in ledger._optuna.trials),
    )


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    ledger = driven(tmp_path_factory.mktemp("curves"), "never")
    yield recorded(ledger)
    ledger.close()


@pytest.mark.long
@pytest.mark.parametrize("name", ["median", "pareto-asha"])
def test_a_replay_decides_as_the_referee_did(tmp_path, curves, name):
    """The replay has the same order at each rung, no waiting lane, and no judgement of a completed trial."""
    ledger = driven(tmp_path, name)
    trace = replay(curves, Proposals(iter(range(TRIALS))), rule(ledger.spec.stopping), most=10_000)
    assert trace.decisions == [judgement.decision for judgement in ledger.judgements()]
    assert {d.verdict for d in trace.decisions} == {"go", "stop"}
    whole = front(ledger.points(), ledger.spec, curves.corner).hypervolume
    assert trace.volumes[-1] == pytest.approx(whole, rel=1e-12)
    assert trace.reached(whole * (1 - 1e-9)) == trace.member_epochs[-1]
    ledger.close()


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in ("grid", "gp")])
def test_every_sampler_takes_each_configuration_once(curves, sampler):
    proposals = Sampled(curves, sampler=sampler, seed=3)
    taken = []
    while (number := proposals.ask()) is not None:
        taken.append(number)
        proposals.tell(number, EPOCHS)
    assert sorted(taken) == list(range(TRIALS))


def test_a_drawn_recorded_configuration_is_used_itself(curves):
    """Distances use the scale of each value and compare only configurations with the same sharing."""
    for number, parameters in enumerate(curves.parameters):
        sampled = Sampled(curves, sampler="random", seed=0)
        near = {n: v * (1 + 1e-9) if isinstance(v, float) else v for n, v in parameters.items()}
        assert sampled._nearest.nearest(near) == number
