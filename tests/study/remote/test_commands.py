"""Output of a job that runs on a cluster, in the user's terminal or file."""

import re
from io import StringIO

from rich.console import Console

from study.remote.commands import _show

OUTPUT = (
    "study far (12ab) in studies/far\n",
    "far: starting Ray, 0% in 3 s; trials: none yet; 0 member-epochs; front: none yet\n",
    "far: searching 0 of 8 trials, 25% in 1 min, about 3 min left; trials: 2 running; 9 member-epochs; ",
    "front: none yet\n",
    "far: confirming 1 of 2 points, waiting for lanes, 50% in 2 min; trials: 4 run",
    "ning; 18 member-epochs; front: 3 points\nstopping; a second signal ends the run at once\n",
    "far: 51% in 2 min; trials: 4 completed\n19 member-epochs; front: 3 points\n",
    "report: /home/study",
)
"""Pieces of a job's log as Ray returns them, not split at lines."""

KEPT = [
    "study far (12ab) in studies/far",
    "stopping; a second signal ends the run at once",
    "far: 51% in 2 min; trials: 4 completed",
    "19 member-epochs; front: 3 points",
    "report: /home/study",
]


def screens(output: str) -> list[list[str]]:
    """The screens of a terminal: after each piece of output that moves its cursor up, and at the end."""
    lines, row, seen = [""], 0, []
    for piece in re.split(r"(\x1b\[[\d;?]*[A-Za-z]|[\r\n])", output):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[1A":
            seen.append([line for line in lines if line])
            row -= 1
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif not piece.startswith(("\x1b", "\r")):
            lines[row] += piece
    return [*seen, [line for line in lines if line]]


def test_terminal_shows_progress_below_the_log() -> None:
    """Progress does not scroll, no line of the log is torn, and the summary stays."""
    out = StringIO()
    _show(OUTPUT, Console(file=out, force_terminal=True, width=100, legacy_windows=False))
    *during, last = screens(out.getvalue())
    assert last == KEPT
    below = [line for screen in during for line in screen if line not in KEPT]
    assert {
        "far: starting Ray, 0% in 3 s",
        "far: searching 0 of 8 trials, 25% in 1 min, about 3 min left",
        "far: confirming 1 of 2 points, waiting for lanes, 50% in 2 min",
        "front: 3 points",
    } <= set(below)
    assert all(sum("% in" in line for line in screen if line not in KEPT) <= 1 for screen in during)


def test_without_a_terminal_the_log_is_printed_as_it_is(capsys) -> None:
    _show(OUTPUT, Console(file=StringIO()))
    assert capsys.readouterr().out == "".join(OUTPUT)
