"""Law 5 as a check of a record: every budgeted trial once, ended, and measured as without disturbances."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd
import sqlalchemy as sa
from alone import recorded, trained_alone

from study.loop.budget import complete
from study.loop.rules.registry import rule
from study.loop.rules.rule import Candidate
from study.record.front import losses, reference
from study.record.ledger import Ledger
from study.results.export import export
from trainable.contract import Decision

TIMES = ("started", "finished", "wall_s")
WHOSE = ("lane", "attempt")
"""Columns of the tables in which a disturbed study may differ."""


def check_record(ledger: Ledger, trials: int) -> None:
    """Check that there are `trials` trials, all ended, in Optuna's tables too, and that no run is open."""
    records = ledger.records()
    assert [r.trial for r in records] == list(range(trials))
    assert {r.state for r in records} <= {"completed", "stopped"}
    assert complete(ledger) is not None
    with ledger._engine.connect() as connection:
        states = connection.execute(sa.text("SELECT state FROM trials")).scalars().all()
    assert len(states) == trials
    assert set(map(str, states)) <= {"COMPLETE", "PRUNED"}
    assert all(run.ended is not None for run in ledger.runs())


def check_measurements(ledger: Ledger, *, only: Collection[int] | None = None) -> None:
    """Check that each trial is measured once at every due epoch, bit for bit as if trained alone.

    In long studies `only` names the trials whose numbers are checked.
    """
    found = recorded(ledger)
    assert len(list(ledger.measurements())) == sum(map(len, found.values()))
    for record in ledger.records():
        due = {e for e in range(1, record.epochs + 1) if record.config.measured_at(e)}
        for replicate in range(ledger.spec.search.replicates):
            assert set(found[record.trial, replicate]) == due
    found = {key: numbers for key, numbers in found.items() if only is None or key[0] in only}
    expected = {}
    for record in ledger.records():
        if only is not None and record.trial not in only:
            continue
        for replicate in range(ledger.spec.search.replicates):
            alone = trained_alone(ledger, record.trial, replicate)
            expected[record.trial, replicate] = {e: n for e, n in alone.items() if e <= record.epochs}
    assert found == expected


def check_judgements(ledger: Ledger) -> None:
    """Check that the rule repeats its judgements on the recorded points, and that stopped trials ended."""
    decisions = [judgement.decision for judgement in ledger.judgements()]
    assert len({(j.epoch, j.decision.trial) for j in ledger.judgements()}) == len(decisions)
    assert list(judged_again(ledger)) == decisions
    stopped = {j.decision.trial: j for j in ledger.judgements() if j.decision.verdict == "stop"}
    for record in ledger.records():
        if record.trial in stopped:
            judgement = stopped[record.trial]
            ending = ("stopped", judgement.epoch, judgement.decision.reason)
            assert (record.state, record.epochs, record.reason) == ending
        else:
            assert (record.state, record.epochs) == ("completed", record.config.epochs)


def judged_again(ledger: Ledger) -> Iterator[Decision]:
    """The rule's decisions on the recorded points, in the order of its judgements."""
    corner = reference(ledger.baseline, ledger.spec)
    points = ledger.points()
    at = {
        (p.trial, p.epoch): Candidate(p.trial, p.epoch, tuple(row))
        for p, row in zip(points, losses(points, ledger.spec).tolist(), strict=True)
    }
    judge, rungs = rule(ledger.spec.stopping).judge, {}
    for judgement in ledger.judgements():
        rung = rungs.setdefault(judgement.epoch, [])
        candidate = at[judgement.decision.trial, judgement.epoch]
        own = [at[t, e] for t, e in sorted(at) if t == candidate.trial and e < candidate.epoch]
        yield judge(tuple(corner.tolist()), tuple(rung), own, candidate)
        rung.append(candidate)


def tables(ledger: Ledger, folder: Path) -> dict[str, pd.DataFrame]:
    """Tables of the study, exported into `folder`, without the columns that a disturbance may change."""
    export(ledger, folder)
    found = {path.stem: pd.read_parquet(path) for path in (folder / "tables").glob("*.parquet")}
    return {name: t.drop(columns=[*TIMES, *WHOSE], errors="ignore") for name, t in found.items()}
