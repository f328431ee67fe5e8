"""The commands delete, backup and restore."""

import time
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from study.cli import local, remote
from study.cli.arguments import Address, NameArgument
from study.cli.terminal import say
from trainable.contract import StudyError


def delete(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without confirmation.")] = False,
    address: Address = None,
) -> None:
    """Delete a study: its record, tables and report."""
    if address is not None:
        if not yes:
            raise StudyError(
                f"delete: {address} cannot ask for confirmation; add --yes to delete {name} there"
            )
        remote.ask(address, ["delete", name, "--yes"])
        return
    from study.record import deletion

    folder = local.folder(name)
    seen = deletion.look(folder)
    if seen.unreadable is not None:
        say(seen.unreadable)
    if yes or typer.confirm(f"Delete {folder} and all its files?"):
        left = deletion.delete(folder, seen)
        say(f"{name}: deleted" if left is None else f"{name}: deleted; {left}")


def backup(
    name: NameArgument,
    file: Annotated[
        Path | None, typer.Argument(help="File to write. Default: NAME-DATE-TIME.backup.")
    ] = None,
    address: Address = None,
) -> None:
    """Write a study's record and spec into one file; the study may be running."""
    made = file or Path(f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.backup")
    if address is not None:
        _fetch_backup(name, made, address)
    else:
        from study.record.backup import backup

        backup(local.folder(name), made)
    say(f"{name}: backed up; `study restore {made}` restores it")


def _fetch_backup(name: str, made: Path, address: str) -> None:
    """Back up a study on a cluster's head and move the file to `made` on this machine."""
    from trainable.disk import write_atomically

    if made.exists():
        raise StudyError(f"{made}: already exists; name another file, or remove it")
    file = f"{local.STUDIES_FOLDER}/.{uuid4().hex}.backup"
    answer = remote.ask(address, ["backup", name, file], take=[file], quiet=True)
    if file not in answer.files:
        raise StudyError(f"{name}: {address} sent no backup; it may be too large to send")
    write_atomically(made, answer.files[file])


def restore(
    file: Annotated[Path, typer.Argument(help="File that `study backup` wrote.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the restored study. Default: its old name.")
    ] = None,
) -> None:
    """Restore a study from a backup; `study run` resumes it."""
    from study.record.backup import restore

    folder = restore(file, local.STUDIES_FOLDER, name=name)
    say(f"{folder.name}: restored in {folder}; `study run {folder.name}` resumes it")
