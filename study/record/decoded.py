"""Decode and check values of a record: a file may be damaged, or written by another program.

A check is a predicate of one value. ValueError names the first value that no study writes.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from math import isfinite
from sys import float_info
from typing import Any, get_args

from study.record.location import Home
from study.record.process import Owner
from study.record.rows import (
    ENDED,
    Baseline,
    Holder,
    Judgement,
    Place,
    Plan,
    Run,
    TrialRecord,
    TrialSummary,
)
from study.search.origin import ORIGINS
from trainable.contract import (
    METRICS,
    NEGATIVES,
    RANKING_LOSSES,
    SHARINGS,
    Config,
    Decision,
    FaultKind,
    Verdict,
)

Validator = Callable[[Any], bool]

FAULTS = (ValueError, TypeError, LookupError, RecursionError)
"""Errors that decoding raises for a value that no study writes."""

MOST_WHOLE, MOST_S, MOST_PID = 2**53, 1e11, 2**31
_MOMENT = re.compile(r"(19[7-9]|20\d|21\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")
_SURROGATE = re.compile("[\ud800-\udfff]")


def whole(value: object) -> bool:
    """Check for a count or an index."""
    return type(value) is int and 0 <= value < MOST_WHOLE


def number(value: object) -> bool:
    """Check for a finite number."""
    return type(value) in (int, float) and -float_info.max <= value <= float_info.max  # type: ignore[operator]


def text(value: object) -> bool:
    """Check for text that UTF-8 can encode."""
    return type(value) is str and not _SURROGATE.search(value)


def moment(value: object) -> bool:
    """Check for a time as the Ledger writes it: ISO, UTC, in the range of dates of tables."""
    if type(value) is not str or not _MOMENT.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def seconds(value: object) -> bool:
    """Check for seconds since 1970, before the year 5000."""
    return type(value) in (int, float) and 0 <= value < MOST_S  # type: ignore[operator]


def pid(value: object) -> bool:
    """Check for the number of a process."""
    return type(value) is int and 0 < value < MOST_PID


def optional(check: Validator) -> Validator:
    """A check that also accepts None."""
    return lambda value: value is None or check(value)


def one_of(values: Collection[object]) -> Validator:
    """A check that accepts one of these texts."""
    return lambda value: type(value) is str and value in values


def texts(value: object) -> bool:
    """Check for a list of texts."""
    return type(value) is list and all(map(text, value))


_CONFIG_CHECKS: dict[str, Validator] = {
    "weight": optional(number),
    "sharing": one_of(SHARINGS),
    "learning_rate": number,
    "weight_decay": number,
    "ranking_loss": one_of(RANKING_LOSSES),
    "batch_size": lambda value: value == "full" or whole(value),
    "dim": whole,
    "hidden": whole,
    "epochs": lambda value: whole(value) and value > 0,
    "evaluate_every": lambda value: whole(value) and value > 0,
}
_LATER_CHECKS: dict[str, Validator] = {"average": number, "negatives": one_of(NEGATIVES)}
"""Values of a configuration that older records lack."""

_LEASE: dict[str, Validator] = {"attempt": whole, "at": moment}
_HELD: dict[str, Validator] = {"run": whole, "lane": text, "incarnation": whole}
_OUTCOME: dict[str, Validator] = {
    "verdict": one_of(ENDED),
    "reason": text,
    "epochs": whole,
    "epoch": optional(whole),
    "at": moment,
}
_PLACE: dict[str, Validator] = {
    "lane": text,
    "incarnation": whole,
    "node": text,
    "address": text,
    "devices": texts,
}
_LANE: dict[str, Validator] = {
    "incarnation": whole,
    "starts": whole,
    "token": lambda value: type(value) is int,
    "longest_s": seconds,
}
_PLANNED: dict[str, Validator] = {"trial": whole, "epoch": whole, "reason": text}
_RUN: Sequence[Validator] = (
    *(whole, text, text, pid, whole),
    *(seconds, seconds, lambda value: value in (0, 1), optional(seconds), optional(text)),
    *(seconds, number),
)
_VERDICT = one_of(get_args(Verdict))
_ORIGIN = one_of(ORIGINS)
_NAMES: dict[str, Validator] = dict.fromkeys(get_args(FaultKind), whole)


def decoded(values: Sequence[str]) -> list[Any]:
    """Decode JSON values in one call."""
    found = json.loads(f"[{','.join(values)}]")
    if len(found) != len(values):
        raise ValueError("a value is not JSON")
    return list(found)


def fields(value: Any, checks: Mapping[str, Validator], what: str) -> dict[str, Any]:
    """`value` itself, if it is a table with all of these fields, each accepted by its check."""
    if type(value) is not dict:
        raise ValueError(f"{what} is {_shown(value)}")
    for name, check in checks.items():
        if name not in value or not check(value[name]):
            raise ValueError(f"{what}.{name} is {_shown(value.get(name))}")
    return value


def _config(value: Any, what: str) -> None:
    """ValueError if a configuration has a wrong value, or lacks one without a default."""
    known = fields(value, _CONFIG_CHECKS, what)
    fields(known, {name: check for name, check in _LATER_CHECKS.items() if name in known}, what)


def entry(number: Any, noted: dict[str, Any], planned: int | None) -> dict[str, Any]:
    """The facts of a trial, checked; its number must be below `planned`, unless that is None."""
    what = f"trial {_shown(number)}"
    if not whole(number) or (planned is not None and number >= planned):
        raise ValueError(f"{what} cannot be")
    if "config" in noted:
        _config(noted["config"], f"{what}: config")
    if lease := fields(noted.get("lease", {}), {}, f"{what}: lease"):
        fields(lease, _LEASE | _HELD if "lane" in lease else _LEASE, f"{what}: lease")
    if "outcome" in noted:
        fields(noted["outcome"], _OUTCOME, f"{what}: outcome")
    faults, retries = noted.get("faults", {}), noted.get("retries", [])
    if type(faults) is not dict or not all(_NAMES.get(k, _never)(v) for k, v in faults.items()):
        raise ValueError(f"{what}: faults is {_shown(faults)}")
    if not texts(retries):
        raise ValueError(f"{what}: retries is {_shown(retries)}")
    if not _ORIGIN(noted.get("origin", "unknown")):
        raise ValueError(f"{what}: origin is {_shown(noted['origin'])}")
    return noted


def trial_record(number: int, facts: Mapping[str, Any]) -> TrialRecord:
    """A trial with these facts, which `entry` has checked."""
    lease, outcome = facts.get("lease", {}), facts.get("outcome", {})
    summary = trial_summary(facts)
    return TrialRecord(
        trial=number,
        config=summary.config,
        state=summary.state,
        reason=summary.reason,
        holder=Holder(lease["run"], lease["lane"], lease["incarnation"]) if "lane" in lease else None,
        attempt=lease.get("attempt", 0),
        epochs=summary.epochs,
        epoch=outcome.get("epoch"),
        started=lease.get("at"),
        finished=outcome.get("at"),
        faults=facts.get("faults", {}),
        retries=tuple(facts.get("retries", ())),
        origin=facts.get("origin", "unknown"),
    )


def trial_summary(facts: Mapping[str, Any]) -> TrialSummary:
    """The standing of a trial with these facts; without an outcome it is running."""
    config = Config.from_dict(facts["config"]) if "config" in facts else None
    if (outcome := facts.get("outcome")) is None:
        return TrialSummary("running", None, 0, config)
    return TrialSummary(ENDED[outcome["verdict"]], outcome["reason"], outcome["epochs"], config)


def baseline(value: Any) -> Baseline:
    """Decode a baseline."""
    known = fields(value, {"data": _table, "reference": _table}, "baseline")
    fields(known["data"], {"sha256": text, "has_validation": lambda v: type(v) is bool}, "baseline.data")
    fields(known["reference"], dict.fromkeys(METRICS, number), "baseline.reference")
    return Baseline(known["data"], known["reference"])


def plan(value: Any) -> Plan:
    """Decode the plan of a later stage."""
    known = fields(value, {"opened": moment, "points": lambda v: type(v) is list}, "plan")
    for planned in known["points"]:
        fields(planned, _PLANNED | {"config": _table}, "plan.points")
        _config(planned["config"], "plan.points.config")
    return Plan.from_dict(known)


def place(value: Any) -> Place:
    """Decode the place of a lane."""
    return Place(**{name: fields(value, _PLACE, "place")[name] for name in _PLACE})


def lane(value: Any) -> dict[str, Any]:
    """Decode the state of a lane."""
    known = fields(value, _LANE, "lane")
    return {name: known[name] for name in _LANE}


def home(value: Any) -> Home:
    """Decode the folder that a record belongs to."""
    known = fields(value, {"host": text, "path": text}, "home")
    return Home(known["host"], known["path"])


def lane_gpus(value: Any) -> float:
    """Decode the GPUs of a lane."""
    if not number(value) or not 0 <= value <= 1:
        raise ValueError(f"the GPUs of a lane are {_shown(value)}")
    return float(value)


def checkpoints(value: Any) -> str:
    """Decode the end of the name of a folder of checkpoints: it cannot point outside its storage."""
    if type(value) is not str or not re.fullmatch("[0-9a-f]{12}", value):
        raise ValueError(f"the folder of checkpoints is {_shown(value)}")
    return value


def run(row: Sequence[Any]) -> Run:
    """Decode a run from its row, followed by the present time."""
    if not all(check(value) for check, value in zip(_RUN, row, strict=True)):
        raise ValueError(f"runs: a row is {_shown(tuple(row))}")
    number, host, kernel, pid, born, started, renewed, stop, ended, reason, heard, now = row
    owner = Owner(host, kernel, pid, born)
    return Run(number, owner, started, renewed, bool(stop), ended, reason, now - heard)


def clock(value: Any) -> float | None:
    """Decode the time at which the first lane of a run began; None before."""
    if not optional(seconds)(value):
        raise ValueError(f"the clock of a run is {_shown(value)}")
    found: float | None = value
    return found


def judgement(row: Sequence[Any]) -> Judgement:
    """Decode a judgement from its row: epoch, trial, verdict, reason."""
    epoch, trial, verdict, reason = row
    if not (whole(epoch) and whole(trial) and text(reason) and _VERDICT(verdict)):
        raise ValueError(f"judgements: a row is {_shown(tuple(row))}")
    return Judgement(epoch, Decision(trial, verdict, reason))


def columns(rows: Iterable[Sequence[Any]], kinds: Sequence[type], *, trials: int | None) -> None:
    """ValueError if a column of measurements has a wrong type or value, or a trial's number is too large."""
    for place, (column, kind) in enumerate(zip(zip(*rows, strict=True), kinds, strict=False)):
        if set(map(type, column)) != {kind}:
            raise ValueError(f"a measurement has {kind.__name__}s and others in column {place}")
        if kind is float and not all(map(isfinite, column)):
            raise ValueError(f"a measurement is not finite in column {place}")
        if kind is int and min(column) < 0:
            raise ValueError(f"a measurement has {min(column)} in column {place}")
        if place == 0 and trials is not None and max(column) >= trials:
            raise ValueError(f"trial {max(column)} is measured, and {trials} were planned")


def _table(value: object) -> bool:
    return type(value) is dict


def _never(_value: object) -> bool:
    return False


def _shown(value: object) -> str:
    """A value for a message: short and printable."""
    return ascii(value)[:60]
