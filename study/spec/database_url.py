"""URLs of databases in a spec: PostgreSQL, and never a password."""

import re
from urllib.parse import parse_qsl

_POSTGRESQL = re.compile(r"postgres(ql)?://([^:/?@]*@)?(\[[^]/?]+\]|[^:/?]*)(:\d*)?/+[^/?][^?]*(\?.*)?")

_SECRET = re.compile("password|secret|scram", re.IGNORECASE)
"""In the name of what libpq is told in a URL's query: it is for nobody to read."""


def _tells_a_secret(url: str) -> bool:
    """Whether a URL holds a password, before its last @ or in its query; a password may hold any sign."""
    authority, _, _ = url.partition("://")[2].rpartition("@")
    _, _, query = url.partition("?")
    return ":" in authority or any(_SECRET.search(key) for key, _ in parse_qsl(query, keep_blank_values=True))


def without_password(url: str) -> str:
    """`url` itself. ValueError where it holds a password, or is neither for PostgreSQL nor "env:NAME"."""
    if url.startswith("env:"):
        if not url[4:].isidentifier():
            raise ValueError("names no environment variable; write 'env:NAME', as in 'env:STUDY_DATABASE'")
        return url
    if _tells_a_secret(url):
        raise ValueError(
            "holds a password, and a spec is copied and shown; put the URL into an environment variable, "
            "STUDY_DATABASE say, and write 'env:STUDY_DATABASE'"
        )
    if _POSTGRESQL.fullmatch(url) is None:
        raise ValueError(
            "is no PostgreSQL URL; use 'postgresql://user@host:5432/database', or 'env:NAME' where that "
            "variable holds one"
        )
    return url
