"""Keeping studies, or not: delete, backup, restore."""

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from study.cli import here
from study.cli.arguments import Name
from study.cli.terminal import say
from trainable.contract import StudyError


def delete(name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False) -> None:
    """Delete a study: its record, tables and report."""
    from study.database import AwayError
    from study.ledger import Ledger

    folder, ledger = here.folder(name), None
    try:
        ledger = Ledger.read(folder)
    except AwayError:  # what it holds would stay behind
        raise
    except StudyError as error:  # what cannot be read cannot be running either
        say(str(error))
    runs = [] if ledger is None else ledger.runs()
    if runs and runs[-1].alive:
        owner = runs[-1].owner
        raise StudyError(
            f"{name}: is being run by process {owner.pid} on {owner.host}; `study stop {name}` first"
        )
    if yes or typer.confirm(f"Delete {folder} and all it holds?"):
        if ledger is not None:
            ledger.erase()
            ledger.close()
        shutil.rmtree(folder)
        say(f"{name}: deleted")


def backup(
    name: Name,
    file: Annotated[
        Path | None, typer.Argument(help="The file to write; else NAME-DATE-TIME.backup, here.")
    ] = None,
) -> None:
    """Write a study's whole record and its spec into one file, whether it runs or not."""
    from study.backup import backup

    made = file or Path(f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.backup")
    backup(here.folder(name), made)
    say(f"{name}: backed up; `study restore {made}` makes a study of it")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `study backup` wrote.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Call the restored study so, not as it was called.")
    ] = None,
) -> None:
    """Make a study of a backup; `study run` goes on with it."""
    from study.backup import restore

    folder = restore(file, here.STUDIES, name=name)
    say(f"{folder.name}: restored in {folder}; `study run {folder.name}` goes on with it")
