"""What a token that may only read is told of what failed: that it did.

Reasons in words come from exceptions and job logs. They name paths, variables and hosts of the machine that
runs the study, which are for whoever may write.
"""

from study.service.answers import Job, JobState, Study, Summary

ASK = "a token that may write shows why"
JOB_SAID: dict[JobState, str] = {"failed": f"it failed; {ASK}", "unknown": f"not known now; {ASK}"}
STATE_SAID = {
    "failed": f"failed: {ASK}",
    "unreadable": f"its record cannot be read; {ASK}",
}
PROBLEM = f"this cannot be answered now; {ASK}"


def study(told: Study) -> Study:
    """The study without the words of a failure; itself where there are none."""
    changes = {"summary": summary(told.summary), "job": None if told.job is None else job(told.job)}
    same = changes["summary"] is told.summary and changes["job"] is told.job
    return told if same else told.model_copy(update=changes)


def summary(told: Summary) -> Summary:
    """A line of the list without the words of a failure."""
    said = STATE_SAID.get(told.state)
    return told if said is None else told.model_copy(update={"reason": said})


def job(told: Job) -> Job:
    """A job without what its log, or whoever runs it, says."""
    said = JOB_SAID.get(told.state, "")
    return told if told.said == said else told.model_copy(update={"said": said})
