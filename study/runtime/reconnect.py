"""A Referee that survives outages of its database: lanes wait, then the record is read again."""

import time
from collections.abc import Callable

from study.loop.events import Event, Notify, ignore_event
from study.loop.referee import Referee
from study.record.backends.backend import DatabaseAwayError
from study.record.location import conditions
from study.record.optuna_storage import STORAGE_ERRORS
from study.runtime.prefetch import PrefetchingReferee
from trainable.contract import Answer, Decision, LaneReport, StudyError, Unreachable, first_line

DATABASE_AWAY_S = 600.0
"""Longest time that a database may be away, full or locked before the run ends; the next run resumes."""


class ReconnectingReferee:
    """Answers with a Referee that `open_` opens at the first exchange, and again after a database error.

    A Referee whose write failed half-way may differ from the record, so it is discarded. `notify` gets an
    event when the database goes, and one when it comes back.
    """

    def __init__(
        self,
        open_: Callable[[], Referee | PrefetchingReferee],
        *,
        notify: Notify = ignore_event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_
        self._notify = notify
        self._clock = clock
        self._referee: Referee | PrefetchingReferee | None = None
        self._known = False
        self._away_since: float | None = None
        self._failed: str | None = None

    @property
    def over(self) -> str | None:
        """The reason that the study is over, or None."""
        return self._failed or (None if self._referee is None else self._referee.over)

    def exchange(self, report: LaneReport) -> Answer:
        """The Referee's answer. Unreachable while the database is away."""
        if self._failed is not None:
            dropped = tuple(Decision(h.trial, "drop", self._failed) for h in report.held)
            return Answer(report.incarnation, dropped, park=True, over=True)
        try:
            self._referee = self._referee or self._opened()
            answer = self._referee.exchange(report)
        except STORAGE_ERRORS as error:
            if self._referee is not None:
                self._referee.close()
            self._referee = None
            self._note(words := first_line(error))
            if "corrupt" in conditions(error):  # waiting does not help
                self._failed = f"failed: the record is damaged: {words}; restore a backup"
            raise Unreachable(f"the database is away: {type(error).__name__}") from None
        if self._away_since is not None:
            self._notify(Event(what="record back", seconds=self._clock() - self._away_since))
            self._away_since = None
        return answer

    def lose(self, lane: str) -> None:
        """Report that the lane's process has ended; ignored while the database is away."""
        if self._referee is not None:
            self._referee.lose(lane)

    def _opened(self) -> Referee | PrefetchingReferee:
        """Open a Referee. After a first success, any StudyError becomes a DatabaseAwayError: it may be due to
        a disk or a folder that is away for a moment.
        """
        try:
            referee = self._open()
        except StudyError as error:
            if not self._known:
                raise
            raise DatabaseAwayError(str(error)) from error
        self._known = True
        return referee

    def _note(self, words: str) -> None:
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
            self._notify(Event(what="record away", words=words))
        if now - self._away_since >= DATABASE_AWAY_S:
            self._failed = f"failed: the database has been away for {DATABASE_AWAY_S:.0f} s: {words}"
