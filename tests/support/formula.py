"""Studies without a model: a lane whose metrics follow a formula, so that records can be checked exactly."""

from dataclasses import dataclass, field
from itertools import count

from study.record.rows import Baseline
from trainable.contract import Answer, Config, Held, LaneReport, Lease, Measurement

SPEC = """
name = "formula"
[data]
source = "synthetic"
[train]
epochs = 4
[search]
sampler = "random"
[budget]
trials = 6
"""

BASELINE = Baseline(
    data={"sha256": "0", "has_validation": True},
    reference={"mrr": 0.3, "mrr_all": 0.05, "mse": 0.9},
)


def measure(config: Config, trial: int, replicate: int, epoch: int) -> Measurement:
    """The measurement of a replicate after an epoch: a formula of the arguments alone."""
    weight = config.ranking_weight
    return Measurement(
        trial=trial,
        replicate=replicate,
        epoch=epoch,
        ranking_loss=0.5 / epoch,
        rating_loss=1.0 / epoch,
        joint_loss=weight * 0.5 / epoch + (1 - weight) / epoch,
        mrr=0.2 + 0.2 * weight * epoch / config.epochs + 0.001 * replicate,
        mrr_all=0.05,
        mse=1.2 - 0.5 * (1 - weight) - 100 * config.learning_rate / epoch,
        wall_s=0.01,
    )


@dataclass
class FormulaLane:
    """A lane that trains nothing; `advance` is one epoch of its trials."""

    name: str
    slots: int = 1
    incarnation: int = field(default_factory=count(-1, -1).__next__)
    epoch_s: float = 0.01
    leases: dict[int, Lease] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    unsent: list[Measurement] = field(default_factory=list)

    def call(self, exchange) -> Answer:
        """Call the exchange with all held trials; change nothing."""
        epoch_s = self.epoch_s if any(self.epochs.values()) else 0.0
        held = [Held(n, lease.attempt, self.epochs[n], epoch_s=epoch_s) for n, lease in self.leases.items()]
        free = self.slots - len(held)
        return exchange(LaneReport(self.name, self.incarnation, held, tuple(self.unsent), free))

    def obey(self, answer: Answer) -> None:
        """Obey the answer, and train an epoch."""
        self.incarnation, self.unsent = answer.incarnation, []
        for decision in answer.decisions:
            if decision.verdict != "go":
                self.leases.pop(decision.trial), self.epochs.pop(decision.trial)
        for lease in answer.leases:
            self.leases[lease.trial], self.epochs[lease.trial] = lease, 0
        if answer.park:
            return
        for n, lease in self.leases.items():
            self.epochs[n] += 1
            if lease.config.measured_at(self.epochs[n]):
                self.unsent += [measure(lease.config, n, r, self.epochs[n]) for r in lease.replicates]

    def advance(self, exchange) -> Answer:
        """Call the exchange and obey its answer."""
        answer = self.call(exchange)
        self.obey(answer)
        return answer

    def reborn(self) -> "FormulaLane":
        """The lane after a kill: the same name, empty slots."""
        return FormulaLane(self.name, self.slots)
