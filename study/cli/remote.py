"""Commands that run on a cluster's head and print here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from study.cli import local

if TYPE_CHECKING:
    from study.remote.result import CommandResult


def ask(
    address: str,
    arguments: list[str],
    *,
    files: Sequence[str] = (),
    take: Sequence[str] = (),
    quiet: bool = False,
    mixed: bool = False,
) -> "CommandResult":
    """Run a command on a cluster's head, print its output here, and return it with the requested files.

    With `mixed`, files go into a study's folder here: StudyError if that study is not the head's. Files in
    `take` are removed on the head.
    """
    from study.remote import commands

    _, *names = [word for word in arguments if not word.startswith("--")]
    if mixed:
        commands.refuse_mixing(names, local.STUDIES_FOLDER)
    answer = commands.ask(
        address, arguments, study=names[0] if names else None, files=files, take=take, quiet=quiet
    )
    leave(answer.code)
    return answer


def flag(word: str, given: bool) -> list[str]:
    """The option `word` as a list of arguments; empty if it is not given."""
    return [word] if given else []


def leave(code: int) -> None:
    """Exit with the remote command's exit code, unless it is 0."""
    if code:
        raise typer.Exit(code)
