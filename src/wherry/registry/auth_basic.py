"""``auth.htpasswd``: who is in the file may do everything."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

from wherry.lib.errors import InvalidArgument, Unavailable
from wherry.registry.auth_challenge import quoted, refusal
from wherry.registry.errors import NotServing
from wherry.registry.hooks import Access
from wherry.registry.htpasswd import Htpasswd
from wherry.registry.http.message import Request
from wherry.registry.options import needed

CREDENTIALS_MAX = 8192


class BasicAuthorizer:
    """``hooks.Authorizer`` by name and password."""

    def __init__(self, realm: str, htpasswd: Htpasswd) -> None:
        self._challenge = f"Basic realm={quoted(realm)}"
        self._htpasswd = htpasswd

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> BasicAuthorizer:
        """From ``realm`` and ``path``; a missing file is made, with one user. Raises InvalidArgument."""
        htpasswd = Htpasswd(needed("auth.htpasswd", options, "path"))
        try:
            htpasswd.provision()
            htpasswd.verify("", "")
        except (OSError, Unavailable) as error:
            raise InvalidArgument(f"auth.htpasswd: {error}") from error
        return cls(needed("auth.htpasswd", options, "realm"), htpasswd)

    def authorize(self, request: Request, accesses: Sequence[Access]) -> str:
        """See Authorizer."""
        given = parse_basic(request.headers.get("authorization", ""))
        if given is None:
            raise refusal(self._challenge, accesses)
        try:
            if self._htpasswd.verify(*given):
                return given[0]
        except Unavailable as error:
            raise NotServing(error.message) from error
        raise refusal(self._challenge, accesses)


def parse_basic(header: str) -> tuple[str, str] | None:
    """Name and password of an Authorization header (RFC 7617), or None."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > CREDENTIALS_MAX:
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (name, password) if colon else None
