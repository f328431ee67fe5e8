"""The Judge: whether a trial goes on, and why. What the stopping rule says is put on record, once."""

from collections.abc import Sequence

from study.loop.rules.registry import rule
from study.loop.rules.rule import Candidate
from study.record.front import Floats, losses
from study.record.ledger import Ledger
from study.record.rows import Judgement, Point
from trainable.contract import Config, Decision, Held, Measurement


class Judge:
    """Judges the trials of a study, point by point; `corner` is the reference point, as losses.

    The rule is asked once about a point, and what it said stands, whoever asks again.
    """

    def __init__(self, ledger: Ledger, corner: Floats) -> None:
        self._ledger = ledger
        self._spec = ledger.spec
        self._corner = corner
        self._rule = rule(self._spec.stopping)
        self._said: dict[tuple[int, int], Decision] = {}
        for judgement in ledger.judgements():
            self._said[judgement.epoch, judgement.decision.trial] = judgement.decision

    def stopped(self) -> list[Judgement]:
        """What the rule stopped, in the order it did: of an end that a kill cut off, this is left."""
        return [Judgement(epoch, said) for (epoch, _), said in self._said.items() if said.verdict == "stop"]

    def verdict(
        self, held: Held, config: Config, now: Sequence[Measurement], *, late: str | None
    ) -> Decision:
        """Whether a trial goes on from the epoch it has come to, where `now` was measured, and why.

        `late` says why no time is left for it; None where some is.
        """
        for m in now:
            if m.not_finite:
                what = f"{', '.join(m.not_finite)} not finite (epoch {m.epoch}, replicate {m.replicate})"
                return Decision(held.trial, "fail", what)
        if held.epoch and config.measured_at(held.epoch):
            if len(now) < self._spec.search.replicates:
                return Decision(held.trial, "drop", f"came without its measurements of epoch {held.epoch}")
            if held.epoch >= config.epochs:
                return Decision(held.trial, "complete", f"trained its {config.epochs} epochs")
        if late is not None:
            return Decision(held.trial, "stop", late)
        if not now or not self._rule.judges(held.epoch):
            return Decision(held.trial, "go", "no rung at this epoch")
        return self._judgement(held)

    def _judgement(self, held: Held) -> Decision:
        """The stopping rule's word on the point that was just measured: said once, on record, and kept."""
        key = held.epoch, held.trial
        if key not in self._said:
            rung = {p.trial: p for p in self._ledger.points(epoch=held.epoch)}
            before = [rung[trial] for epoch, trial in self._said if epoch == held.epoch]
            *own, candidate = self._candidates(self._ledger.points(trial=held.trial, until=held.epoch))
            decision = self._rule.judge(
                tuple(self._corner.tolist()), self._candidates(before), own, candidate
            )
            self._ledger.judge(Judgement(held.epoch, decision))
            self._said[key] = decision
        return self._said[key]

    def _candidates(self, points: Sequence[Point]) -> list[Candidate]:
        rows = losses(points, self._spec).tolist()
        return [Candidate(p.trial, p.epoch, tuple(row)) for p, row in zip(points, rows, strict=True)]
