"""Posted specs: parse them, check what they name on the server, and store them."""

from contextlib import closing
from pathlib import Path

from study.loop.budget import complete, done
from study.record.ledger import Ledger
from study.service.accept import JSON
from study.service.cache import POSTED, Look, StudyCache
from study.spec import SpecError, StudySpec
from study.spec.sections import Runtime, is_file
from trainable import disk
from trainable.contract import StudyError

WHERE = "the request"
OPERATORS = ("address", "home", "storage_path")
"""Keys of [runtime] that a posted spec may not set."""


class NameTakenError(StudyError):
    """The study of this name asks another question."""


def parsed(body: bytes, kind: str, *, data: Path | None) -> StudySpec:
    """The spec in a request's body. SpecError if it is invalid, or names a forbidden resource.

    Data files must be inside the folder `data`, because clients must not read the server's disk. A database
    must be "env:NAME": a URL would let clients make the server connect anywhere.
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
            raise SpecError(f"runtime.{key}: only the operator of the service may set it; leave it out")
    return spec


def add_study(cache: StudyCache, spec: StudySpec) -> bool:
    """Store a posted spec unless its study exists; True if it is new.

    Of two concurrent posts of one name, at any instances, one stores it and the other finds it.
    NameTakenError if the study of this name has another fingerprint.
    """
    folder = cache.home / spec.name
    if not cache.holds(spec.name):
        folder.mkdir(parents=True, exist_ok=True)
        if _linked(folder / POSTED, spec.as_toml()):
            return True
    known: Look = cache.look(spec.name)
    if known.spec.fingerprint != spec.fingerprint:
        changes = "; ".join(known.spec.differences(spec))
        raise NameTakenError(
            f"name: {spec.name!r} is a study with another spec ({changes}); give this one another name"
        )
    return False


def left(folder: Path, spec: StudySpec) -> bool:
    """True if a run of `spec` would have anything to do in the study on record."""
    with closing(Ledger.read(folder)) as ledger:
        ledger.spec = spec
        asked = spec.confirm is not None or ledger.confirming
        return done(complete(ledger), ledger.confirmation(), asked=asked) is None


def driven_since(folder: Path, at: float) -> bool:
    """True if the last run on record started after `at`, in seconds since 1970, and has ended."""
    with closing(Ledger.read(folder)) as ledger:
        return any(run.started >= at and run.ended is not None for run in ledger.runs()[-1:])


def ask_to_stop(folder: Path) -> bool:
    """Request a stop of the study's live run; False if there is none."""
    with closing(Ledger.read(folder)) as ledger:
        return any(ledger.request_stop(run.run) for run in ledger.runs() if run.alive)


def _linked(path: Path, text: str) -> bool:
    """Create the file atomically with this text; False if it exists."""
    with disk.temporary_file(path, text.encode()) as made:
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
            "data.source: this service takes no data files; use a dataset's name, or start the service with "
            "`study serve --data FOLDER`"
        )
    if not source.resolve().is_relative_to(data.resolve()):
        raise SpecError("data.source: is outside the data folder of this service; name a file in it")
