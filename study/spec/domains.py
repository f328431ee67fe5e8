"""Search domains of a spec: a range, a list, or one value.

`{ uniform = [a, b] }`, `{ log = [a, b] }`, `{ logit = [a, b] }` and `{ int = [a, b] }` are ranges, bounds
included, in the parameter's own unit; the word names the scale on which it is uniform. A list is a choice.
One value is fixed.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from trainable.contract import Negatives, RankingLoss, Sharing

T = TypeVar("T", bound=float)
V = TypeVar("V")

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0), AfterValidator(abs)]  # abs: −0.0 is 0.0
Count = Annotated[int, Field(ge=1, lt=2**31)]
Length = Annotated[int, Field(ge=1, le=65_536)]
"""Length of a vector: each user and item has one in memory."""
Seeds = Annotated[int, Field(ge=1, le=1_000)]
"""Seeds of one configuration; its slot holds a model for each."""
MOST_CHOICES = 1_000
"""Limit of values in one list: the record of each trial repeats the list."""
Fraction = Annotated[float, Field(ge=0, le=1), AfterValidator(abs)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
BatchSize = Count | Literal["full"]


class Part(BaseModel):
    """Base of a spec's sections: frozen, without unknown keys, types exact, numbers finite."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


def _ordered(bounds: tuple[T, T]) -> tuple[T, T]:
    low, high = bounds
    if not low < high:
        raise ValueError(
            f"the lower bound {low} must be below the upper bound {high}; write one value to fix it"
        )
    return bounds


def _distinct(choices: tuple[V, ...]) -> tuple[V, ...]:
    if not choices:
        raise ValueError("an empty list has no value to choose; name at least one")
    if len(set(choices)) < len(choices):
        raise ValueError(f"{list(choices)} names a value twice; name each once")
    return choices


Bounds = Annotated[tuple[T, T], Field(strict=False), AfterValidator(_ordered)]
Choice = Annotated[
    tuple[V, ...], Field(strict=False, max_length=MOST_CHOICES), AfterValidator(_distinct), Tag("list")
]


class Range(Part):
    """Every value between two bounds, both included, in the parameter's own unit."""

    word: ClassVar[str]
    bounds: tuple[float, float]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.bounds[0] <= value <= self.bounds[1]


class Uniform(Range):
    """A real number, uniform on its own scale."""

    word = "uniform"


class UniformShare(Uniform):
    """A real number from 0 to 1, uniform on its own scale."""

    bounds: Bounds[Fraction] = Field(alias="uniform")


class UniformPositive(Uniform):
    """A real number above 0, uniform on its own scale."""

    bounds: Bounds[Positive] = Field(alias="uniform")


class UniformNonNegative(Uniform):
    """A real number of at least 0, uniform on its own scale."""

    bounds: Bounds[NonNegative] = Field(alias="uniform")


class Log(Range):
    """A real number above 0, uniform on the logarithmic scale."""

    word = "log"
    bounds: Bounds[Positive] = Field(alias="log")


class Logit(Range):
    """A real number strictly between 0 and 1, uniform on the scale of log(p / (1 − p))."""

    word = "logit"
    bounds: Bounds[OpenFraction] = Field(alias="logit")


class Whole(Range):
    """A whole number of at least 1."""

    word = "int"
    bounds: Bounds[Count] = Field(alias="int")


class WholeLength(Whole):
    """A whole number in the limits of a vector's length."""

    bounds: Bounds[Length] = Field(alias="int")


def _written_as(value: Any) -> str:
    """The form of a value of `[space]`: "list", "value", or the word of its range."""
    if isinstance(value, Range):
        return value.word
    if isinstance(value, Mapping):
        return str(next(iter(value))) if len(value) == 1 else f"table of {len(value)} keys"
    return "list" if isinstance(value, list | tuple) else "value"


FORM = Discriminator(_written_as)

SearchedShare = Annotated[
    Annotated[UniformShare, Tag("uniform")]
    | Annotated[Logit, Tag("logit")]
    | Choice[Fraction]
    | Annotated[Fraction, Tag("value")],
    FORM,
]
SearchedPositive = Annotated[
    Annotated[UniformPositive, Tag("uniform")]
    | Annotated[Log, Tag("log")]
    | Choice[Positive]
    | Annotated[Positive, Tag("value")],
    FORM,
]
SearchedNonNegative = Annotated[
    Annotated[UniformNonNegative, Tag("uniform")]
    | Annotated[Log, Tag("log")]
    | Choice[NonNegative]
    | Annotated[NonNegative, Tag("value")],
    FORM,
]
SearchedCount = Annotated[Annotated[Whole, Tag("int")] | Choice[Count] | Annotated[Count, Tag("value")], FORM]
SearchedLength = Annotated[
    Annotated[WholeLength, Tag("int")] | Choice[Length] | Annotated[Length, Tag("value")], FORM
]
SearchedBatchSize = Annotated[
    Annotated[Whole, Tag("int")] | Choice[BatchSize] | Annotated[BatchSize, Tag("value")], FORM
]
SearchedSharing = Annotated[Choice[Sharing] | Annotated[Sharing, Tag("value")], FORM]
SearchedRankingLoss = Annotated[Choice[RankingLoss] | Annotated[RankingLoss, Tag("value")], FORM]
SearchedNegatives = Annotated[Choice[Negatives] | Annotated[Negatives, Tag("value")], FORM]

Form = Range | tuple[Any, ...] | float | str
"""The domain of one value: a range, a choice, or the value itself."""


def largest(form: Form) -> Any:
    """The largest value in a numeric domain."""
    if isinstance(form, Range):
        return form.bounds[1]
    return max(form) if isinstance(form, tuple) else form


def allows(form: Form, value: object) -> bool:
    """True if the domain `form` contains `value`."""
    if isinstance(form, Range | tuple):
        return value in form
    return form == value
