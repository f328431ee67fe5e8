"""Redact failures for read tokens: they see that something failed, not the reason.

Reasons come from exceptions and job logs. They name paths, variables and hosts of the machine that runs the
study, which only write tokens may see.
"""

from study.service.schemas import JobOut, JobState, Study, Summary

ASK = "a write token shows the reason"
JOB_SAID: dict[JobState, str] = {"failed": f"failed; {ASK}", "unknown": f"unknown; {ASK}"}
STATE_SAID = {
    "failed": f"failed: {ASK}",
    "unreadable": f"the record cannot be read; {ASK}",
}
PROBLEM = f"the service cannot answer now; {ASK}"


def study(told: Study) -> Study:
    """The study without the reason of a failure; the same object if it has none."""
    changes = {"summary": summary(told.summary), "job": None if told.job is None else job(told.job)}
    same = changes["summary"] is told.summary and changes["job"] is told.job
    return told if same else told.model_copy(update=changes)


def summary(told: Summary) -> Summary:
    """The summary without the reason of a failure."""
    said = STATE_SAID.get(told.state)
    return told if said is None else told.model_copy(update={"reason": said})


def job(told: JobOut) -> JobOut:
    """The job without text from its log or from Ray."""
    said = JOB_SAID.get(told.state, "")
    return told if told.said == said else told.model_copy(update={"said": said})
