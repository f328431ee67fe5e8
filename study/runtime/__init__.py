"""One run of a study, from its spec to the end of its budget: in this process, or on Ray."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from study.budget import complete
from study.ledger import FILE, Ledger
from study.record import Baseline
from study.runtime import inline
from study.runtime.interrupt import Interrupt
from study.spec import StudySpec
from trainable.data import describe, load
from trainable.data.interactions import Split
from trainable.job import Job
from trainable.trivial import trivial


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the study's folder, and why.

    `complete` speaks of the study; `trained` says whether this run had anything to do, `interrupted`
    whether a signal ended it.
    """

    folder: Path
    reason: str
    complete: bool
    trained: bool
    interrupted: bool = False


Watch = Callable[[Path, Interrupt], AbstractContextManager[None]]
"""What shows the study in a folder while it runs, and passes the user's interrupt on."""


def run(spec: StudySpec, home: Path, *, watch: Watch) -> Outcome:
    """Run a study in `home`/NAME until its budget is spent or somebody stops it; resumes by itself.

    StudyError for what the user can mend: another spec under this name, data that cannot be had, a second
    run of the same study, lanes that fit nowhere.
    """
    folder = (home / spec.name).absolute()
    if (folder / FILE).is_file():
        Ledger.read(folder).check(spec)
    split = load(spec.data.source, split=spec.data.split, split_seed=spec.data.split_seed)
    ledger = Ledger.open(spec, folder, baseline(spec, split))
    (folder / "study.toml").write_text(spec.as_toml(), encoding="utf-8")
    done = complete(ledger)
    if done is not None:
        return Outcome(folder, done, complete=True, trained=False)
    number = ledger.claim()
    interrupt, reason = Interrupt(), "failed"
    try:
        with watch(folder, interrupt):
            reason = _drive(ledger, number, job(spec, split), folder, interrupt)
    except (KeyboardInterrupt, SystemExit):  # before or after the lanes; Ray makes TERM a SystemExit
        reason = "interrupted"
        raise KeyboardInterrupt from None
    except Exception as error:
        reason = f"failed: {error}"
        raise
    finally:
        ledger.release(number, reason)
    return Outcome(
        folder,
        reason,
        complete=complete(ledger) is not None,
        trained=True,
        interrupted=interrupt.asked.is_set(),
    )


def baseline(spec: StudySpec, split: Split) -> Baseline:
    """The data as counted, and the trivial models on the part that the search is measured on."""
    data = asdict(describe(split)) | {"source": spec.data.source, "has_validation": split.has_validation}
    return Baseline(data=data, reference=asdict(trivial(split.search)))


def job(spec: StudySpec, split: Split) -> Job:
    """What every lane of this study trains."""
    return Job(
        fold=split.search,
        seed=spec.search.seed,
        engine=spec.runtime.engine,
        slots=spec.runtime.slots,
    )


def _drive(ledger: Ledger, number: int, job: Job, folder: Path, interrupt: Interrupt) -> str:
    if ledger.spec.runtime.address == "inline":
        return inline.drive(ledger, number, job, interrupt)
    from study.runtime import tune  # Ray takes a second to import, and may be absent

    return tune.drive(ledger, number, job, folder, interrupt)
