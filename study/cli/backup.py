"""Keeping studies, or not: delete, backup, restore."""

import time
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from study.cli import local, remote
from study.cli.arguments import Address, Name
from study.cli.terminal import say
from trainable.contract import StudyError


def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    address: Address = None,
) -> None:
    """Delete a study: its record, tables and report."""
    if address is not None:
        if not yes:
            raise StudyError(f"delete: nobody can be asked at {address}; add --yes to delete {name} there")
        remote.ask(address, ["delete", name, "--yes"])
        return
    from study.record import deletion

    folder = local.folder(name)
    seen = deletion.look(folder)
    if seen.unreadable is not None:
        say(seen.unreadable)
    if yes or typer.confirm(f"Delete {folder} and all it holds?"):
        left = deletion.delete(folder, seen)
        say(f"{name}: deleted" if left is None else f"{name}: deleted; {left}")


def backup(
    name: Name,
    file: Annotated[
        Path | None, typer.Argument(help="The file to write; else NAME-DATE-TIME.backup, here.")
    ] = None,
    address: Address = None,
) -> None:
    """Write a study's whole record and its spec into one file, whether it runs or not."""
    made = file or Path(f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.backup")
    if address is not None:
        _fetch_backup(name, made, address)
    else:
        from study.record.backup import backup

        backup(local.folder(name), made)
    say(f"{name}: backed up; `study restore {made}` makes a study of it")


def _fetch_backup(name: str, made: Path, address: str) -> None:
    """Back a study up on a cluster's head and move the file to `made` here."""
    from trainable.disk import put

    if made.exists():
        raise StudyError(f"{made}: is there already; name another file, or remove it")
    file = f"{local.STUDIES}/.{uuid4().hex}.backup"
    answer = remote.ask(address, ["backup", name, file], take=[file], quiet=True)
    if file not in answer.files:
        raise StudyError(f"{name}: {address} sent no backup, or one that is too large to send")
    put(made, answer.files[file])


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `study backup` wrote.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Call the restored study so, not as it was called.")
    ] = None,
) -> None:
    """Make a study of a backup; `study run` goes on with it."""
    from study.record.backup import restore

    folder = restore(file, local.STUDIES, name=name)
    say(f"{folder.name}: restored in {folder}; `study run {folder.name}` goes on with it")
