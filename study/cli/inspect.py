"""Looking at studies: list, status, logs, front, pick."""

import json
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from study import limits
from study.cli import completion, local, remote
from study.cli.arguments import Address, AsJson, Name
from study.cli.terminal import SHOWN, add_row, complain, console, first_line, say, show_front
from trainable.contract import StudyError

if TYPE_CHECKING:
    from study.record.reader import Reader


def list_(
    as_json: AsJson = False,
    homes: Annotated[
        bool, typer.Option("--homes", help="Also those in every folder that was submitted to, on a head.")
    ] = False,
    address: Address = None,
) -> None:
    """The studies here: state, trials, hypervolume, and what each is at."""
    if address is not None:
        remote.ask(address, ["list", "--homes", *remote.flag("--json", as_json)])
        return
    from analysis.objective import written
    from study.record.location import DATABASE_ERRORS, studies
    from study.record.reader import Reader
    from study.record.sqlite import AwayError
    from study.record.version_tokens import Marks
    from study.status import snapshot

    seen: list[snapshot.Snapshot] = []
    lie_in: list[str] = []
    folders = [folder for home in local.homes(every=homes) for folder in studies(home / local.STUDIES)]
    with closing(Marks()) as marks:
        answers = marks.all(folders)
    for folder in folders:
        try:
            if isinstance(away := answers[folder], AwayError):  # it was asked once
                raise away
            seen.append(snapshot.snapshot(Reader.read(folder)))
            lie_in.append(str(folder.parent.parent.absolute()))
        except (StudyError, *DATABASE_ERRORS) as error:  # the others are still worth a line
            complain(f"{folder.name}: {first_line(error)}")
    if as_json:
        more = [{"home": home} if homes else {} for home in lie_in]
        print(json.dumps([snapshot.as_dict(s) | m for s, m in zip(seen, more, strict=True)], indent=2))
        return
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
    console.print(table if seen else f"no studies in {local.STUDIES}/ yet; `study run SPEC` begins one")


def status(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A study's name; without one, all are listed.", autocompletion=completion.studies
        ),
    ] = None,
    as_json: AsJson = False,
    address: Address = None,
) -> None:
    """How a study stands: trials by state, budget, front, and why trials ended early."""
    if name is None:
        list_(as_json, address=address)
        return
    if address is not None:
        remote.ask(address, ["status", name, *remote.flag("--json", as_json)])
        return
    from study.printable import printable
    from study.status import snapshot, text

    seen = snapshot.snapshot(local.record(name))
    if as_json:
        print(json.dumps(snapshot.as_dict(seen), indent=2))
        return
    say("\n".join(text.lines(seen)))
    say(printable(text.standing(seen)))
    show_front(seen, most=SHOWN)
    early = [n for n, trial in seen.trials.items() if trial.state in ("failed", "stopped")]
    early.sort(key=lambda n: (seen.trials[n].state, -n))  # failed ones first, and the latest
    for number in early[:SHOWN]:
        say(printable(f"trial {number} {seen.trials[number].state}: {seen.trials[number].reason}"))
    if len(early) > SHOWN:
        say(f"and {len(early) - SHOWN} more that ended early; `study export {name}` writes them all")


def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as the study does, until it ends.")] = False,
    as_json: AsJson = False,
    address: Address = None,
) -> None:
    """What happened in a study, a line an event: lanes, asks, leases, trials that went back or ended."""
    if address is not None:
        if follow:
            raise StudyError(
                "logs: --follow goes on where the log is written, and --address asks once; leave one out, or "
                "use `study submit SPEC --address URL`, which follows a study there"
            )
        remote.ask(address, ["logs", name, *remote.flag("--json", as_json)])
        return
    from study.loop.events import LOG
    from study.printable import printable
    from study.status import logs

    folder, show = local.folder(name), printable if as_json else logs.in_words
    if not follow and not (folder / LOG).exists():
        complain(f"{name}: has no log yet; a run writes it")
    over = partial(_over, local.record(name)) if follow else lambda: True
    for line in logs.lines(folder, over=over):
        print(show(line), flush=follow)
    if follow and not as_json:
        say(f"{name}: nobody runs it any more; `study status {name}` shows how it stands")


def _over(record: "Reader") -> bool:
    """Whether a study was run, and nobody runs it now."""
    runs = record.runs()
    return bool(runs) and not runs[-1].alive


def front(
    name: Name,
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Show every point, however many there are.")] = False,
    address: Address = None,
) -> None:
    """The front: its points with their configuration, epochs and test values; of many, some along it."""
    if address is not None:
        remote.ask(address, ["front", name, *remote.flag("--json", as_json), *remote.flag("--all", every)])
        return
    from study.status import snapshot, text

    seen = snapshot.snapshot(local.record(name))
    if as_json:
        print(json.dumps(snapshot.as_dict(seen)["front"], indent=2))
    else:
        show_front(seen, most=None if every else SHOWN)
        for said in text.found_later(seen):
            say(said)


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
    address: Address = None,
) -> None:
    """One point of the front: its configuration, and its model, for use without torch."""
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
    picked = pick.pick(
        local.record(name), local.folder(name), knee=knee, max_mse=max_mse, min_mrr=min_mrr, watch=show
    )
    if as_json:
        print(json.dumps(pick.as_dict(picked), indent=2))
    else:
        say("\n".join(pick.lines(picked)))


def _pick_there(name: str, which: list[str], address: str, *, as_json: bool) -> None:
    """Pick a point on a cluster's head, which trains its model there, and fetch the model."""
    from study.record.location import MODELS
    from trainable.artifact import FILES

    command = ["pick", name, *which]
    picked = json.loads(remote.ask(address, [*command, "--json"], quiet=True, mixed=True).out)
    folder = f"{local.STUDIES}/{name}/{MODELS}/{int(picked['trial'])}-{int(picked['epoch'])}"
    files = [f"{folder}/{file}" for file in FILES]
    answer = remote.ask(address, [*command, *remote.flag("--json", as_json)], files=files)
    if set(answer.files) != set(files):
        raise StudyError(f"{name}: its front has changed meanwhile, so no model came; pick again")
    answer.save(Path())
