"""The rule that stops no trial."""

from collections.abc import Sequence

from study.loop.rules.rule import Candidate
from study.spec.sections import Stopping
from trainable.contract import Decision


class Never:
    """A rule without rungs."""

    def __init__(self, stopping: Stopping) -> None:
        pass

    def judges(self, epoch: int) -> bool:  # noqa: ARG002 - part of the protocol
        """Always false."""
        return False

    def judge(
        self,
        reference: tuple[float, ...],  # noqa: ARG002
        rung: Sequence[Candidate],  # noqa: ARG002
        own: Sequence[Candidate],  # noqa: ARG002
        candidate: Candidate,
    ) -> Decision:
        """Always continue."""
        return Decision(candidate.trial, "go", "the rule never stops a trial")


make = Never
