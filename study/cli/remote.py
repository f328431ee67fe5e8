"""The same commands on a cluster: asked of its head, said here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from study.cli import local

if TYPE_CHECKING:
    from study.remote.result import Answer


def ask(
    address: str,
    arguments: list[str],
    *,
    files: Sequence[str] = (),
    take: Sequence[str] = (),
    quiet: bool = False,
    mixed: bool = False,
) -> "Answer":
    """Run a command on a cluster's head and print its answer here; `mixed` where files come among ours.

    The files to `take` are removed there.
    """
    from study.remote import commands

    _, *names = [word for word in arguments if not word.startswith("--")]
    if mixed:
        commands.refuse_mixing(names, local.STUDIES)
    answer = commands.ask(
        address, arguments, study=names[0] if names else None, files=files, take=take, quiet=quiet
    )
    leave(answer.code)
    return answer


def flag(word: str, given: bool) -> list[str]:
    """The option as it goes into `arguments`."""
    return [word] if given else []


def leave(code: int) -> None:
    """End the command with the code that it ended with there; go on where that is 0."""
    if code:
        raise typer.Exit(code)
