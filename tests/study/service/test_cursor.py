"""Law of the events: wherever a client was interrupted, and whenever it returns, each event is sent once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.record.rows import Point, TrialRecord
from study.service.cursor import Cursor, CursorError, news, position

EPOCHS = 4


def record(trial: int, state: str, epochs: int) -> TrialRecord:
    return TrialRecord(
        trial=trial, config=None, state=state, reason=f"why {trial}", holder=None, attempt=0, epochs=epochs,
        epoch=None, started=None, finished=None, faults={},
    )  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[dict[int, TrialRecord], dict[int, list[Point]]]]:
    """A record that grows: trials begin in order, gain epochs, and end in any order."""
    count = draw(st.integers(1, 6))
    moves = draw(st.lists(st.tuples(st.integers(0, count - 1), st.booleans()), max_size=40))
    epochs, ended, looks, begun = dict.fromkeys(range(count), 0), set(), [], 0
    for trial, ends in moves:
        trial = min(trial, begun)
        begun = max(begun, min(trial + 1, count - 1))
        if trial in ended:
            continue
        if ends:
            ended.add(trial)
        elif epochs[trial] < EPOCHS:
            epochs[trial] += 1
        records = {
            n: record(n, "stopped" if n in ended else "running", epochs[n] if n in ended else 0)
            for n in range(begun + 1)
        }
        points = {
            n: [Point(n, e, mrr=0.1, mrr_all=0.1, mse=1.0) for e in range(1, epochs[n] + 1)]
            for n in records
            if epochs[n]
        }
        looks.append((records, points))
    return looks


@given(histories(), st.data())
def test_news_is_sent_once_however_often_a_client_returns(histories, data):
    """Looks are missed and listeners come back from the text of their last id, at any instance."""
    cursor, points, ends = Cursor(), [], []
    for at, (records, known) in enumerate(histories):
        last = at == len(histories) - 1
        if not last and not data.draw(st.booleans(), label="looks"):
            continue
        for piece, after in news(cursor, records, known):
            if not last and data.draw(st.booleans(), label="is cut off before it hears this"):
                break
            points += [(p.trial, p.epoch) for p in piece.points]
            ends += [end.trial for end in piece.trials]
            cursor = Cursor.parse(str(after))
    if not histories:
        return
    records, known = histories[-1]
    assert sorted(points) == [(n, p.epoch) for n in sorted(known) for p in known[n]]
    assert sorted(ends) == [n for n, r in records.items() if r.state != "running"]
    assert str(cursor) == str(position(records, known))
    assert list(news(cursor, records, known)) == []


def test_a_long_record_is_sent_in_pieces():
    points = {0: [Point(0, e, mrr=0.1, mrr_all=0.1, mse=1.0) for e in range(1, 1201)]}
    told = list(news(Cursor(), {0: record(0, "completed", 1200)}, points))
    assert [len(piece.points) for piece, _ in told] == [500, 500, 200]
    assert [str(cursor) for _, cursor in told] == ["0_0.500", "0_0.1000", "1"]


@pytest.mark.parametrize(
    "text",
    ["", "a", "-1", "1_", "1_2", "1_2.3y", "1_2.3x", "1 ", "1\n", "9999999999", "1_2x" * 2000, "١", "0x"],
)
def test_an_invalid_cursor_is_refused(text):
    with pytest.raises(CursorError, match="no cursor"):
        Cursor.parse(text)


def test_a_cursor_is_its_text():
    cursor = Cursor(3, {5: 2, 4: None})
    assert str(cursor) == "3_4x_5.2"
    assert Cursor.parse(str(cursor)) == cursor
