"""Time of a study outside training: before its first lane starts, and after its last epoch."""

import json
import sys
import time
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from studies import LANES, SPEC, timed
from timing import number, table

WANTED_S = 8.0


@dataclass(frozen=True)
class Split:
    """Wall seconds of a study: before its first lane, in training, and after its last epoch."""

    before_s: float
    training_s: float
    after_s: float


def section(*, trials: int, epochs: int, rounds: int) -> str:
    """The table of the three parts: medians of `rounds` studies, after one that is not counted."""
    splits = []
    for turn in range(rounds + 1):
        with TemporaryDirectory() as folder:
            split = measured(Path(folder), trials, epochs)
        if turn:
            splits.append(astuple(split))
    before_s, training_s, after_s = np.median(splits, axis=0)
    waiting_s = float(np.median([before + after for before, _, after in splits]))
    rows = [
        ("from the command to the first lane", number(before_s)),
        ("from the first lane to the last epoch", number(training_s)),
        ("from the last epoch to the prompt", number(after_s)),
    ]
    verdict = f"Together before the first lane and after the last epoch: {number(waiting_s)} s"
    about = ABOUT.format(trials=trials, epochs=epochs, lanes=LANES, rounds=rounds)
    return f"{about}\n\n{table(('part', 'wall, s'), rows)}\n\n{verdict} (goal: ≤ {WANTED_S:g} s)."


def measured(home: Path, trials: int, epochs: int) -> Split:
    """Run a study and read its parts from its log."""
    (home / "bench.toml").write_text(SPEC.format(trials=trials, epochs=epochs, lanes=LANES), encoding="utf-8")
    began = time.time()
    wall_s, _ = timed([str(Path(sys.executable).with_name("study")), "run", "bench.toml"], home)
    lines = (home / "studies" / "bench" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [(line["event"], _seconds(line["time"])) for line in map(json.loads, lines)]
    first = next(at for event, at in events if event == "lane started")
    over = next(at for event, at in events if event == "over")
    return Split(first - began, over - first, began + wall_s - over)


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


ABOUT = """`study run` on MovieLens-100K: {trials} configurations of {epochs} epochs on {lanes} lanes, with a
private Ray and the report. The first study, which compiles and warms the disk's cache, is not counted;
medians of {rounds}. Wall time."""
