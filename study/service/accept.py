"""Content negotiation by the Accept header (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

JSON = "application/json"
TOML = "application/toml"
HTML = "text/html"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"


def chosen(accept: str | None, offered: Sequence[str]) -> str | None:
    """The preferred media type among those offered, the first of equals; None if none is acceptable.

    >>> chosen("text/csv;q=0.5, application/*", ["text/csv", "application/json"])
    'application/json'
    """
    if not accept or not accept.strip():
        return offered[0]
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    weights = [_weight(kind, ranges) for kind in offered]
    best = max(weights)
    return offered[weights.index(best)] if best > 0 else None


def _range(part: str) -> tuple[str, float]:
    """A media range and its weight; 0 if the weight is no number."""
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = min(1.0, max(0.0, float(value)))
            except ValueError:
                weight = 0.0
    return kind, weight


def _weight(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The weight of a media type, from the most specific range that contains it."""
    for pattern in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        for found, weight in ranges:
            if found == pattern:
                return weight
    return 0.0
