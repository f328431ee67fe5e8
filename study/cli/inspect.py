"""The commands list, status, logs, front and pick."""

import json
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from study import limits
from study.cli import completion, local, remote
from study.cli.arguments import Address, AsJsonOption, NameArgument
from study.cli.terminal import MOST_LISTED, add_row, complain, console, say, show_front
from trainable.contract import StudyError, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from study.record.reader import Reader
    from study.status.snapshot import Snapshot


def list_(
    as_json: AsJsonOption = False,
    homes: Annotated[bool, typer.Option("--homes", help="On a head: list the studies of all homes.")] = False,
    address: Address = None,
) -> None:
    """List the studies: state, trials, hypervolume, stage."""
    if address is not None:
        remote.ask(address, ["list", "--homes", *remote.flag("--json", as_json)])
        return
    from study.record.backends.backend import DatabaseAwayError
    from study.record.location import DATABASE_ERRORS, studies
    from study.record.reader import Reader
    from study.record.version_tokens import VersionTokens
    from study.status import snapshot

    seen: list[snapshot.Snapshot] = []
    lie_in: list[str] = []
    folders = [folder for home in local.homes(every=homes) for folder in studies(home / local.STUDIES_FOLDER)]
    with closing(VersionTokens()) as versions:
        answers = versions.all(folders)
    for folder in folders:
        try:
            if isinstance(away := answers[folder], DatabaseAwayError):  # already asked, for the token
                raise away
            with closing(Reader.read(folder)) as record:
                seen.append(snapshot.snapshot(record))
            lie_in.append(str(folder.parent.parent.absolute()))
        except (StudyError, *DATABASE_ERRORS) as error:  # list the other studies
            complain(f"{folder.name}: {first_line(error)}")
    if as_json:
        more = [{"home": home} if homes else {} for home in lie_in]
        print(json.dumps([snapshot.as_dict(s) | m for s, m in zip(seen, more, strict=True)], indent=2))
        return
    console.print(
        _listed(seen, lie_in)
        if seen
        else f"no studies in {local.STUDIES_FOLDER}/ yet; `study run SPEC` starts one"
    )


def _listed(seen: "Sequence[Snapshot]", lie_in: "Sequence[str]") -> Table:
    """A table of these studies; with the home of each, if there are several homes."""
    from analysis.objective import written

    table = Table("name", "state", "spent", "trials", "front", "hypervolume", "stage", box=box.SIMPLE_HEAD)
    if shown := len(set(lie_in)) > 1:
        table.add_column("home", overflow="fold")
    for s, home in zip(seen, lie_in, strict=True):
        add_row(
            table,
            s.spec.name,
            s.state,
            f"{s.share:.0%}",
            str(len(s.trials)),
            str(len(s.front.points)),
            written(s.front.hypervolume, 5),
            "" if s.stage is None else s.stage.words,
            *([home] if shown else []),
        )
    return table


def status(
    name: Annotated[
        str | None,
        typer.Argument(help="Name of a study. Default: list all studies.", autocompletion=completion.studies),
    ] = None,
    as_json: AsJsonOption = False,
    address: Address = None,
) -> None:
    """Show a study's state, trials, budget and front, and why trials ended early."""
    if name is None:
        list_(as_json, address=address)
        return
    if address is not None:
        remote.ask(address, ["status", name, *remote.flag("--json", as_json)])
        return
    from study.printable import printable
    from study.status import snapshot, text

    with local.record(name) as record:
        seen = snapshot.snapshot(record)
    if as_json:
        print(json.dumps(snapshot.as_dict(seen), indent=2))
        return
    say("\n".join(text.lines(seen)))
    say(printable(text.state_line(seen)))
    show_front(seen, most=MOST_LISTED)
    early = [n for n, trial in seen.trials.items() if trial.state in ("failed", "stopped")]
    early.sort(key=lambda n: (seen.trials[n].state, -n))  # failed first, then latest first
    for number in early[:MOST_LISTED]:
        say(printable(f"trial {number} {seen.trials[number].state}: {seen.trials[number].reason}"))
    if len(early) > MOST_LISTED:
        say(f"and {len(early) - MOST_LISTED} more that ended early; `study export {name}` writes them all")


def logs(
    name: NameArgument,
    follow: Annotated[bool, typer.Option("--follow", help="Print new events until the run ends.")] = False,
    as_json: AsJsonOption = False,
    address: Address = None,
) -> None:
    """Print a study's events, one a line: lanes, asks, leases, retries and ends of trials."""
    if address is not None:
        if follow:
            raise StudyError(
                "logs: --follow works only on the machine that writes the log; leave out --follow or "
                "--address, or use `study submit SPEC --address URL` to follow a study there"
            )
        remote.ask(address, ["logs", name, *remote.flag("--json", as_json)])
        return
    from study.loop.events import LOG_FILE
    from study.printable import printable
    from study.status import logs

    folder, show = local.folder(name), printable if as_json else logs.in_words
    if not follow and not (folder / LOG_FILE).exists():
        complain(f"{name}: has no log yet; a run writes it")
    with local.record(name) if follow else nullcontext() as record:
        for line in logs.lines(folder, over=lambda: record is None or _over(record)):
            print(show(line), flush=follow)
    if follow and not as_json:
        say(f"{name}: its run has ended; see `study status {name}`")


def _over(record: "Reader") -> bool:
    """True if the study has had a run, and none is alive."""
    runs = record.runs()
    return bool(runs) and not runs[-1].alive


def front(
    name: NameArgument,
    as_json: AsJsonOption = False,
    every: Annotated[bool, typer.Option("--all", help="Show all points.")] = False,
    address: Address = None,
) -> None:
    """Show the front: configurations, epochs, test values; a large front is thinned to 25 points."""
    if address is not None:
        remote.ask(address, ["front", name, *remote.flag("--json", as_json), *remote.flag("--all", every)])
        return
    from study.status import snapshot, text

    with local.record(name) as record:
        seen = snapshot.front_snapshot(record)
    if as_json:
        print(json.dumps(snapshot.front_as_dicts(seen), indent=2))
    else:
        show_front(seen, most=None if every else MOST_LISTED)
        for line in text.found_later(seen):
            say(line)


def pick(
    name: NameArgument,
    knee: Annotated[bool, typer.Option("--knee", help="The knee of the front.")] = False,
    max_mse: Annotated[
        float | None, typer.Option(metavar="X", help="Highest MRR among points with MSE <= X.")
    ] = None,
    min_mrr: Annotated[
        float | None, typer.Option(metavar="X", help="Lowest MSE among points with MRR >= X.")
    ] = None,
    as_json: AsJsonOption = False,
    address: Address = None,
) -> None:
    """Choose a point of the front and export its model, for use without torch."""
    if address is not None:
        bounds = {"--max-mse": max_mse, "--min-mrr": min_mrr}
        words = [f"{option}={bound!r}" for option, bound in bounds.items() if bound is not None]
        _pick_there(name, [*remote.flag("--knee", knee), *words], address, as_json=as_json)
        return
    limits.check()
    from rich.progress import track

    from study.results import pick

    errors = Console(stderr=True)
    show = partial(
        track, description="training", console=errors, disable=not errors.is_terminal, transient=True
    )
    bounds = {"max_mse": max_mse, "min_mrr": min_mrr}
    with local.record(name) as record:
        picked = pick.pick(record, local.folder(name), knee=knee, **bounds, watch=show)
    if as_json:
        print(json.dumps(pick.as_dict(picked), indent=2))
    else:
        say("\n".join(pick.lines(picked)))


def _pick_there(name: str, which: list[str], address: str, *, as_json: bool) -> None:
    """Pick a point on a cluster's head, train its model there, and fetch it."""
    from study.record.location import MODELS_FOLDER
    from trainable.artifact import MODEL_FILES

    command = ["pick", name, *which]
    picked = json.loads(remote.ask(address, [*command, "--json"], quiet=True, mixed=True).out)
    folder = f"{local.STUDIES_FOLDER}/{name}/{MODELS_FOLDER}/{int(picked['trial'])}-{int(picked['epoch'])}"
    files = [f"{folder}/{file}" for file in MODEL_FILES]
    answer = remote.ask(address, [*command, *remote.flag("--json", as_json)], files=files)
    if set(answer.files) != set(files):
        raise StudyError(f"{name}: its front changed in the meantime, so no model was sent; pick again")
    answer.save(Path())
