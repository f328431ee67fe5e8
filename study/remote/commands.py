"""Commands with `--address`: a study is submitted and followed, other commands run on the cluster's head."""

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
from study.remote.result import CommandResult
from study.signals import INTERRUPTED, SIGNALS
from study.spec import StudySpec
from study.status import text
from trainable.contract import StudyError

if TYPE_CHECKING:
    from study.remote.jobs import Head, JobEnd, Submitted

Say = Callable[[str], None]

COMMANDS_CODES = (0, 1, 2, INTERRUPTED)
"""The exit codes of our commands."""

SHELLS_SIGNAL = 128
"""Offset of a shell's exit code for a command that a signal ended."""


def submit(spec: StudySpec, address: str, say: Say, *, with_package: bool, detach: bool) -> int:
    """Submit a study to `address` and follow its run; return the run's exit code, 0 if the user detaches."""
    head = _head(address)
    submitted = head.submit(spec, with_package=with_package)
    _announce(spec.name, spec.fingerprint, submitted, say)
    if not submitted.same:
        say("the job keeps its own spec, with another budget or runtime; stop it first to change them")
    again = f"`study submit {spec.name} --address {address}` with the same spec"
    if detach:
        say(_back(spec.name, address, again))
        return 0
    return _followed(head, spec.name, submitted.job, again, say)


def confirm(name: str, address: str, say: Say, *, unfinished: bool) -> int:
    """Confirm a study at `address` and follow it as a submitted study; return its exit code."""
    head = _head(address)
    answer = head.ask(["status", name, "--json"], study=name)
    if answer.code:
        return _printed(answer).code
    fingerprint = json.loads(answer.out)["fingerprint"]
    submitted = head.confirm(name, fingerprint=fingerprint, unfinished=unfinished)
    _announce(name, fingerprint, submitted, say)
    again = f"`study confirm {name} --address {address}`"
    return _followed(head, name, submitted.job, again, say)


def _announce(name: str, fingerprint: str, submitted: "Submitted", say: Say) -> None:
    what = "begins" if submitted.begun else "runs it already"
    say(f"study {name} ({fingerprint}): job {submitted.job} {what}")


def _followed(head: "Head", name: str, job: str, again: str, say: Say) -> int:
    """Follow a job to its end; return its exit code. `again` is the command that resumes the study.

    StudyError if its head stays away.
    """
    from study.remote.ray_client import ClusterAwayError, RefusedError

    try:
        _show(head.follow(job), Console())
        ended = head.ended(job)
    except KeyboardInterrupt:
        say(f"\ndetached; the study continues. {_back(name, head.address, again)}")
        return 0
    except (ClusterAwayError, RefusedError) as error:
        raise StudyError(f"{error}; once it answers again, {again} resumes or follows the study") from error
    return 1 if ended is None else _ending(name, head.address, ended, again, say)


def _show(pieces: Iterable[str], console: Console) -> None:
    """Print a job's output as it comes; in a terminal its progress stays in place, below all else."""
    if not console.is_terminal:
        for piece in pieces:
            print(printable_lines(piece), end="", flush=True)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for line in map(printable_lines, _whole_lines(pieces)):
            if (shown := text.live_view(line)) is not None:
                live.update(shown, refresh=True)
            else:
                console.print(line, soft_wrap=True, highlight=False, markup=False)


def _whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from whole
    if rest:
        yield rest


def _ending(name: str, address: str, ended: "JobEnd", again: str, say: Say) -> int:
    """The exit code of an ended job; prints the reason if the job's log lacks it."""
    if ended.status == "SUCCEEDED":
        say(f"`study report {name} --address {address}` fetches the report")
        return 0
    if ended.status == "STOPPED":
        say(f"its job was stopped; {again} resumes it")
        return INTERRUPTED
    if ended.code in COMMANDS_CODES:
        if ended.code == 1:  # Ray's reason; a command's own is in the log
            say(ended.message.strip().partition("\n")[0])
        return ended.code
    number = -ended.code if ended.code < 0 else ended.code - SHELLS_SIGNAL
    if number in map(int, SIGNALS):
        say(f"{signal.Signals(number).name} ended its process; {again} resumes it")
        return INTERRUPTED
    if number == signal.SIGKILL:
        say(f"SIGKILL ended its process, probably because memory ran out; {again} resumes it")
    else:
        say(f"its process ended with code {ended.code} and no message; {again} resumes it")
    return 1


def _back(name: str, address: str, again: str) -> str:
    return (
        f"`study status {name} --address {address}` shows its progress, `study stop` stops it, and {again} "
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
) -> CommandResult:
    """Run the command `arguments` on the head; return its answer, printed unless `quiet` and successful."""
    width = shutil.get_terminal_size().columns
    answer = _head(address).ask(arguments, study=study, files=files, take=take, width=width)
    return _printed(answer.only([*files, *take]), quiet=quiet)


def stop(name: str, address: str) -> CommandResult:
    """Run `study stop NAME` on the head; return and print its answer."""
    return _printed(_head(address).stop(name))


def refuse_mixing(names: Sequence[str], here: Path) -> None:
    """Raise StudyError if files from a cluster would mix with a study of this machine."""
    for name in names:
        if holds_study(here / name):
            raise StudyError(
                f"{here / name}: is a study of this machine, and the cluster's files of {name!r} would mix "
                "with it; run the command in another folder"
            )


def _printed(answer: CommandResult, *, quiet: bool = False) -> CommandResult:
    """The answer, printed unless `quiet` and successful."""
    if answer.code or not quiet:
        print(printable_lines(answer.out), end="", flush=True)
    print(printable_lines(answer.err), end="", file=sys.stderr, flush=True)
    return answer


def _head(address: str) -> "Head":
    from study.remote.jobs import Head  # Ray takes a second to import, and may be absent

    return Head(address)
