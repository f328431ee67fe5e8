"""Run or confirm a study as the commands do: with progress, then tables and report."""

from contextlib import AbstractContextManager, closing
from functools import partial
from importlib import import_module
from pathlib import Path

from rich.console import Console

from study.runtime import run as runtime
from study.runtime.run import Display, Echo, Finish, Outcome
from study.signals import Interrupt
from study.spec import StudySpec
from study.status import live


def display(folder: Path, interrupt: Interrupt) -> AbstractContextManager[Echo]:
    """Show a study as `study run` does: a live view in a terminal or a notebook, log lines elsewhere."""
    return live.watch(folder, interrupt, console=Console(), command=False)


def run(
    spec: StudySpec, home: str | Path = "studies", *, watch: Display = display, report: bool = True
) -> Outcome:
    """Run a study in `home`/NAME until its budget is spent or it is stopped; an earlier run is resumed.

    Terminals and notebooks show a progress bar, anything else a log line every ten seconds, like `study run`;
    `watch=study.runtime.run.unwatched` shows nothing. At the end the tables, front.csv and manifest.json are
    written, and the report unless `report` is False. A run that is killed or raises leaves earlier files
    unchanged.

    With `[confirm]` in the spec, the front is then confirmed; a confirmation that has begun always resumes.
    Raises StudyError for usage errors: another spec under this name, missing data, a second run of the same
    study, or no room for a lane.

    In the main thread the first INT or TERM stops the study as `study stop` does; the second raises
    KeyboardInterrupt.
    """
    return runtime.run(spec, home, watch=watch, finish=_finish(report=report))


def confirm(folder: Path, *, watch: Display = display) -> Outcome:
    """Confirm the front of the study in `folder`, or resume its confirmation; write tables and report."""
    return runtime.confirm(folder, watch=watch, finish=_finish(report=True))


def _finish(*, report: bool) -> Finish:
    words = "writing the report" if report else "writing the tables"
    needed = "study.results.report" if report else "study.results.export"
    return Finish(words, write=partial(_write, report=report), preload=partial(import_module, needed))


def _write(folder: Path, *, report: bool) -> Path | None:
    """Write the study's tables and, with `report`, its report; return the report's page."""
    if report:
        from study.results.report import write

        return write(folder).absolute()
    from study.record.reader import Reader
    from study.results.export import export

    with closing(Reader.read(folder)) as reader:
        export(reader, folder)
    return None
