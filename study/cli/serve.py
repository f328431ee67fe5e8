"""Serving studies to others over HTTP: serve, token."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from study.cli import local
from study.cli.terminal import add_row, console, say
from study.service.tokens import SCOPES, Scope, Tokens, span
from trainable.contract import StudyError

PORT = 8300

tokens = typer.Typer(help="Tokens of the service here: who may read, who may write.", no_args_is_help=True)


def serve(
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond this machine only with tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 is a free one.")] = PORT,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Of a Ray dashboard, as http://head:8265; else one is started here."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Files of ratings that a posted spec may name.")
    ] = None,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", help="As /x: where a proxy puts it that takes /x away.")
    ] = "",
) -> None:
    """Serve the studies here over HTTP: post, watch, read the report."""
    try:
        from study.service.serve import serve
    except ModuleNotFoundError as error:
        raise StudyError(f"study serve: needs {error.name}; pip install 'pareto-study[service]'") from error
    home = local.STUDIES.absolute()
    serve(home, host=host, port=port, address=address, data=data, said=say, root_path=root_path)


@tokens.command()
def create(
    scope: Annotated[str, typer.Option(help="read, or write: to post, stop and resume too.")],
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="As in 90m, 36h, 30d, 8w.")] = None,
    label: Annotated[str, typer.Option(help="Whose it is, for the list.")] = "",
) -> None:
    """Make a token, and print it; it is not kept, and cannot be shown again."""
    if scope not in SCOPES:
        raise StudyError(f"--scope: {scope!r} is not known; use {' or '.join(SCOPES)}")
    chosen: Scope = "write" if scope == "write" else "read"
    print(
        Tokens(local.STUDIES).create(chosen, expires=None if expires is None else span(expires), label=label)
    )


@tokens.command("list")
def list_() -> None:
    """The tokens, without their secrets."""
    table = Table("id", "scope", "created (UTC)", "expires (UTC)", "label", box=box.SIMPLE_HEAD)
    for token in Tokens(local.STUDIES).all():
        over = ", over" if token.expired else ""
        until = "never" if token.expires is None else f"{_minute(token.expires)}{over}"
        add_row(table, token.id, token.scope, _minute(token.created), until, token.label)
    console.print(table)


def _minute(moment: str) -> str:
    """A moment in ISO 8601 as people write it, to the minute."""
    return moment[:16].replace("T", " ")


@tokens.command()
def revoke(token: Annotated[str, typer.Argument(help="Its id, as `study token list` shows it.")]) -> None:
    """Let a token open nothing any more."""
    if not Tokens(local.STUDIES).revoke(token):
        raise StudyError(f"{token!r} is no token here; `study token list` shows them")
    say(f"{token}: revoked")
