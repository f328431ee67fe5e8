"""The user's commands on a cluster's head: a study is submitted and followed, others are answered there."""

import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from study.printable import printable_lines
from study.record.location import holds_study
from study.remote.result import Answer
from study.signals import INTERRUPTED, SIGNALS
from study.spec import StudySpec
from study.status import text
from trainable.contract import StudyError

if TYPE_CHECKING:
    from study.remote.jobs import Ended, Head, Submitted

Say = Callable[[str], None]

COMMANDS_CODES = (0, 1, 2, INTERRUPTED)
"""The exit codes of our commands."""

SHELLS_SIGNAL = 128
"""Offset of a shell's exit code for a command that a signal ended."""


def submit(spec: StudySpec, address: str, say: Say, *, with_package: bool, detach: bool) -> int:
    """The exit code of the study's run at `address`, followed to its end; 0 where the user detaches."""
    head = _head(address)
    submitted = head.submit(spec, with_package=with_package)
    _announce(spec.name, spec.fingerprint, submitted, say)
    if not submitted.same:
        say("it keeps the spec it was submitted with, whose budget or runtime is another; stop it first")
    again = f"`study submit {spec.name} --address {address}` with the same spec"
    if detach:
        say(_back(spec.name, address, again))
        return 0
    return _followed(head, spec.name, submitted.job, again, say)


def confirm(name: str, address: str, say: Say, *, unfinished: bool) -> int:
    """The exit code of the confirmation of a study at `address`, followed as a submitted study is."""
    head = _head(address)
    answer = head.ask(["status", name, "--json"], study=name)
    if answer.code:
        return _said(answer).code
    fingerprint = json.loads(answer.out)["fingerprint"]
    submitted = head.confirm(name, fingerprint=fingerprint, unfinished=unfinished)
    _announce(name, fingerprint, submitted, say)
    again = f"`study confirm {name} --address {address}`"
    return _followed(head, name, submitted.job, again, say)


def _announce(name: str, fingerprint: str, submitted: "Submitted", say: Say) -> None:
    what = "begins" if submitted.begun else "runs it already"
    say(f"study {name} ({fingerprint}): job {submitted.job} {what}")


def _followed(head: "Head", name: str, job: str, again: str, say: Say) -> int:
    """The exit code of a job, followed to its end; `again` is the command that resumes the study.

    StudyError where its head stays away.
    """
    from study.remote.ray_client import AwayError, RefusedError

    try:
        _show(head.follow(job), Console())
        ended = head.ended(job)
    except KeyboardInterrupt:
        say(f"\ndetached; the study goes on. {_back(name, head.address, again)}")
        return 0
    except (AwayError, RefusedError) as error:
        raise StudyError(f"{error}; once it answers again, {again} resumes or follows the study") from error
    return 1 if ended is None else _ending(name, head.address, ended, again, say)


def _show(pieces: Iterable[str], console: Console) -> None:
    """Print what a job says, as it comes; in a terminal how far it is stays in place, below all else."""
    if not console.is_terminal:
        for piece in pieces:
            print(printable_lines(piece), end="", flush=True)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for said in map(printable_lines, _whole_lines(pieces)):
            if (shown := text.retold(said)) is not None:
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


def _ending(name: str, address: str, ended: "Ended", again: str, say: Say) -> int:
    """The exit code of an ended job; prints the reason where the job's log lacks it."""
    if ended.status == "SUCCEEDED":
        say(f"`study report {name} --address {address}` fetches the report")
        return 0
    if ended.status == "STOPPED":
        say(f"its job was stopped; {again} resumes it")
        return INTERRUPTED
    if ended.code in COMMANDS_CODES:
        if ended.code == 1:  # Ray's reason; the log has that of a command that ran
            say(ended.message.strip().partition("\n")[0])
        return ended.code
    number = -ended.code if ended.code < 0 else ended.code - SHELLS_SIGNAL
    if number in map(int, SIGNALS):
        say(f"{signal.Signals(number).name} ended its process; {again} resumes it")
        return INTERRUPTED
    if number == signal.SIGKILL:
        say(f"SIGKILL ended its process, as it does where memory runs out; {again} resumes it")
    else:
        say(f"its process ended with code {ended.code}, without a word; {again} resumes it")
    return 1


def _back(name: str, address: str, again: str) -> str:
    return (
        f"`study status {name} --address {address}` shows how it stands, `study stop` stops it, and {again} "
        "follows it again"
    )


def ask(
    address: str,
    arguments: Sequence[str],
    *,
    study: str | None = None,
    files: Sequence[str] = (),
    take: Sequence[str] = (),
    quiet: bool = False,
) -> Answer:
    """What the head answers to the command `arguments`; said here too, where it failed or is not `quiet`."""
    width = shutil.get_terminal_size().columns
    answer = _head(address).ask(arguments, study=study, files=files, take=take, width=width)
    return _said(answer.only([*files, *take]), quiet=quiet)


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
    from study.remote.jobs import Head  # Ray takes a second to import, and may be absent

    return Head(address)
