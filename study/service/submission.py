"""What may be posted: a spec as JSON or TOML, checked by the model that every spec is, and by what a server
lets others name on its disks and in its network.
"""

from contextlib import closing
from pathlib import Path

from study.loop.budget import complete, done
from study.record.ledger import Ledger
from study.service.cache import POSTED, Look, Shelf
from study.spec import SpecError, StudySpec
from study.spec.sections import Runtime, is_file
from trainable import disk
from trainable.contract import StudyError

JSON, TOML = "application/json", "application/toml"
WHERE = "the request"
OPERATORS = ("address", "home", "storage_path")
"""Keys of [runtime] that are for whoever runs the service to say."""


class TakenError(StudyError):
    """There is a study of this name that asks another question."""


def parsed(body: bytes, kind: str, *, data: Path | None) -> StudySpec:
    """The spec in a request's body. SpecError where it is not valid, or names what it may not.

    A data file is allowed inside the folder `data` only: a server's disk is not its users'. A database is
    named by "env:NAME" only, for whoever posts a URL would have the server knock at any door.
    """
    if kind == JSON:
        spec = StudySpec.from_json(body, where=WHERE, folder=data)
    else:
        spec = StudySpec.from_text(_text(body), where=WHERE, folder=data)
    if is_file(spec.data.source):
        _inside(Path(spec.data.source), data)
    if spec.storage.url is not None and not spec.storage.url.startswith("env:"):
        raise SpecError(
            "storage.url: a posted spec may not name a database by its URL; write 'env:NAME', the variable "
            "on the server that holds it, or leave it out"
        )
    for key in OPERATORS:
        if getattr(spec.runtime, key) != Runtime.model_fields[key].default:
            raise SpecError(f"runtime.{key}: is for whoever runs the service to say; leave it out")
    return spec


def put(shelf: Shelf, spec: StudySpec) -> bool:
    """Keep a spec as a study that waits for its first run; whether it is new. One that is here stays so.

    Of two that post one name at the same moment one makes it and the other finds it, whatever instance they
    ask. TakenError where the study under this name has another fingerprint.
    """
    folder = shelf.home / spec.name
    if not shelf.holds(spec.name):
        folder.mkdir(parents=True, exist_ok=True)
        if _linked(folder / POSTED, spec.as_toml()):
            return True
    known: Look = shelf.look(spec.name)
    if known.spec.fingerprint != spec.fingerprint:
        changes = "; ".join(known.spec.differences(spec))
        raise TakenError(
            f"name: {spec.name!r} is a study with another spec ({changes}); give this one another name"
        )
    return False


def replace(folder: Path, spec: StudySpec) -> None:
    """Keep another spec of a study that waits for its first run."""
    disk.put(folder / POSTED, spec.as_toml().encode())


def left(folder: Path, spec: StudySpec) -> bool:
    """Whether a run of `spec` would have anything to do in the study on record."""
    with closing(Ledger.read(folder)) as ledger:
        ledger.spec = spec
        asked = spec.confirm is not None
        return done(complete(ledger), ledger.confirmation(), asked=asked) is None


def driven_since(folder: Path, at: float) -> bool:
    """Whether the last run of the study on record began after that, in seconds since 1970, and has ended."""
    with closing(Ledger.read(folder)) as ledger:
        return any(run.started >= at and run.ended is not None for run in ledger.runs()[-1:])


def ask_to_stop(folder: Path) -> bool:
    """Ask whoever drives the study to stop; whether somebody does."""
    with closing(Ledger.read(folder)) as ledger:
        return any(ledger.request_stop(run.run) for run in ledger.runs() if run.alive)


def _linked(path: Path, text: str) -> bool:
    """Whether the file was made, whole, with this text; False where there is one."""
    with disk.beside(path, text.encode()) as made:
        try:
            path.hardlink_to(made)
        except FileExistsError:
            return False
    return True


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise SpecError(f"{WHERE}: is not UTF-8 text") from error


def _inside(source: Path, data: Path | None) -> None:
    if data is None:
        raise SpecError(
            "data.source: this service takes no data files; use a dataset's name, or have it started with "
            "`study serve --data FOLDER`"
        )
    if not source.resolve().is_relative_to(data.resolve()):
        raise SpecError("data.source: lies outside the folder for data of this service; name a file in it")
