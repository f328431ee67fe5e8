"""Authentication by a bearer token, or in a browser by the same token in an HttpOnly cookie."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from study.service.tokens import Scope, Token, Tokens

COOKIE = "study_token"

_BEARER = HTTPBearer(auto_error=False, description="A token of `study token create`.")
_COOKIE = APIKeyCookie(name=COOKIE, auto_error=False, description="The same token, set by the sign-in page.")


class Access:
    """Checks tokens. While no token exists, every request is allowed, unless tokens are `required`."""

    def __init__(self, tokens: Tokens, *, required: bool) -> None:
        self.tokens, self._required = tokens, required

    @property
    def locked(self) -> bool:
        """True if requests need a token."""
        return self._required or bool(self.tokens.all())

    def check(self, text: str | None, scope: Scope) -> Token | None:
        """The token; None if none is needed. HTTPException 401 or 403 if it does not grant `scope`."""
        if not self.locked:
            return None
        if not text:
            raise _unknown("a token is needed: Authorization: Bearer …, or sign in at /sign-in")
        token = self.tokens.find(text)
        if token is None:
            raise _unknown("this token is not known here")
        if token.expired:
            raise _unknown(f"this token expired at {token.expires}; ask for a new one")
        if not token.may(scope):
            raise HTTPException(403, f"this is a {token.scope} token, and the request needs a {scope} token")
        return token


def needs(scope: Scope) -> Callable[..., None]:
    """A dependency that requires a token for `scope`."""

    def check(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
        cookie: Annotated[str | None, Depends(_COOKIE)],
    ) -> None:
        access: Access = request.app.state.access
        text = cookie if bearer is None else bearer.credentials
        token = access.check(text, scope)
        request.state.token = None if token is None else token.id
        request.state.writes = token is None or token.may("write")

    return check


def _unknown(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})
