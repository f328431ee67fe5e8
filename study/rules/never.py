"""The rule that stops no trial: every one trains to its end."""

from collections.abc import Callable, Sequence

from study.rules import Candidate
from trainable.contract import Decision


def judge(
    reference: tuple[float, ...],  # noqa: ARG001 - what every rule is given
    history: Callable[[], Sequence[Candidate]],  # noqa: ARG001
    candidate: Candidate,
) -> Decision:
    """Go on, always."""
    return Decision(candidate.trial, "go", "the rule never stops a trial")
