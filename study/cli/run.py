"""The commands run, confirm, submit and stop."""

import os
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study import limits
from study.cli import local, remote
from study.cli.arguments import SPEC_ARGUMENT, Address, NameArgument, Overrides
from study.cli.terminal import MOST_LISTED, console, say, show_front
from study.signals import INTERRUPTED, RESUMES
from trainable.contract import StudyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from study.runtime.run import Outcome


def run(
    spec: Annotated[str, SPEC_ARGUMENT],
    overrides: Overrides = None,
) -> None:
    """Run or resume a study on this machine. Ends with a report."""
    limits.check()
    from study.spec import resolve

    chosen = resolve(spec, overrides or (), local.STUDIES_FOLDER)
    from study.runs import run
    from study.status import live

    home = Path(chosen.runtime.home or ".") if chosen.runtime.address == "auto" else Path()
    home.mkdir(parents=True, exist_ok=True)
    os.chdir(home)
    if chosen.runtime.address == "auto":
        _note_home()
    say(f"study {chosen.name} ({chosen.fingerprint}) in {home / local.STUDIES_FOLDER / chosen.name}")
    again = f"study run {chosen.name}"
    _driven(lambda: run(chosen, local.STUDIES_FOLDER, watch=partial(live.watch, console=console)), again)


def _note_home() -> None:
    """Note the working folder on a cluster: `study list` finds its studies after a restart of Ray's head."""
    from study.remote import homes

    try:
        homes.note(Path())
    except OSError as error:
        say(f"{error.filename}: {error.strerror}; `study list --address` may not show this study")


def confirm(
    name: NameArgument,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Confirm the front although the search is not complete.")
    ] = False,
    address: Address = None,
) -> None:
    """Train the front again with fresh seeds and open the test set, once. Ends with a report."""
    if address is not None:
        from study.remote import commands

        remote.leave(commands.confirm(name, address, say, unfinished=unfinished))
        return
    limits.check()
    from study.loop.budget import complete
    from study.runs import confirm
    from study.status import live

    with local.record(name) as record:
        early = complete(record) is None and not record.confirming
    if early and not unfinished:
        raise StudyError(
            f"{name}: its search is not complete, and the test set is opened only once; "
            f"`study run {name}` resumes the search, --unfinished confirms the present front"
        )
    watch = partial(live.watch, console=console)
    _driven(lambda: confirm(local.folder(name), watch=watch), f"study confirm {name}")


def _driven(drive: "Callable[[], Outcome]", again: str) -> None:
    """Drive a study, then print its outcome and its report's path; `again` is the command that resumes."""
    from study.record.reader import Reader
    from study.status import snapshot, text

    try:
        outcome = drive()
    except KeyboardInterrupt:
        say(f"interrupted; {RESUMES}")
        raise
    if not outcome.trained:
        say(f"complete ({outcome.reason}): nothing left to do{_more(outcome.reason)}")
    elif not outcome.complete:
        say(f"{outcome.reason}; `{again}` resumes it")
    with closing(Reader.read(outcome.folder)) as record:
        seen, warnings = snapshot.snapshot(record), record.baseline.data["warnings"]
    say("\n".join(text.lines(seen)))
    show_front(seen, most=MOST_LISTED)
    for warning in warnings:
        say(f"warning: {warning}")
    say(f"report: {outcome.report}")
    if outcome.reason.startswith("failed"):
        raise typer.Exit(1)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)


def _more(reason: str) -> str:
    """The effect of a larger budget on a complete study."""
    if "tried" in reason:  # the space is exhausted
        return ""
    if reason.endswith("confirmed"):
        return "; points that a larger budget finds cannot be confirmed: the test set is opened only once"
    return "; a larger budget resumes it"


def submit(
    spec: Annotated[str, SPEC_ARGUMENT],
    address: Annotated[
        str, typer.Option(metavar="URL", help="URL of the cluster's dashboard, as http://head:8265.")
    ],
    overrides: Overrides = None,
    with_package: Annotated[
        bool, typer.Option("--with-package", help="Also send the pareto-study that is installed here.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the study.")] = False,
) -> None:
    """Run or resume a study on a Ray cluster and follow it. Ctrl-C detaches."""
    from study.remote import commands
    from study.spec import resolve

    chosen = resolve(spec, overrides or (), local.STUDIES_FOLDER)
    code = commands.submit(chosen, address, say, with_package=with_package, detach=detach)
    remote.leave(code)


def stop(name: NameArgument, address: Address = None) -> None:
    """Ask a running study to stop; the command that started it resumes it."""
    if address is not None:
        from study.remote import commands

        remote.leave(commands.stop(name, address).code)
        return
    from study.record.ledger import Ledger

    with closing(Ledger.read(local.folder(name))) as ledger:
        asked = any(ledger.request_stop(run.run) for run in ledger.runs() if run.alive)
    say(f"{name}: asked to stop" if asked else f"{name}: is not running")
