"""Database URLs in a spec: PostgreSQL only, and without a password."""

import re
from urllib.parse import parse_qsl

_POSTGRESQL = re.compile(r"postgres(ql)?://([^:/?@]*@)?(\[[^]/?]+\]|[^:/?]*)(:\d*)?/+[^/?][^?]*(\?.*)?")

_SECRET = re.compile("password|secret|scram", re.IGNORECASE)
"""Names of secret parameters in the query of a URL for libpq."""


def _tells_a_secret(url: str) -> bool:
    """True if a URL has a password, before its last @ or in its query; it may contain any character."""
    authority, _, _ = url.partition("://")[2].rpartition("@")
    _, _, query = url.partition("?")
    return ":" in authority or any(_SECRET.search(key) for key, _ in parse_qsl(query, keep_blank_values=True))


def without_password(url: str) -> str:
    """`url` itself. ValueError if it has a password, or is neither for PostgreSQL nor "env:NAME"."""
    if url.startswith("env:"):
        if not url[4:].isidentifier():
            raise ValueError("does not name an environment variable; write it as 'env:STUDY_DATABASE'")
        return url
    if _tells_a_secret(url):
        raise ValueError(
            "contains a password, and a spec is copied and shown; put the URL into an environment variable "
            "such as STUDY_DATABASE, and write 'env:STUDY_DATABASE'"
        )
    if _POSTGRESQL.fullmatch(url) is None:
        raise ValueError(
            "is not a PostgreSQL URL; use 'postgresql://user@host:5432/database', or 'env:NAME' for a "
            "variable that has one"
        )
    return url
