"""``auth.token``: a token server, trusted by its signature, says who may do what.

WWW-Authenticate: Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from wherry.lib.errors import InvalidArgument
from wherry.registry.auth_challenge import quoted, refusal
from wherry.registry.errors import AccessRefused
from wherry.registry.hooks import Access
from wherry.registry.http.message import Request
from wherry.registry.options import flag, needed, strings, text
from wherry.registry.token_keys import read_bundle, read_jwks
from wherry.registry.tokens import ALGORITHMS, BadToken, TokenVerifier

logger = logging.getLogger(__name__)

REDIRECT_PATH = "/auth/token"


class TokenAuthorizer:
    """``hooks.Authorizer`` by bearer token."""

    def __init__(self, realm: str, verifier: TokenVerifier, *, redirect: str = "") -> None:
        self._realm = realm
        self._verifier = verifier
        self._redirect = redirect

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> TokenAuthorizer:
        """From ``realm``, ``service``, ``issuer`` and ``rootcertbundle`` or ``jwks``. Raises InvalidArgument."""
        bundle, jwks = text(options, "rootcertbundle"), text(options, "jwks")
        roots = read_bundle(bundle) if bundle else []
        keys = read_jwks(jwks) if jwks else {}
        if not roots and not keys:
            raise InvalidArgument("token auth requires at least one token signing key")
        verifier = TokenVerifier(
            issuer=needed("auth.token", options, "issuer"),
            service=needed("auth.token", options, "service"),
            keys=keys,
            roots=roots,
            algorithms=_algorithms(strings("auth.token", options, "signingalgorithms")),
        )
        redirect = ""
        if flag("auth.token", options, "autoredirect"):
            redirect = text(options, "autoredirectpath") or REDIRECT_PATH
        return cls(needed("auth.token", options, "realm"), verifier, redirect=redirect)

    def authorize(self, request: Request, accesses: Sequence[Access]) -> str:
        """See Authorizer."""
        scheme, _, raw = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not raw.strip():
            raise self._refusal(request, accesses)
        try:
            claims = self._verifier.verify(raw.strip(), time.time())
        except BadToken as error:
            logger.info("%s: %s", request.client, error)
            raise self._refusal(request, accesses, "invalid_token") from None
        if not all(claims.allows(one.kind, one.name, one.action) for one in accesses):
            raise self._refusal(request, accesses, "insufficient_scope")
        return claims.sub

    def _refusal(self, request: Request, accesses: Sequence[Access], error: str = "") -> AccessRefused:
        realm = self._realm
        if self._redirect:
            scheme = request.headers.get("x-forwarded-proto") or "https"
            realm = f"{scheme}://{request.headers.get('host', '')}{self._redirect}"
        challenge = f"Bearer realm={quoted(realm)},service={quoted(self._verifier.service)}"
        if accesses:
            challenge += f",scope={quoted(scopes(accesses))}"
        if error:
            challenge += f",error={quoted(error)}"
        return refusal(challenge, accesses)


def scopes(accesses: Sequence[Access]) -> str:
    """The accesses in the words of a scope, those of one resource together."""
    actions: dict[tuple[str, str], list[str]] = {}
    for one in accesses:
        named = actions.setdefault((one.kind, one.name), [])
        if one.action not in named:
            named.append(one.action)
    return " ".join(f"{kind}:{name}:{','.join(asked)}" for (kind, name), asked in actions.items())


def _algorithms(given: Sequence[str]) -> frozenset[str]:
    for one in given:
        if one not in ALGORITHMS:
            raise InvalidArgument(f"unsupported signing algorithm: {one}")
    return frozenset(given) or ALGORITHMS
