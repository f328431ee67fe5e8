"""The commands serve and token."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from study import limits
from study.cli import local
from study.cli.terminal import add_row, console, say
from study.service.tokens import SCOPES, Scope, Tokens, span
from trainable.contract import StudyError

PORT = 8300

tokens = typer.Typer(help="Create, list and revoke tokens of the service.", no_args_is_help=True)


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with tokens.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = PORT,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="URL of a Ray dashboard, as http://head:8265. Default: start a Ray here."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of data files that posted specs may name.")
    ] = None,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", help="Path below a site, as /x, if a proxy strips it.")
    ] = "",
) -> None:
    """Serve the studies over HTTP: post and watch studies, read reports."""
    limits.check(ray=address is None, instead="name another Ray with --address")
    try:
        from study.service.serve import serve
    except ModuleNotFoundError as error:
        raise StudyError(f"study serve: needs {error.name}; pip install 'pareto-study[service]'") from error
    home = local.STUDIES_FOLDER.absolute()
    serve(home, host=host, port=port, address=address, data=data, say=say, root_path=root_path)


@tokens.command()
def create(
    scope: Annotated[str, typer.Option(help="read, or write (post, stop and resume, too).")],
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time until it expires, as in 90m, 36h, 30d, 8w.")
    ] = None,
    label: Annotated[str, typer.Option(help="Note on its owner, for the list.")] = "",
) -> None:
    """Create a token and print it; it cannot be shown again."""
    if scope not in SCOPES:
        raise StudyError(f"--scope: {scope!r} is not known; use {' or '.join(SCOPES)}")
    chosen: Scope = "write" if scope == "write" else "read"
    print(
        Tokens(local.STUDIES_FOLDER).create(
            chosen, expires=None if expires is None else span(expires), label=label
        )
    )


@tokens.command("list")
def list_() -> None:
    """List the tokens, without their secrets."""
    table = Table("id", "scope", "created (UTC)", "expires (UTC)", "label", box=box.SIMPLE_HEAD)
    for token in Tokens(local.STUDIES_FOLDER).all():
        over = ", expired" if token.expired else ""
        until = "never" if token.expires is None else f"{_minute(token.expires)}{over}"
        add_row(table, token.id, token.scope, _minute(token.created), until, token.label)
    console.print(table)


def _minute(moment: str) -> str:
    """A moment in ISO 8601 as text to the minute: 2026-01-31 12:00."""
    return moment[:16].replace("T", " ")


@tokens.command()
def revoke(token: Annotated[str, typer.Argument(help="Id of the token; see `study token list`.")]) -> None:
    """Revoke a token."""
    if not Tokens(local.STUDIES_FOLDER).revoke(token):
        raise StudyError(f"no token {token!r} here; `study token list` shows all")
    say(f"{token}: revoked")
