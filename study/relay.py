"""The user's commands on a cluster's head: a study is submitted and followed, others are answered there."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from study import view
from study.answer import Answer
from study.database import holds_study
from study.interrupt import INTERRUPTED
from study.printable import printable_lines
from study.spec import StudySpec
from trainable.contract import StudyError

if TYPE_CHECKING:
    from study.runtime.jobs import Ended, Head

Say = Callable[[str], None]


def submit(spec: StudySpec, address: str, say: Say, *, with_package: bool, detach: bool) -> int:
    """The exit code of the study's run at `address`, followed to its end; 0 where the user detaches."""
    head = _head(address)
    submitted = head.submit(spec, with_package=with_package)
    job = submitted.job
    what = "begins" if submitted.begun else "runs it already"
    say(f"study {spec.name} ({spec.fingerprint}): job {job} {what}")
    if not submitted.same:
        say("it keeps the spec it was submitted with, whose budget or runtime is another; stop it first")
    if detach:
        say(_back(spec.name, address))
        return 0
    try:
        _show(head.follow(job), Console())
        ended = head.ended(job)
    except KeyboardInterrupt:
        say(f"\ndetached; the study goes on. {_back(spec.name, address)}")
        return 0
    return 1 if ended is None else _ending(spec.name, address, ended, say)


def _show(pieces: Iterable[str], console: Console) -> None:
    """Print what a job says, as it comes; in a terminal how far it is stays in place, below all else."""
    if not console.is_terminal:
        for piece in pieces:
            print(printable_lines(piece), end="", flush=True)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for said in map(printable_lines, _whole_lines(pieces)):
            if (shown := view.retold(said)) is not None:
                live.update(shown, refresh=True)
            else:
                console.print(said, soft_wrap=True, highlight=False, markup=False)


def _whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from whole
    if rest:
        yield rest


def _ending(name: str, address: str, ended: "Ended", say: Say) -> int:
    if ended.status == "SUCCEEDED":
        say(f"`study report {name} --address {address}` fetches the report")
        return 0
    if ended.status == "STOPPED":
        say(f"its job was stopped; `study submit {name}` with the same spec goes on")
        return INTERRUPTED
    if ended.code == 1:  # Ray's own reason: a command that ran has said it in the log
        say(ended.message.strip().partition("\n")[0])
    return ended.code


def _back(name: str, address: str) -> str:
    return (
        f"`study status {name} --address {address}` shows how it stands, `study stop` stops it, and the same "
        "`study submit` follows it again"
    )


def ask(
    address: str,
    arguments: Sequence[str],
    *,
    study: str | None = None,
    files: Sequence[str] = (),
    quiet: bool = False,
) -> Answer:
    """What the head answers to the command `arguments`; said here too, where it failed or is not `quiet`."""
    answer = _head(address).ask(arguments, study=study, files=files, width=shutil.get_terminal_size().columns)
    return _said(answer.only(files), quiet=quiet)


def stop(name: str, address: str) -> Answer:
    """What the head answers to `study stop NAME`."""
    return _said(_head(address).stop(name))


def refuse_mixing(names: Sequence[str], here: Path) -> None:
    """StudyError where what comes from a cluster would be mixed with a study of this machine."""
    for name in names:
        if holds_study(here / name):
            raise StudyError(
                f"{here / name}: is a study of this machine, and what the cluster has of {name!r} would be "
                "mixed with it; call the command in another folder"
            )


def _said(answer: Answer, *, quiet: bool = False) -> Answer:
    if answer.code or not quiet:
        print(printable_lines(answer.out), end="", flush=True)
    print(printable_lines(answer.err), end="", file=sys.stderr, flush=True)
    return answer


def _head(address: str) -> "Head":
    from study.runtime.jobs import Head  # Ray takes a second to import, and may be absent

    return Head(address)
