"""The Judge decides whether a trial continues, and records each judgement of the stopping rule once."""

from collections.abc import Sequence

from analysis.objective import Floats
from study.loop.rules.registry import rule
from study.loop.rules.rule import Candidate
from study.record.front import losses
from study.record.ledger import Ledger
from study.record.rows import Judgement, Point
from trainable.contract import Config, Decision, Held, Measurement


class Judge:
    """Judges the points of a study; `corner` is the reference point, as losses.

    The rule judges each point once; later calls get the recorded judgement. The candidates of each rung stay
    in memory, so a judgement reads one trial from the record, whatever the number of trials.
    """

    def __init__(self, ledger: Ledger, corner: Floats) -> None:
        self._ledger = ledger
        self._spec = ledger.spec
        self._corner = corner
        self._rule = rule(self._spec.stopping)
        self._decisions: dict[tuple[int, int], Decision] = {}
        judged: dict[int, list[int]] = {}
        for judgement in ledger.judgements():
            self._decisions[judgement.epoch, judgement.decision.trial] = judgement.decision
            judged.setdefault(judgement.epoch, []).append(judgement.decision.trial)
        self._rungs: dict[int, list[Candidate]] = {}
        for epoch, trials in judged.items():
            points = {p.trial: p for p in ledger.points(epoch=epoch)}
            self._rungs[epoch] = self._candidates([points[trial] for trial in trials])

    def stopped(self) -> list[Judgement]:
        """Judgements that stopped a trial, in order; after a kill the trial's end may be missing."""
        return [Judgement(epoch, d) for (epoch, _), d in self._decisions.items() if d.verdict == "stop"]

    def verdict(
        self, held: Held, config: Config, now: Sequence[Measurement], *, late: str | None
    ) -> Decision:
        """Decide about a trial at its present epoch, whose measurements are `now`.

        `late` is the reason that no time is left for it, or None.
        """
        for m in now:
            if m.not_finite:
                what = f"{', '.join(m.not_finite)} not finite (epoch {m.epoch}, replicate {m.replicate})"
                return Decision(held.trial, "fail", what)
        if held.epoch and config.measured_at(held.epoch):
            if len(now) < self._spec.search.replicates:
                return Decision(held.trial, "drop", f"without all measurements of epoch {held.epoch}")
            if held.epoch >= config.epochs:
                return Decision(held.trial, "complete", f"trained its {config.epochs} epochs")
        if late is not None:
            return Decision(held.trial, "stop", late)
        if not now or not self._rule.judges(held.epoch):
            return Decision(held.trial, "go", "no rung at this epoch")
        return self._judgement(held)

    def _judgement(self, held: Held) -> Decision:
        """The rule's decision on the point just measured, which is recorded before it is returned."""
        key = held.epoch, held.trial
        if key not in self._decisions:
            rung = self._rungs.setdefault(held.epoch, [])
            *own, candidate = self._candidates(self._ledger.points(trial=held.trial, until=held.epoch))
            decision = self._rule.judge(tuple(self._corner.tolist()), rung, own, candidate)
            self._ledger.judge(Judgement(held.epoch, decision))
            self._decisions[key] = decision
            rung.append(candidate)
        return self._decisions[key]

    def _candidates(self, points: Sequence[Point]) -> list[Candidate]:
        rows = losses(points, self._spec).tolist()
        return [Candidate(p.trial, p.epoch, tuple(row)) for p, row in zip(points, rows, strict=True)]
