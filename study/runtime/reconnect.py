"""A Referee that outlives its database: where the record is away, lanes wait, and then it is read again."""

import time
from collections.abc import Callable, Sequence

from study.loop.events import Event, Notify, unheard
from study.loop.referee import Referee
from study.record.optuna_storage import STORAGE_ERRORS
from study.record.sqlite import AwayError, corrupt
from study.runtime.prefetch import Ahead
from trainable.contract import Answer, Decision, Held, Measurement, StudyError, Unreachable

AWAY_S = 600.0
"""How long a database may be away, full or locked before the run ends; the next run goes on."""


class Steady:
    """Answers as the Referee that `open_` opens when it is first asked; what the database failed in is opened
    anew.

    A Referee whose writing failed half-way may differ from the record, so it is thrown away. `over` is as a
    Referee has it; `notify` hears when the database goes and comes back.
    """

    def __init__(
        self,
        open_: Callable[[], Referee | Ahead],
        *,
        notify: Notify = unheard,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_
        self._notify = notify
        self._clock = clock
        self._referee: Referee | Ahead | None = None
        self._known = False
        self._away_since: float | None = None
        self._failed: str | None = None

    @property
    def over(self) -> str | None:
        """Why the study is over, or None."""
        return self._failed or (None if self._referee is None else self._referee.over)

    def exchange(
        self,
        lane: str,
        incarnation: int,
        held: Sequence[Held],
        measurements: Sequence[Measurement],
        free: int,
    ) -> Answer:
        """What the Referee answers; Unreachable while the database is away."""
        if self._failed is not None:
            dropped = tuple(Decision(h.trial, "drop", self._failed) for h in held)
            return Answer(incarnation, dropped, park=True, over=True)
        try:
            self._referee = self._referee or self._opened()
            answer = self._referee.exchange(lane, incarnation, held, measurements, free)
        except STORAGE_ERRORS as error:
            if self._referee is not None:
                self._referee.close()
            self._referee = None
            self._note(words := str(error).partition("\n")[0])
            if corrupt(error):  # waiting mends nothing
                self._failed = f"failed: the record is damaged: {words}; restore a backup"
            raise Unreachable(f"the database is away: {type(error).__name__}") from None
        if self._away_since is not None:
            self._notify(Event(what="record back", seconds=self._clock() - self._away_since))
            self._away_since = None
        return answer

    def lose(self, lane: str) -> None:
        """The lane's process has ended; nobody hears it while the database is away."""
        if self._referee is not None:
            self._referee.lose(lane)

    def _opened(self) -> Referee | Ahead:
        """What `open_` opens. AwayError, whatever is wrong, where it was open before: a disk or a folder that
        is gone for a moment looks like a record that is none.
        """
        try:
            referee = self._open()
        except StudyError as error:
            if not self._known:
                raise
            raise AwayError(str(error)) from error
        self._known = True
        return referee

    def _note(self, words: str) -> None:
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
            self._notify(Event(what="record away", words=words))
        if now - self._away_since >= AWAY_S:
            self._failed = f"failed: the database has been away for {AWAY_S:.0f} s: {words}"
