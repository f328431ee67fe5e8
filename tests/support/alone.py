"""The oracle of law 1: a replicate trained alone by the engine, in this process."""

from study.record.ledger import Ledger
from trainable.contract import METRICS
from trainable.data.registry import load
from trainable.engines.engine import Member
from trainable.engines.registry import engine

NUMBERS = ("ranking_loss", "rating_loss", *METRICS)


def trained_alone(ledger: Ledger, trial: int, replicate: int) -> dict[int, dict[str, float]]:
    """Epoch → losses and metrics of one replicate of a recorded trial, trained alone."""
    spec = ledger.spec
    split = load(spec.data.source, split=spec.data.split, split_seed=spec.data.split_seed)
    fold = split.final if ledger.stage == "confirm" else split.search
    config = ledger.records()[trial].config
    lone = engine(spec.runtime.engine, fold, seed=spec.search.seed, device="cpu", threads=1)
    member = Member(0, replicate, config)
    lone.join(member)
    found = {}
    for epoch in range(1, config.epochs + 1):
        due = {member} if config.measured_at(epoch) else set()
        result = lone.epoch(due)[member]
        if result.metrics is not None:
            losses = {"ranking_loss": result.ranking_loss, "rating_loss": result.rating_loss}
            found[epoch] = {**losses, **result.metrics}
    return found


def recorded(ledger: Ledger) -> dict[tuple[int, int], dict[int, dict[str, float]]]:
    """(trial, replicate) → epoch → losses and metrics, from the record."""
    found: dict[tuple[int, int], dict[int, dict[str, float]]] = {}
    for m in ledger.measurements():
        numbers = {name: getattr(m, name) for name in NUMBERS}
        found.setdefault((m.trial, m.replicate), {})[m.epoch] = numbers
    return found
