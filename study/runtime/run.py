"""One run of a study, from its spec to the end of its budget: in this process, or on Ray."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from study import limits
from study.loop.budget import complete, done
from study.loop.confirmation import begin, begin_fresh
from study.record.ledger import Ledger
from study.record.location import holds_study
from study.record.rows import Baseline
from study.runtime import claim, inline
from study.runtime.background import in_background
from study.runtime.heartbeat import forward_interrupt, renew_run
from study.runtime.placement import trains_on_this_cpu
from study.signals import Interrupt
from study.spec import StudySpec
from study.spec.sections import Confirm
from trainable.data.description import describe
from trainable.data.interactions import Fold, Split
from trainable.data.registry import load
from trainable.engines.registry import prepare
from trainable.job import Job
from trainable.models.trivial import trivial, unbeatable


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a run: the study's folder, and the reason that the run ended.

    `complete` is true if the study is complete, `trained` if this run trained anything, `interrupted` if a
    signal ended it. `report` is the path of the report, or None.
    """

    folder: Path
    reason: str
    complete: bool
    trained: bool
    interrupted: bool = False
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """Output that is written while Ray ends. `write` takes the study's folder and returns the report's page
    or None; `preload` imports its modules while Ray starts; `words` describe it to the user.
    """

    words: str
    write: Callable[[Path], Path | None]
    preload: Callable[[], object]


NO_OUTPUT = Finish("", write=lambda _folder: None, preload=lambda: None)
COMPILING = "compiling the training kernel, once per machine: about 10 s"

Drive = Callable[[Ledger, int, Job, Path, Interrupt], str]
"""Trains the rest of a record as a run, and returns why it ended."""

Echo = Callable[[str], None]
"""Prints a line for the user."""

Display = Callable[[Path, Interrupt], AbstractContextManager[Echo]]
"""Shows the study in a folder while it runs, and yields a function that prints a line. That of a command also
sets the farewell.
"""


def unwatched(_folder: Path, _interrupt: Interrupt) -> AbstractContextManager[Echo]:
    """A watch that shows and prints nothing."""
    return nullcontext(lambda _line: None)


def run(
    spec: StudySpec, home: str | Path, *, watch: Display = unwatched, finish: Finish = NO_OUTPUT
) -> Outcome:
    """Run a study in `home`/NAME until its budget is spent or it is stopped; resume it if it has begun.

    With `[confirm]` in the spec its front is then confirmed; a confirmation that has begun always resumes.
    StudyError for a usage error: another spec under this name, data that cannot be loaded, a second run of
    the same study, lanes that fit on no node.

    In the main thread INT and TERM stop the run as `study stop` does; a second one raises KeyboardInterrupt.
    """
    limits.check(ray=spec.runtime.address == "local")
    folder = (Path(home) / spec.name).absolute()
    if holds_study(folder):
        with closing(Ledger.read(folder)) as ledger:
            ledger.check(spec)
    split = _split(spec)
    with closing(Ledger.open(spec, folder, baseline(spec, split, split.search))) as ledger:
        return _drive(ledger, split, folder, spec.confirm, watch=watch, finish=finish, search=True)


def confirm(folder: Path, *, watch: Display = unwatched, finish: Finish = NO_OUTPUT) -> Outcome:
    """Confirm the present front of the study in `folder`; resume a stage that has begun."""
    with closing(Ledger.read(folder)) as ledger:
        limits.check(ray=ledger.spec.runtime.address == "local")
        asked, split = ledger.spec.confirm or Confirm(), _split(ledger.spec)
        ledger.check(ledger.spec, baseline(ledger.spec, split, split.search))
        return _drive(ledger, split, folder.absolute(), asked, watch=watch, finish=finish, search=False)


def _split(spec: StudySpec) -> Split:
    return load(spec.data.source, split=spec.data.split, split_seed=spec.data.split_seed)


def _drive(
    ledger: Ledger,
    split: Split,
    folder: Path,
    asked: Confirm | None,
    *,
    watch: Display,
    finish: Finish,
    search: bool,
) -> Outcome:
    """Drive the rest of the search, and of the later stages if asked for, as the study's one driver."""
    if (enough := _done(ledger, asked, search=search)) is not None:
        return Outcome(folder, enough, complete=True, trained=False, report=finish.write(folder))
    if asked is None and ledger.confirming:
        asked = Confirm()  # planned already: it resumes
    interrupt = Interrupt()
    with (
        _claimed(ledger, folder) as number,
        watch(folder, interrupt) as echo,
        renew_run(ledger, number, echo),
        forward_interrupt(interrupt, ledger, number, echo),
    ):
        with _driver(ledger, number, interrupt, echo, finish.preload) as drive:

            def train(record: Ledger, work: Job) -> str:
                return drive(record, number, work, folder, interrupt)

            reason = _trained(ledger, split, asked, train, search=search)
            ledger.release(number, reason)  # the files written below name its end and reason
            if finish.words:
                echo(finish.words)
            written = in_background(partial(finish.write, folder))
        report = written.result()
    whole = _done(ledger, asked, search=search) is not None
    return Outcome(folder, reason, complete=whole, trained=True, interrupted=interrupt.asked, report=report)


@contextmanager
def _claimed(ledger: Ledger, folder: Path) -> Iterator[int]:
    """Claim the study for a new run and yield its number; release it with the reason of an error."""
    number, reason = claim.claim_run(ledger), "failed"
    try:
        ledger.adopt(folder)
        yield number
    except (KeyboardInterrupt, SystemExit):  # before or after the lanes; Ray makes TERM a SystemExit
        reason = "interrupted"
        raise KeyboardInterrupt from None
    except Exception as error:
        reason = f"failed: {error}"
        raise
    finally:
        ledger.release(number, reason)


def _trained(
    ledger: Ledger, split: Split, asked: Confirm | None, train: Callable[[Ledger, Job], str], *, search: bool
) -> str:
    """Train the rest of the search and of the stages asked for; return the reason of the last end."""
    reason = "nothing was left to train"
    if search and complete(ledger) is None:
        reason = train(ledger, job(ledger.spec, split.search))
    if asked is None or (search and complete(ledger) is None):
        return reason
    if (fresh := begin_fresh(ledger, asked)) is not None:
        fresh.fix(ledger.baseline)
        if complete(fresh) is None:
            reason = train(fresh, job(fresh.spec, split.search))
        if complete(fresh) is None:
            return reason
    confirmation = begin(ledger, asked)
    confirmation.fix(baseline(confirmation.spec, split, split.final))
    if complete(confirmation) is None:
        again = replace(job(confirmation.spec, split.final), by_user=True)
        reason = train(confirmation, again)
    return reason


def _done(ledger: Ledger, asked: Confirm | None, *, search: bool) -> str | None:
    """The reason that a study is complete, or None; without `search` only its confirmation counts."""
    enough = complete(ledger) if search else "the front"
    return done(enough, ledger.confirmation(), asked=asked is not None or ledger.confirming)


def baseline(spec: StudySpec, split: Split, fold: Fold) -> Baseline:
    """The description of the data, and the trivial models' scores on the target of `fold`."""
    reference = trivial(fold)
    data = asdict(describe(split)) | {"source": spec.data.source, "has_validation": split.has_validation}
    data["warnings"] = [*data["warnings"], *unbeatable(reference, fold)]
    return Baseline(data=data, reference=asdict(reference))


def job(spec: StudySpec, fold: Fold) -> Job:
    """The job of every lane, for a CPU."""
    return Job(
        fold=fold,
        seed=spec.search.seed,
        study=spec.name,
        engine=spec.runtime.engine,
        slots=spec.runtime.slots_on("cpu"),
    )


@contextmanager
def _driver(
    ledger: Ledger, number: int, interrupt: Interrupt, echo: Echo, preload: Callable[[], object]
) -> Iterator[Drive]:
    """The function that drives a record: in this process, or on one Ray for all stages.

    While Ray starts, threads compile the kernel for lanes on this machine's CPUs and call `preload`.
    """
    runtime = ledger.spec.runtime
    compile_kernel = partial(prepare, runtime.engine, partial(echo, COMPILING))
    if runtime.address == "inline":
        compile_kernel()
        yield inline.drive
        return
    from study.runtime import ray_head, ray_start  # Ray takes a second to import, and may be absent

    here = runtime.address == "local" and trains_on_this_cpu(runtime)
    compiled = in_background(compile_kernel if here else lambda: None)
    in_background(
        lambda: (compiled.exception(), preload())
    )  # after it: two threads must not import SciPy at once
    with ExitStack() as stack:
        if stack.enter_context(ray_start.connected(ledger.spec)):
            stack.enter_context(ray_head.watch_heads(ray_head.addresses(), ledger, number, interrupt))
        from study.runtime import tune

        compiled.result()
        yield tune.drive
