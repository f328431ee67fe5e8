"""What a command said on another machine, and the files it left, as text that survives a log.

There, `python -m study.answer FILE … -- COMMAND …` runs `study COMMAND …` and prints its answer packed, with
the named files and folders; here `unpacked` finds it in the log, whatever else is in it.
"""

import subprocess
import sys
from base64 import b64decode, encodebytes
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZipFile

from trainable.contract import StudyError

BEGIN, END = "--- a study's answer begins", "--- a study's answer ends"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended, what it said, and the files it left, by their path from where it ran."""

    code: int
    out: str
    err: str
    files: Mapping[str, bytes]

    def save(self, folder: Path, *, below: Path = Path()) -> None:
        """Write the files that lay in `below` there into `folder`; StudyError for any that would not."""
        for name in self.files:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise StudyError(
                    f"{name!r}: a cluster sent a file for a place outside {folder}; none is kept"
                )
        for name, content in self.files.items():
            place = folder / PurePosixPath(name).relative_to(below.as_posix())
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


def packed(answer: Answer) -> str:
    """The answer between two lines that hold its sha256."""
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr("code", str(answer.code))
        archive.writestr("out", answer.out)
        archive.writestr("err", answer.err)
        for name, content in answer.files.items():
            archive.writestr(f"files/{name}", content)
    mark = sha256(file.getvalue()).hexdigest()
    return f"{BEGIN} {mark}\n{encodebytes(file.getvalue()).decode()}{END} {mark}\n"


def unpacked(log: str) -> Answer | None:
    """The answer in a log; None where there is none, or not whole."""
    _, begin, rest = log.partition(f"{BEGIN} ")
    mark, _, rest = rest.partition("\n")
    text, end, _ = rest.partition(f"{END} {mark}")
    if not begin or not end:
        return None
    content = b64decode(text)
    if sha256(content).hexdigest() != mark:
        return None
    with ZipFile(BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return Answer(
        code=int(parts["code"]),
        out=parts["out"].decode(),
        err=parts["err"].decode(),
        files={
            name.removeprefix("files/"): part for name, part in parts.items() if name.startswith("files/")
        },
    )


def answered(arguments: Iterable[str], files: Iterable[str]) -> Answer:
    """The answer of `study` with `arguments`, run here, and of `files` what is there then."""
    command = [sys.executable, "-P", "-m", "study", *arguments]
    done = subprocess.run(  # noqa: S603  (no shell)
        command, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    return Answer(done.returncode, done.stdout, done.stderr, dict(_contents(files)))


def _contents(names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        top = Path(name)
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                yield path.as_posix(), path.read_bytes()


if __name__ == "__main__":
    split = sys.argv.index("--")
    print(packed(answered(sys.argv[split + 1 :], sys.argv[1:split])), end="")
