"""Asks ahead: the next trials are drawn in a thread while lanes train, so that none waits for an ask.

An ask costs little at first and grows with the trials on record: seconds with TPE after thousands
(docs/benchmarks.md, "What an ask costs").
"""

from collections.abc import Sequence
from threading import Condition, Thread

from study.loop.referee import Referee
from trainable.contract import Answer, Held, Measurement


class Ahead:
    """Answers as `referee` does, which must have been made with `ahead`, and makes its asks between answers.

    What the database refuses the thread is raised by the next exchange.
    """

    def __init__(self, referee: Referee) -> None:
        self._referee = referee
        self._turn = Condition()  # the referee's state is changed by one thread at a time
        self._failed: Exception | None = None
        self._closed = False
        self._asks = Thread(target=self._ask, name="asks", daemon=True)
        self._asks.start()

    @property
    def over(self) -> str | None:
        """Why the study is over, or None."""
        return self._referee.over

    def exchange(
        self,
        lane: str,
        incarnation: int,
        held: Sequence[Held],
        measurements: Sequence[Measurement],
        free: int,
    ) -> Answer:
        """What the Referee answers."""
        with self._turn:
            if self._failed is not None:
                raise self._failed
            answer = self._referee.exchange(lane, incarnation, held, measurements, free)
            self._turn.notify()
        return answer

    def lose(self, lane: str) -> None:
        """The lane's process has ended."""
        with self._turn:
            self._referee.lose(lane)

    def close(self) -> None:
        """Wait for an ask that is being made, make no further one, and let go of the record."""
        with self._turn:
            self._closed = True
            self._turn.notify()
        self._asks.join()
        self._referee.close()

    def _ask(self) -> None:
        """Draw what is wanted, as long as something is."""
        try:
            while self._reserved():
                number, config = self._referee.draw()
                with self._turn:
                    self._referee.begin(number, config)
        except Exception as error:  # noqa: BLE001 - the next exchange raises it, where somebody hears it
            self._failed = error

    def _reserved(self) -> bool:
        """Wait until a trial is wanted and reserve it; False once this is closed."""
        with self._turn:
            self._turn.wait_for(lambda: self._closed or self._referee.wanting)
            if not self._closed:
                self._referee.reserve()
            return not self._closed
