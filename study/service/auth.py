"""Who may: a bearer token, or in a browser the same token in a cookie that scripts cannot read."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from study.service.tokens import Scope, Token, Tokens

COOKIE = "study_token"

_BEARER = HTTPBearer(auto_error=False, description="A token of `study token create`.")
_COOKIE = APIKeyCookie(name=COOKIE, auto_error=False, description="The same token, from the page to sign in.")


class Access:
    """Lets in by token. Without any token everybody may do everything, unless tokens are `required`."""

    def __init__(self, tokens: Tokens, *, required: bool) -> None:
        self.tokens, self._required = tokens, required

    @property
    def locked(self) -> bool:
        """Whether nobody gets in without a token."""
        return self._required or bool(self.tokens.all())

    def check(self, text: str | None, scope: Scope) -> Token | None:
        """The token, None where none is needed. HTTPException 401 or 403 where it is not enough."""
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
            raise HTTPException(403, f"this token may {token.scope}, and this needs one that may {scope}")
        return token


def needs(scope: Scope) -> Callable[..., None]:
    """A dependency that lets only those in who may `scope`."""

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
