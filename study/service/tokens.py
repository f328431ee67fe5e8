"""Tokens with scope read or write, in a file beside the studies that has only hashes of their secrets.

A token is `study_ID_SECRET`. The secret is 256 random bits, so one round of SHA-256 protects it (slow hashes
are for passwords that people choose). It is shown once. The file is replaced atomically, and every instance
reads it again after a change.
"""

import hmac
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

from trainable.contract import StudyError
from trainable.disk import write_atomically
from trainable.typed import typed

Scope = Literal["read", "write"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Scopes, each of which includes those before it."""

TOKENS_FILE = ".tokens.json"
_TOKEN_PATTERN = re.compile(r"study_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_HASH = re.compile("[0-9a-f]{64}")
_NOBODY = sha256(b"").hexdigest()
_SPAN = re.compile("([0-9]{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Token:
    """A stored token. Times are ISO 8601, UTC; without `expires` it is valid until revoked."""

    id: str
    scope: Scope
    hash: str
    created: str
    expires: str | None
    label: str

    def __post_init__(self) -> None:
        """Raise ValueError for a hash or a time that is none."""
        times = (datetime.fromisoformat(time) for time in (self.created, self.expires) if time is not None)
        if not _HASH.fullmatch(self.hash) or any(time.tzinfo is None for time in times):
            raise ValueError(f"{self.id!r} has no SHA-256, or a time without its zone")

    @property
    def expired(self) -> bool:
        """True if the token has expired."""
        return self.expires is not None and datetime.now(UTC) >= datetime.fromisoformat(self.expires)

    def may(self, scope: Scope) -> bool:
        """True if the token's scope includes `scope`."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


class Tokens:
    """The tokens of the studies in the folder `home`."""

    def __init__(self, home: Path) -> None:
        self._path = home / TOKENS_FILE
        self._known: tuple[tuple[int, ...] | None, Mapping[str, Token]] = (None, {})

    def create(self, scope: Scope, *, expires: timedelta | None = None, label: str = "") -> str:
        """Create a token, durably, and return it; only its hash is stored."""
        number, secret, now = secrets.token_hex(4), secrets.token_urlsafe(32), datetime.now(UTC)
        until = None if expires is None else (now + expires).isoformat(timespec="seconds")
        token = Token(number, scope, _hash(secret), now.isoformat(timespec="seconds"), until, label)
        with self._changing() as tokens:
            tokens[number] = token
        return f"study_{number}_{secret}"

    def revoke(self, number: str) -> bool:
        """Delete the token with this id; False if there is none."""
        with self._changing() as tokens:
            return tokens.pop(number, None) is not None

    def all(self) -> list[Token]:
        """All tokens, the oldest first; expired tokens stay until they are revoked."""
        return sorted(self._read().values(), key=lambda token: token.created)

    def find(self, text: str) -> Token | None:
        """The token with the text `text`, also if it has expired; None if there is none.

        The secret is compared in constant time, with a dummy hash if the id is unknown.
        """
        found = _TOKEN_PATTERN.fullmatch(text)
        number, secret = found.groups() if found else ("", "")
        token = self._read().get(number)
        same = hmac.compare_digest(_hash(secret), _NOBODY if token is None else token.hash)
        return token if same else None

    def _read(self) -> Mapping[str, Token]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return {}
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)  # another inode after a change
        known, tokens = self._known
        if stamp != known:
            tokens = self._parsed()
            self._known = stamp, tokens
        return tokens

    def _parsed(self) -> dict[str, Token]:
        try:
            tokens: tuple[Token, ...] = typed(
                tuple[Token, ...], json.loads(self._path.read_bytes()), TOKENS_FILE
            )
            return {token.id: token for token in tokens}
        except OSError as error:
            raise StudyError(
                f"{self._path}: cannot be read ({error.strerror}), so every request is refused; make it "
                "readable for the user of the service"
            ) from error
        except (ValueError, RecursionError) as error:
            raise StudyError(
                f"{self._path}: holds no tokens ({error}); restore it, or delete it and create new ones"
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Token]]:
        """Yield the tokens under a lock, and write them afterwards."""
        import fcntl  # missing on some systems, and every command imports this module

        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = self._parsed() if self._path.is_file() else {}
            yield tokens
            content = json.dumps([asdict(token) for token in tokens.values()], indent=2)
            write_atomically(self._path, content.encode(), mode=0o600)


def span(text: str) -> timedelta:
    """Parse a time like "30d"; m, h, d and w are minutes, hours, days and weeks. StudyError for other texts.

    >>> span("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    found = _SPAN.fullmatch(text)
    if found is None or not int(found[1]):
        raise StudyError(f"--expires: {text!r} is no time; write e.g. 90m, 36h, 30d or 8w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
