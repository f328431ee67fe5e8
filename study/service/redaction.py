"""Redact failures for read tokens: they see that something failed, not the reason.

Reasons come from exceptions and job logs. They name paths, variables and hosts of the machine that runs the
study, which only write tokens may see.
"""

from study.service.schemas import JobOut, JobState, Study, Summary

ASK = "a write token shows the reason"
JOB_TEXTS: dict[JobState, str] = {"failed": f"failed; {ASK}", "unknown": f"unknown; {ASK}"}
STATE_REASONS = {
    "failed": f"failed: {ASK}",
    "unreadable": f"the record cannot be read; {ASK}",
}
PROBLEM = f"the service cannot answer now; {ASK}"


def study(given: Study) -> Study:
    """The study without the reason of a failure; the same object if it has none."""
    changes = {"summary": summary(given.summary), "job": None if given.job is None else job(given.job)}
    same = changes["summary"] is given.summary and changes["job"] is given.job
    return given if same else given.model_copy(update=changes)


def summary(given: Summary) -> Summary:
    """The summary without the reason of a failure."""
    reason = STATE_REASONS.get(given.state)
    return given if reason is None else given.model_copy(update={"reason": reason})


def job(given: JobOut) -> JobOut:
    """The job without text from its log or from Ray."""
    text = JOB_TEXTS.get(given.state, "")
    return given if given.said == text else given.model_copy(update={"said": text})
