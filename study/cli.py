"""The `study` command: one thin function a command. What can be mended is said on stderr, exit code 2."""

import json
import os
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from analysis.objective import AnalysisError
from study.service import commands
from trainable.contract import StudyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from analysis.report import Report
    from study.answer import Answer
    from study.ledger import Ledger
    from study.progress import Snapshot
    from study.runtime import Outcome

STUDIES = Path("studies")
INTERRUPTED = 130
MOST_NAMED = 3
EXPORTED = ("study.toml", "tables", "front.csv", "manifest.json")

app = typer.Typer(
    help="Pareto studies of two-task recommenders: ranking (MRR) against rating (MSE).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

Name = Annotated[str, typer.Argument(help="A study's name, as `study list` shows it.")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Of a Ray cluster's dashboard, as http://head:8265: ask there instead of here."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override the spec, as in train.epochs=40. Repeatable."),
]


def main() -> None:
    """Run the command; a mistake that the user can mend costs one line, not a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # TERM ends a command as Ctrl-C does
    try:
        app()
    except (StudyError, AnalysisError) as error:
        _refuse(f"{type(error).__name__}: {error}")
    except OSError as error:
        _refuse(f"{type(error).__name__}: {error.filename or STUDIES}: {error.strerror or error}")
    except _database_errors() as error:
        _refuse(f"{STUDIES}: a study's record cannot be read or written: {_first_line(error)}")


# --- running ---------------------------------------------------------------------------------------------


@app.command()
def run(
    spec: Annotated[str | None, typer.Argument(help="A path, a study's name, or a preset.")] = None,
    overrides: Overrides = None,
) -> None:
    """Run a study here; one that was begun goes on where it was. Ends with a report."""
    from study import progress
    from study.runtime import run
    from study.spec import resolve

    chosen = resolve(spec, overrides or (), STUDIES)
    home = Path(chosen.runtime.home or ".") if chosen.runtime.address == "auto" else Path()
    home.mkdir(parents=True, exist_ok=True)
    os.chdir(home)
    _say(f"study {chosen.name} ({chosen.fingerprint}) in {home / STUDIES / chosen.name}")
    again = f"study run {chosen.name}"
    _driven(lambda: run(chosen, STUDIES, watch=partial(progress.watch, console=console)), again)


@app.command()
def confirm(
    name: Name,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Confirm the front of a search that is not complete.")
    ] = False,
) -> None:
    """Train the front again with fresh seeds and open the test set, once. Ends with a report."""
    from study import progress
    from study.budget import complete
    from study.runtime import confirm

    ledger = _ledger(name)
    if complete(ledger) is None and ledger.confirmation() is None and not unfinished:
        raise StudyError(
            f"{name}: its search is not complete, and the test set is opened only once; "
            f"`study run {name}` goes on, --unfinished confirms the front as it stands"
        )
    watch = partial(progress.watch, console=console)
    _driven(lambda: confirm(_folder(name), watch=watch), f"study confirm {name}")


def _driven(drive: "Callable[[], Outcome]", again: str) -> None:
    """Drive a study, say how that went, and write its report; `again` is the command that goes on."""
    from study import progress
    from study.ledger import Ledger

    try:
        outcome = drive()
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on from here")
        raise
    if not outcome.trained:
        more = "" if outcome.reason.startswith("grid:") else "; a larger budget would go on"
        _say(f"complete ({outcome.reason}): nothing left to do{more}")
    elif not outcome.complete:
        _say(f"{outcome.reason}; `{again}` goes on from here")
    seen = progress.snapshot(Ledger.read(outcome.folder))
    _say("\n".join(progress.lines(seen)))
    _show_front(seen)
    _report([outcome.folder])
    if outcome.reason.startswith("failed"):
        raise typer.Exit(1)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
def submit(
    spec: Annotated[str, typer.Argument(help="A path, a study's name, or a preset.")],
    address: Annotated[
        str, typer.Option(metavar="URL", help="Of the cluster's dashboard: http://head:8265.")
    ],
    overrides: Overrides = None,
    with_package: Annotated[
        bool, typer.Option("--with-package", help="Send this machine's pareto-study too.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow it.")] = False,
) -> None:
    """Run a study on a Ray cluster, and follow it; where it runs already, only follow it. Ctrl-C detaches."""
    from study import relay
    from study.spec import resolve

    chosen = resolve(spec, overrides or (), STUDIES)
    code = relay.submit(chosen, address, _say, with_package=with_package, detach=detach)
    _exit(code)


@app.command()
def stop(name: Name, address: Address = None) -> None:
    """Ask a running study to stop; the command that began it goes on later."""
    if address is not None:
        from study import relay

        _exit(relay.stop(name, address).code)
        return
    ledger = _ledger(name)
    asked = any(run.alive for run in ledger.runs()) and ledger.request_stop()
    _say(f"{name}: asked to stop" if asked else f"{name}: is not running")


@app.command()
def delete(name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False) -> None:
    """Delete a study: its record, tables and report."""
    from study.database import AwayError
    from study.ledger import Ledger

    folder, ledger = _folder(name), None
    try:
        ledger = Ledger.read(folder)
    except AwayError:  # what it holds would stay behind
        raise
    except StudyError as error:  # what cannot be read cannot be running either
        _say(str(error))
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
        _say(f"{name}: deleted")


@app.command()
def backup(
    name: Name,
    file: Annotated[
        Path | None, typer.Argument(help="The file to write; else NAME-DATE-TIME.backup, here.")
    ] = None,
) -> None:
    """Write a study's whole record and its spec into one file, whether it runs or not."""
    from study.backup import backup

    made = file or Path(f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.backup")
    backup(_folder(name), made)
    _say(f"{name}: backed up; `study restore {made}` makes a study of it")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `study backup` wrote.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Call the restored study so, not as it was called.")
    ] = None,
) -> None:
    """Make a study of a backup; `study run` goes on with it."""
    from study.backup import restore

    folder = restore(file, STUDIES, name=name)
    _say(f"{folder.name}: restored in {folder}; `study run {folder.name}` goes on with it")


# --- looking ---------------------------------------------------------------------------------------------


@app.command("list")
def list_(as_json: AsJson = False, address: Address = None) -> None:
    """The studies here: state, trials, hypervolume."""
    if address is not None:
        _relay(address, ["list", *_flag("--json", as_json)])
        return
    from study import progress
    from study.database import DATABASE_ERRORS, studies
    from study.ledger import Ledger

    seen: list[progress.Snapshot] = []
    for folder in studies(STUDIES):
        try:
            seen.append(progress.snapshot(Ledger.read(folder)))
        except (StudyError, *DATABASE_ERRORS) as error:  # the others are still worth a line
            print(f"{folder.name}: {_first_line(error)}", file=sys.stderr)
    if as_json:
        print(json.dumps([progress.as_dict(s) for s in seen], indent=2))
        return
    table = Table("name", "state", "spent", "trials", "front", "hypervolume", box=box.SIMPLE_HEAD)
    for s in seen:
        table.add_row(
            s.spec.name,
            s.state,
            f"{s.share:.0%}",
            str(len(s.records)),
            str(len(s.front.points)),
            f"{s.front.hypervolume:.5f}",
        )
    console.print(table if seen else f"no studies in {STUDIES}/ yet; `study run` begins one")


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="A study's name; without one, all are listed.")] = None,
    as_json: AsJson = False,
    address: Address = None,
) -> None:
    """How a study stands: trials by state, budget, front, and why trials ended early."""
    if address is not None:
        _relay(address, ["status", *([name] if name else []), *_flag("--json", as_json)])
        return
    if name is None:
        list_(as_json)
        return
    from study import progress

    seen = progress.snapshot(_ledger(name))
    if as_json:
        print(json.dumps(progress.as_dict(seen), indent=2))
        return
    _say("\n".join(progress.lines(seen)))
    _say(f"{seen.state}: {seen.reason}")
    _show_front(seen)
    for record in seen.records.values():
        if record.state in ("stopped", "failed"):
            _say(f"trial {record.trial} {record.state}: {record.reason}")


@app.command()
def front(name: Name, as_json: AsJson = False) -> None:
    """The front: every non-dominated point, with its configuration and its epochs."""
    from study import progress

    seen = progress.snapshot(_ledger(name))
    if as_json:
        print(json.dumps(progress.as_dict(seen)["front"], indent=2))
    else:
        _show_front(seen)


@app.command()
def pick(
    name: Name,
    knee: Annotated[bool, typer.Option("--knee", help="Where the front bulges most.")] = False,
    max_mse: Annotated[
        float | None, typer.Option(metavar="X", help="The best ranking with MSE up to X.")
    ] = None,
    min_mrr: Annotated[
        float | None, typer.Option(metavar="X", help="The other objective's best with MRR from X on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One point of the front: its configuration, and its model, for use without torch."""
    from rich.progress import track

    from study import pick

    errors = Console(stderr=True)
    show = partial(
        track, description="training", console=errors, disable=not errors.is_terminal, transient=True
    )
    picked = pick.pick(_ledger(name), _folder(name), knee=knee, max_mse=max_mse, min_mrr=min_mrr, watch=show)
    if as_json:
        print(json.dumps(pick.as_dict(picked), indent=2))
    else:
        _say("\n".join(pick.lines(picked)))


@app.command()
def export(name: Name, address: Address = None) -> None:
    """Write the study's tables, front.csv and manifest.json."""
    if address is not None:
        parts = [f"{STUDIES}/{name}/{part}" for part in EXPORTED]
        _relay(address, ["export", name], files=parts, mixed=True).save(Path())
        return
    from study.export import export

    export(_ledger(name), _folder(name))
    _say(f"{_folder(name) / 'tables'}, front.csv and manifest.json written")


@app.command()
def report(
    names: Annotated[list[str], typer.Argument(help="Studies, as `study list` shows them.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the page goes; else beside the study.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON, numbers in full, instead.")
    ] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print it as Markdown, for a pull request, instead.")
    ] = False,
    address: Address = None,
) -> None:
    """Write the report of a study, or of several on one page: HTML, and its figures as SVG, PDF and PNG."""
    if [open_, as_json, as_markdown].count(True) > 1:
        raise StudyError("report: give at most one of --open, --json and --markdown")
    if as_json or as_markdown:
        if address is not None:
            _relay(address, ["report", *names, "--markdown" if as_markdown else "--json"])
            return
        made = _read(list(map(_folder, names)))
        print(made.json() if as_json else made.markdown())
        return
    page = _report(list(map(_folder, names)), out) if address is None else _fetched(names, out, address)
    if open_:
        typer.launch(page.as_uri())


# --- serving ---------------------------------------------------------------------------------------------

app.command()(commands.serve)
app.add_typer(commands.tokens, name="token")


# --- the rest --------------------------------------------------------------------------------------------


@app.command()
def data(
    source: Annotated[
        str | None, typer.Argument(help="A dataset's name, or a .csv or .parquet file.")
    ] = None,
) -> None:
    """Fetch and verify a dataset; without a name, list the known ones."""
    from trainable.data import describe, known, load

    if source is None:
        table = Table("name", "what", "cached", "terms")
        for entry in known():
            table.add_row(entry.name, entry.description, "yes" if entry.cached else "no", entry.terms)
        console.print(table)
        return
    counts = describe(load(source, split="per-user", split_seed=0))
    ratings = counts.train + counts.validation + counts.test
    _say(f"{source}: {ratings} ratings of {counts.items} items by {counts.users} users")


@app.command()
def presets() -> None:
    """The built-in specs."""
    from study.spec import presets

    for name, description in presets().items():
        _say(f"{name:8} {description}")


@app.command()
def schema() -> None:
    """The JSON schema of a spec."""
    from study.spec import StudySpec

    print(json.dumps(StudySpec.model_json_schema(), indent=2))


@app.command()
def doctor(
    spec: Annotated[str | None, typer.Argument(help="A path, a study's name, or a preset.")] = None,
    overrides: Overrides = None,
    address: Address = None,
) -> None:
    """What works on this machine, or on a cluster, and what a spec would get there."""
    from study import doctor
    from study.spec import resolve

    chosen = None if spec is None else resolve(spec, overrides or (), STUDIES)
    nodes = [] if address is None and chosen is None else doctor.offers(chosen, address)
    table = Table("what", "here" if address is None else "there", "")
    for finding in (*(doctor.findings() if address is None else ()), *doctor.offered(nodes)):
        table.add_row(finding.what, finding.found, "ok" if finding.fine else "[red]missing[/red]")
    console.print(table)
    if chosen is not None:
        _say("\n".join(doctor.gets(chosen, nodes)))


def _folder(name: str) -> Path:
    from study.database import holds_study, studies
    from study.spec import NAME

    if not NAME.fullmatch(name) or not holds_study(STUDIES / name):
        known = [folder.name for folder in studies(STUDIES)]
        raise StudyError(f"{name!r} is no study here; there are: {', '.join(known) or 'none yet'}")
    return STUDIES / name


def _ledger(name: str) -> "Ledger":
    from study.ledger import Ledger

    return Ledger.read(_folder(name))


def _report(folders: list[Path], out: Path | None = None) -> Path:
    """Export the studies and write their report, where nothing is said beside the study or the studies."""
    page = _read(folders).save(out or _beside([folder.name for folder in folders])).absolute()
    _say(f"report: {page}")
    return page


def _beside(names: list[str]) -> Path:
    """The folder of a report. Of several studies no study can have its name: A+B, or of many A+B+C+5-more."""
    if len(names) == 1:
        return STUDIES / names[0] / "report"
    more = [f"{len(names) - MOST_NAMED}-more"] if names[MOST_NAMED:] else []
    return STUDIES / "+".join([*names[:MOST_NAMED], *more])


def _fetched(names: list[str], out: Path | None, address: str) -> Path:
    """The page of a report that a cluster's head has made, fetched with its figures."""
    there = _beside(names)
    answer = _relay(address, ["report", *names], files=[there.as_posix()], quiet=True, mixed=out is None)
    answer.save(out or there, below=there)
    page = ((out or there) / "index.html").absolute()
    _say(f"report: {page}")
    return page


def _relay(
    address: str,
    arguments: list[str],
    *,
    files: "Sequence[str]" = (),
    quiet: bool = False,
    mixed: bool = False,
) -> "Answer":
    """The answer of a cluster's head to a command, said here; `mixed` where files come among ours."""
    from study import relay

    _, *names = [word for word in arguments if not word.startswith("--")]
    if mixed:
        relay.refuse_mixing(names, STUDIES)
    answer = relay.ask(address, arguments, study=names[0] if names else None, files=files, quiet=quiet)
    _exit(answer.code)
    return answer


def _flag(word: str, given: bool) -> list[str]:
    return [word] if given else []


def _exit(code: int) -> None:
    if code:
        raise typer.Exit(code)


def _read(folders: list[Path]) -> "Report":
    """Export the studies and make their report."""
    from analysis import report
    from study.export import export
    from study.ledger import Ledger

    for folder in folders:
        export(Ledger.read(folder), folder)
    return report.read(folders[0]) if len(folders) == 1 else report.read_several(folders)


def _show_front(seen: "Snapshot") -> None:
    from study.progress import front_table

    console.print(front_table(seen) if seen.front.points else "The front is empty: nothing is measured yet.")


def _say(text: str) -> None:
    """A line as it is: not wrapped, not coloured, brackets and all."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _refuse(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _database_errors() -> tuple[type[Exception], ...]:
    """Asked for only when something was raised: the ledger takes a second to import."""
    from study.database import DATABASE_ERRORS

    return DATABASE_ERRORS
