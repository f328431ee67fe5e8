"""The commands export and report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study import limits
from study.cli import completion, local, remote
from study.cli.arguments import Address, NameArgument
from study.cli.terminal import say
from study.printable import printable_lines
from trainable.contract import StudyError
from trainable.disk import write_atomically

if TYPE_CHECKING:
    from analysis.report import Report

EXPORTED = ("study.toml", "tables", "front.csv", "manifest.json")
MOST_NAMED = 3


def export(name: NameArgument, address: Address = None) -> None:
    """Write the study's tables, front.csv and manifest.json."""
    if address is not None:
        parts = [f"{local.STUDIES_FOLDER}/{name}/{part}" for part in EXPORTED]
        remote.ask(address, ["export", name], files=parts, mixed=True).save(Path())
        return
    from study.results.export import export

    with local.record(name) as record:
        export(record, local.folder(name))
    say(f"{local.folder(name) / 'tables'}, front.csv and manifest.json written")


def report(
    names: Annotated[
        list[str],
        typer.Argument(help="Names of studies; see `study list`.", autocompletion=completion.studies),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the report. Default: studies/NAME/report."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with exact numbers instead.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request, instead.")
    ] = False,
    address: Address = None,
) -> None:
    """Write the report of one or several studies: an HTML page, and figures as SVG, PDF and PNG."""
    if [open_, as_json, as_markdown].count(True) > 1:
        raise StudyError("report: give at most one of --open, --json and --markdown")
    if as_json or as_markdown:
        if address is not None:
            remote.ask(address, ["report", *names, "--markdown" if as_markdown else "--json"])
            return
        made = _made(list(map(local.folder, names)))
        print(printable_lines(made.json() if as_json else made.markdown()))
        return
    page = write(list(map(local.folder, names)), out) if address is None else _fetched(names, out, address)
    if open_:
        typer.launch(page.as_uri())


def write(folders: list[Path], out: Path | None = None) -> Path:
    """Export the studies and write their report into `out`, by default into `_report_folder`."""
    into = out or _report_folder([folder.name for folder in folders])
    page = _made(folders).save(into, write_atomically).absolute()
    say(f"report: {page}")
    return page


def _report_folder(names: list[str]) -> Path:
    """The folder of a report. For several studies, a name that no study can have: A+B, or A+B+C+5-more."""
    if len(names) == 1:
        return local.STUDIES_FOLDER / names[0] / "report"
    more = [f"{len(names) - MOST_NAMED}-more"] if names[MOST_NAMED:] else []
    return local.STUDIES_FOLDER / "+".join([*names[:MOST_NAMED], *more])


def _fetched(names: list[str], out: Path | None, address: str) -> Path:
    """Make a report on a cluster's head and fetch it with its figures; returns the path of its page."""
    folder = _report_folder(names)
    answer = remote.ask(address, ["report", *names], files=[folder.as_posix()], quiet=True, mixed=out is None)
    answer.save(out or folder, below=folder)
    page = ((out or folder) / "index.html").absolute()
    say(f"report: {page}")
    return page


def _made(folders: list[Path]) -> "Report":
    """Export the studies and make their report."""
    limits.check()
    from study.results import report

    return report.make(folders)
