"""Prefetch of trials: a thread draws the next ones while lanes train, so that no lane waits for an ask.

An ask costs little at first and grows with the trials on record: seconds with TPE after thousands
(docs/benchmarks.md, "Time of an ask").
"""

from threading import Condition, Thread

from study.loop.referee import Referee
from trainable.contract import Answer, LaneReport


class PrefetchingReferee:
    """Answers as `referee` does, which must have been made with `prefetch`, and draws its trials in a thread.

    The next exchange raises an error of the thread.
    """

    def __init__(self, referee: Referee) -> None:
        self._referee = referee
        self._turn = Condition()  # one thread at a time changes the referee's state
        self._failed: Exception | None = None
        self._closed = False
        self._asks = Thread(target=self._ask, name="asks", daemon=True)
        self._asks.start()

    @property
    def over(self) -> str | None:
        """The reason that the study is over, or None."""
        return self._referee.over

    def exchange(self, report: LaneReport) -> Answer:
        """The Referee's answer."""
        with self._turn:
            if self._failed is not None:
                raise self._failed
            answer = self._referee.exchange(report)
            self._turn.notify()
        return answer

    def lose(self, lane: str) -> None:
        """Report that the lane's process has ended."""
        with self._turn:
            self._referee.lose(lane)

    def close(self) -> None:
        """Wait for the present ask, make no further one, and close the record."""
        with self._turn:
            self._closed = True
            self._turn.notify()
        self._asks.join()
        self._referee.close()

    def _ask(self) -> None:
        """Draw a trial whenever one is wanted, until this is closed."""
        try:
            while self._reserved():
                number, config = self._referee.draw()
                with self._turn:
                    self._referee.begin(number, config)
        except Exception as error:  # noqa: BLE001 - the next exchange raises it
            self._failed = error

    def _reserved(self) -> bool:
        """Wait until a trial is wanted and reserve it; return False once this is closed."""
        with self._turn:
            self._turn.wait_for(lambda: self._closed or self._referee.wanting)
            if not self._closed:
                self._referee.reserve()
            return not self._closed
