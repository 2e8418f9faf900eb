"""Which authorizer the ``auth`` section asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wherry.lib.errors import InvalidArgument
from wherry.registry.hooks import Authorizer

Options = Mapping[str, object]


def make_authorizer(auth: Mapping[str, Options | None]) -> Authorizer | None:
    """The authorizer of the one method under ``auth``; None where there is none. Raises InvalidArgument."""
    if not auth:
        return None
    if len(auth) > 1:
        raise InvalidArgument(f"must provide exactly one type in auth. Provided: {', '.join(auth)}")
    ((kind, options),) = auth.items()
    if kind not in _KINDS:
        raise InvalidArgument(f"unable to configure authorization ({kind}): no access controller registered with name")
    return _KINDS[kind](options or {})


def _htpasswd(options: Options) -> Authorizer:
    from wherry.registry.auth_basic import BasicAuthorizer  # noqa: PLC0415 - bcrypt only where it is asked for

    return BasicAuthorizer.from_options(options)


def _token(options: Options) -> Authorizer:
    from wherry.registry.auth_token import TokenAuthorizer  # noqa: PLC0415 - cryptography takes long to import

    return TokenAuthorizer.from_options(options)


_KINDS: Mapping[str, Callable[[Options], Authorizer]] = {"htpasswd": _htpasswd, "token": _token}
