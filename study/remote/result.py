"""A command's output and files on another machine, packed as text that survives a log.

There, `python -m study.remote.result --study=NAME --take=FILE FILE … -- COMMAND …` runs `study COMMAND …`
in the home of the study NAME and prints its packed answer with the named files and folders; it removes the
files of `--take`. Here `unpacked` finds the answer in the log, between any other lines.
"""

import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from base64 import b64decode, encodebytes
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from study.remote import homes
from trainable.contract import StudyError
from trainable.disk import write_atomically

FETCHED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.(parquet|csv|json|html|svg|pdf|png)")
"""File names of a study's tables and report."""

MOST_RESULT_BYTES = 2**30
"""Largest total size of an unpacked answer."""

BEGIN, END = "--- a study's answer begins", "--- a study's answer ends"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """A command's exit code, its output, and the files it left, by path relative to where it ran."""

    code: int
    out: str
    err: str
    files: Mapping[str, bytes]

    def only(self, asked: Collection[str]) -> "CommandResult":
        """The answer with only the `asked` files, and the tables, figures and pages of `asked` folders.

        Hidden, executable and other files of a folder are dropped.
        """

        def wanted(name: str) -> bool:
            folder, _, file = name.rpartition("/")
            return name in asked or (folder in asked and FETCHED.fullmatch(file) is not None)

        return replace(self, files={n: content for n, content in self.files.items() if wanted(n)})

    def save(self, folder: Path, *, below: Path = Path()) -> None:
        """Write the files that lay in `below` there into `folder`, each whole.

        StudyError, before any is written, if one would lie elsewhere, also through a symbolic link.
        """
        places = {}
        for name, content in self.files.items():
            inside = PurePosixPath(name)
            if inside.is_absolute() or ".." in inside.parts or not inside.is_relative_to(below.as_posix()):
                raise StudyError(
                    f"{name!r}: the cluster sent a file for a path outside {folder}; no file was saved"
                )
            inside = inside.relative_to(below.as_posix())
            for link in (folder / step for step in (inside, *inside.parents)):
                if link != folder and link.is_symlink():
                    raise StudyError(f"{link}: is a symbolic link; a cluster's files are not written there")
            places[folder / inside] = content
        for place, content in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, content)


def packed(answer: CommandResult) -> str:
    """The answer as text, between two lines with its sha256."""
    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr("code", str(answer.code))
        archive.writestr("out", answer.out)
        archive.writestr("err", answer.err)
        for name, content in answer.files.items():
            archive.writestr(f"files/{name}", content)
    mark = sha256(file.getvalue()).hexdigest()
    return f"{BEGIN} {mark}\n{encodebytes(file.getvalue()).decode()}{END} {mark}\n"


def unpacked(log: str) -> CommandResult | None:
    """The answer in a log; None if there is none, or it is incomplete or malformed."""
    _, begin, rest = log.partition(f"{BEGIN} ")
    mark, _, rest = rest.partition("\n")
    text, end, _ = rest.partition(f"{END} {mark}")
    if not begin or not end:
        return None
    try:
        content = b64decode(text)
        if sha256(content).hexdigest() != mark:
            return None
        with ZipFile(BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_RESULT_BYTES:
                return None
            parts = {name: archive.read(name) for name in archive.namelist()}
        return CommandResult(
            code=int(parts["code"]),
            out=parts["out"].decode(),
            err=parts["err"].decode(),
            files={
                name.removeprefix("files/"): part for name, part in parts.items() if name.startswith("files/")
            },
        )
    except (ValueError, KeyError, BadZipFile):
        return None


def answered(arguments: Iterable[str], files: Iterable[str]) -> CommandResult:
    """Run `study` with `arguments` here; return its answer, with those of `files` that exist then."""
    command = [sys.executable, "-P", "-m", "study", *arguments]
    done = subprocess.run(  # noqa: S603  (no shell)
        command, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    return CommandResult(done.returncode, done.stdout, done.stderr, dict(_contents(files)))


def _contents(names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        top = Path(name)
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                yield path.as_posix(), path.read_bytes()


def main(words: Sequence[str]) -> None:
    """Run a command and print its packed answer: see the module's docstring."""
    parser, split = ArgumentParser(), words.index("--")
    parser.add_argument("--study", default="")
    parser.add_argument("--take", action="append", default=[])
    parser.add_argument("files", nargs="*")
    asked = parser.parse_args(words[:split])
    if asked.study:
        os.chdir(homes.of(asked.study))
    try:
        answer = answered(words[split + 1 :], [*asked.files, *asked.take])
    finally:
        for file in asked.take:
            Path(file).unlink(missing_ok=True)
    print(packed(answer), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
