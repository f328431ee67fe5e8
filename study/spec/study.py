"""StudySpec: the configuration of a study, read from TOML. Errors name value, alternatives and line.

Every value of a configuration has one origin: `[space]` for the weight, the sharing and all else that it
names, `[train]` for the rest. Importing this module imports neither Optuna, torch nor Ray.
"""

import json
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import AfterValidator, Field, ValidationError, model_validator

from study.spec.domains import Form, Part, Range, allows, largest
from study.spec.sections import (
    EVEN,
    Budget,
    Confirm,
    Data,
    Runtime,
    Search,
    Space,
    Stopping,
    Storage,
    Train,
    is_file,
)
from study.spec.toml_errors import MisplacedError, SpecError, SpecText
from trainable.contract import Metric
from trainable.disk import irregular

__all__ = ["Part", "SpecError", "StudySpec", "presets", "resolve"]

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
FINGERPRINTED = ("objectives", "data", "train", "space", "search", "stopping")
"""Sections that the fingerprint covers; the budget may grow, and the runtime may change."""

LATER: tuple[tuple[str, Any], ...] = (("train.average", 0.0), ("train.negatives", "all"))
"""Values that the fingerprint leaves out: keys that came later, at the value that earlier specs mean."""

SEARCHABLE = tuple(Space.model_fields)
MOST_OF_A_GRID = 100_000

_PRESETS = files("study") / "spec" / "presets"


def study_name(name: str) -> str:
    """`name` itself. ValueError if it cannot name a study."""
    if not NAME.fullmatch(name) or name.endswith(".toml"):
        raise ValueError(
            f"{name!r} cannot be a study's name; use up to 64 letters, digits, '.', '_' and '-', "
            "the first no '.' or '-', the end no '.toml'"
        )
    return name


def _different(objectives: tuple[Metric, Metric]) -> tuple[Metric, Metric]:
    if objectives[0] == objectives[1]:
        raise ValueError(f"{objectives[0]!r} is named twice; name two different metrics")
    return objectives


class StudySpec(Part):
    """Configuration of a study, immutable: objectives, data, training, search, budget and runtime.

    Read one with `load`, `from_text` or `preset`. Invalid values raise SpecError, with a line for each.
    """

    name: Annotated[str, AfterValidator(study_name)]
    """The study's name, and its folder's."""
    objectives: Annotated[tuple[Metric, Metric], Field(strict=False), AfterValidator(_different)] = (
        "mrr",
        "mse",
    )
    """Two metrics to optimise; all three are always measured."""
    data: Data
    train: Train = Train()
    space: Space = Space()
    search: Search = Search()
    stopping: Stopping = Stopping()
    budget: Budget
    confirm: Confirm | None = None
    """By default a study ends with its search; `study confirm` may follow."""
    storage: Storage = Storage()
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _initial_in_space(self) -> "StudySpec":
        for index, initial in enumerate(self.search.initial):
            for key, value in initial.model_dump(exclude_none=True).items():
                if key == "weight" and initial.sharing == "none":
                    continue
                if not allows(form := self.form(key), value):
                    raise MisplacedError(
                        ("search", "initial", index, key), f"{value!r} is outside the space, {_inline(form)}"
                    )
        return self

    @model_validator(mode="after")
    def _sampler_fits_space(self) -> "StudySpec":
        sampler, explore = self.search.sampler, self.search.explore
        if explore and sampler in EVEN:
            raise MisplacedError(
                ("search", "explore"),
                f"{explore} is not possible with sampler = {_inline(sampler)}, which covers the space evenly "
                "by itself; use 0, or leave it out",
            )
        for key in SEARCHABLE if sampler == "grid" else ():
            unused = key == "weight" and self.form("sharing") in ("none", ("none",))
            if isinstance(form := self.form(key), Range) and not unused:
                raise MisplacedError(
                    ("space", key),
                    f'{_inline(form)} is a range, which sampler = "grid" cannot use; '
                    "write a list of values, or one value",
                )
        if sampler == "grid" and (size := self._grid_size()) > MOST_OF_A_GRID:
            raise MisplacedError(
                ("space",),
                f"{size:,} configurations are too many for a grid, which tries every one; use "
                f'lists that make at most {MOST_OF_A_GRID:,}, or sampler = "random"',
            )
        return self

    @model_validator(mode="after")
    def _rungs_reached(self) -> "StudySpec":
        first, every, longest = (
            self.stopping.min_epochs,
            self.train.evaluate_every,
            largest(self.form("epochs")),
        )
        if self.stopping.rule == "never":
            return self
        if first % every:
            raise MisplacedError(
                ("stopping", "min_epochs"),
                f"{first} is not a multiple of train.evaluate_every, {every}, so nothing is measured there",
            )
        if first >= longest:
            raise MisplacedError(
                ("stopping", "min_epochs"),
                f"{first} leaves no trial to stop, because none trains longer than {longest} epochs; use "
                'less, train.epochs above it, or rule = "never"',
            )
        return self

    def _grid_size(self) -> int:
        """Number of distinct configurations of the lists in `[space]`. Without sharing there is no weight."""
        choices = {key: form if isinstance(form := self.form(key), tuple) else (form,) for key in SEARCHABLE}
        weights, sharings = len(choices.pop("weight")), choices.pop("sharing")
        shared = len(sharings) - ("none" in sharings)
        return (shared * weights + len(sharings) - shared) * prod(map(len, choices.values()))

    def form(self, key: str) -> Form:
        """The domain of `key`: that of `[space]`, else the one value of `[train]`."""
        searched: Form | None = getattr(self.space, key)
        return getattr(self.train, key) if searched is None else searched

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> "StudySpec":
        """Load the TOML file `path` and apply `overrides`. SpecError if it cannot be read or is invalid."""
        path = Path(path)
        text = text_of(path)
        return cls.from_text(text, where=str(path), overrides=overrides, folder=path.parent)

    @classmethod
    def from_text(
        cls, text: str, *, where: str, overrides: Sequence[str] = (), folder: Path | None = None
    ) -> "StudySpec":
        """Parse a TOML text and apply each `section.key=value` of `overrides`.

        A relative data file in the text is relative to `folder`, one in an override to the working folder;
        the spec has its absolute path. SpecError, with a line for each mistake and its place in `where`.
        """
        given = SpecText.parse(text, where=where)
        _anchor(given.values, folder or Path.cwd())
        given = given.override(overrides)
        _anchor(given.values, Path.cwd())
        return cls._checked(given)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str, folder: Path | None = None) -> "StudySpec":
        """Parse a JSON text, which has the keys of the TOML. A relative data file is relative to `folder`.

        SpecError, with a line for each mistake.
        """
        given = SpecText.parse_json(text, where=where)
        _anchor(given.values, folder or Path.cwd())
        return cls._checked(given)

    @classmethod
    def _checked(cls, given: SpecText) -> "StudySpec":
        try:
            return cls.model_validate(given.values)
        except ValidationError as error:
            raise given.error(error, cls) from None  # pydantic's text shows every value, secrets too

    @classmethod
    def preset(cls, name: str, overrides: Sequence[str] = ()) -> "StudySpec":
        """Load the preset `name` and apply `overrides`. SpecError if it is unknown or invalid."""
        if name not in presets():
            raise SpecError(f"preset: {name!r} is not known; use {', '.join(presets())}")
        text = (_PRESETS / f"{name}.toml").read_text(encoding="utf-8")
        return cls.from_text(text, where=f"preset {name}", overrides=overrides)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits: a hash of objectives, data, train, space, search and stopping.

        A data file counts by its name: it may move, and its content is checked when it is read.
        """
        values = {key: value for key, value in self._question() if (key, value) not in LATER}
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return sha256(canonical.encode()).hexdigest()[:16]

    def differences(self, other: "StudySpec") -> list[str]:
        """Values under the fingerprint that differ in `other`, as "train.epochs: 20 → 40"."""
        mine, theirs = dict(self._question()), dict(other._question())
        return [
            f"{key}: {_inline(mine.get(key))} → {_inline(theirs.get(key))}"
            for key in dict.fromkeys([*mine, *theirs])
            if mine.get(key) != theirs.get(key)
        ]

    def as_toml(self) -> str:
        """The spec as TOML, with every default; `from_text` reads an equal spec from it."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def _question(self) -> Iterator[tuple[str, Any]]:
        values = self.model_dump(mode="json", include=set(FINGERPRINTED), exclude_none=True)
        if is_file(self.data.source):
            values["data"]["source"] = Path(self.data.source).name
        for name in FINGERPRINTED:
            if isinstance(values[name], dict):
                yield from ((f"{name}.{key}", value) for key, value in values[name].items())
            else:
                yield name, values[name]


def text_of(path: Path) -> str:
    """Read the file of a spec. SpecError if it cannot be read."""
    try:
        if (kind := irregular(path)) is not None:
            raise SpecError(f"{path}: cannot be read as a spec: it is {kind}; give a file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SpecError(f"{path}: cannot be read as a spec: {reason}") from error


def presets() -> dict[str, str]:
    """Presets: name → description."""
    texts = {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in _PRESETS.iterdir()
        if entry.name.endswith(".toml")
    }
    return {name: texts[name].partition("\n")[0].lstrip("# ") for name in sorted(texts)}


def resolve(name: str, overrides: Sequence[str], studies: Path) -> StudySpec:
    """Find the spec that `name` refers to: a path, a study in the folder `studies`, or a preset.

    A name with "/" or ".toml" is a path. SpecError if nothing is found.
    """
    if "/" in name or name.endswith(".toml"):
        return StudySpec.load(name, overrides)
    if NAME.fullmatch(name) and (stored := studies / name / "study.toml").is_file():
        if (spec := StudySpec.load(stored)).name != name:
            raise SpecError(
                f"{stored}: is the spec of {spec.name!r}, so its folder is a copy or was renamed; call the "
                f"folder {spec.name}, or begin another study: `study run {stored} --set name={name}-2`"
            )
        return StudySpec.load(stored, overrides)
    if name in presets():
        return StudySpec.preset(name, overrides)
    known = sorted(path.parent.name for path in studies.glob("*/study.toml"))
    raise SpecError(
        f"{name!r} is not known; use a path with '/' or '.toml', a study ({', '.join(known) or 'none yet'}), "
        f"or a preset ({', '.join(presets())})"
    )


def _anchor(values: dict[str, Any], folder: Path) -> None:
    """Make the path of a data file in `values` absolute; it is relative to `folder`."""
    data = values.get("data")
    if isinstance(data, dict) and isinstance(source := data.get("source"), str) and is_file(source):
        data["source"] = str((folder / source).absolute())


def _inline(value: Any) -> str:
    """A value on one line, as JSON."""
    return json.dumps(value.model_dump(mode="json") if isinstance(value, Part) else value, ensure_ascii=False)
