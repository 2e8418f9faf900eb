"""Bearer tokens of the registry (distribution's "authentication via central service"): JSON Web Tokens.

    base64url(header) "." base64url(claims) "." base64url(signature)                    (RFC 7515, compact form)
    header   alg, and who signed: x5c (a chain to one of our roots) | jwk | kid
    claims   iss, sub, aud, exp, nbf, access: [{type, name, actions}]

What a token may be signed with is fixed by our keys, never by the token: an algorithm counts only with a key of its
kind, and there are no shared secrets (HS256) and no "none".
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from wherry.lib.errors import InvalidArgument
from wherry.registry.token_keys import Jwk, PublicKey, bundle_keys, certificate_key, unpadded

LEEWAY = 60
"""Seconds by which another machine's clock may differ."""
TOKEN_MAX = 64 * 1024
CHAIN_MAX = 8

_HASHES: Mapping[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES: Mapping[str, type[ec.EllipticCurve]] = {"256": ec.SECP256R1, "384": ec.SECP384R1, "512": ec.SECP521R1}
ALGORITHMS = frozenset({"EdDSA", *(kind + size for kind in ("RS", "PS", "ES") for size in _HASHES)})


class BadToken(Exception):
    """The token is malformed, or not to be trusted; the text is for the log."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Actions on one thing."""

    type: str = ""
    name: str = ""
    actions: list[str] = msgspec.field(default_factory=list)


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says."""

    iss: str = ""
    sub: str = ""
    aud: str | list[str] = ""
    exp: float = 0
    nbf: float = 0
    access: list[Resource] | None = None

    def allows(self, kind: str, name: str, action: str) -> bool:
        """Whether the token grants ``action`` on the resource."""
        return any(
            action in one.actions or "*" in one.actions
            for one in self.access or ()
            if (one.type, one.name) == (kind, name)
        )


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    alg: str = ""
    kid: str = ""
    jwk: Jwk | None = None
    x5c: list[str] = msgspec.field(default_factory=list)
    crit: list[str] = msgspec.field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class TokenVerifier:
    """Judges tokens of one issuer for one service."""

    issuer: str
    service: str
    keys: Mapping[str, PublicKey]
    roots: Collection[x509.Certificate] = ()
    algorithms: Collection[str] = ALGORITHMS
    trusted: Mapping[str, PublicKey] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "trusted", {**bundle_keys(self.roots), **self.keys})

    def verify(self, raw: str, now: float) -> Claims:
        """The claims of a token that is good at ``now`` (Unix seconds). Raises BadToken."""
        if len(raw) > TOKEN_MAX:
            raise BadToken(f"token of {len(raw)} bytes")
        signed, _, last = raw.rpartition(".")
        parts = signed.split(".")
        if len(parts) != 2:
            raise BadToken("malformed token")
        try:
            header = msgspec.json.decode(unpadded(parts[0]), type=_Header)
            payload, signature = unpadded(parts[1]), unpadded(last)
            if header.alg not in self.algorithms or header.crit:
                raise BadToken(f"token signed with {header.alg!r}, critical {header.crit}")
            _check_signature(self._key(header, now), header.alg, signed.encode(), signature)
            claims = msgspec.json.decode(payload, type=Claims)
        except (InvalidArgument, msgspec.DecodeError, InvalidSignature) as error:
            raise BadToken(f"token refused: {error or type(error).__name__}") from None
        self._check(claims, now)
        return claims

    def _check(self, claims: Claims, now: float) -> None:
        if claims.iss != self.issuer:
            raise BadToken(f"token from untrusted issuer: {claims.iss!r}")
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if self.service not in audience:
            raise BadToken(f"token intended for another audience: {audience}")
        if now > claims.exp + LEEWAY:
            raise BadToken(f"token not to be used after {claims.exp}, it is {now}")
        if now < claims.nbf - LEEWAY:
            raise BadToken(f"token not to be used before {claims.nbf}, it is {now}")

    def _key(self, header: _Header, now: float) -> PublicKey:
        """The trusted key that the header points to. Raises BadToken, InvalidArgument."""
        chain = header.x5c or (header.jwk.x5c if header.jwk else [])
        if chain:
            return self._chained(chain, now)
        kid = header.jwk.kid if header.jwk else header.kid
        key = self.trusted.get(kid)
        if key is None:
            raise BadToken(f"token signed by untrusted key with ID: {kid!r}")
        return key

    def _chained(self, chain: list[str], now: float) -> PublicKey:
        """The key of the first certificate, if a chain leads from it to a root."""
        if len(chain) > CHAIN_MAX:
            raise BadToken(f"token with a chain of {len(chain)} certificates")
        try:
            leaf, *others = [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in chain]
        except (ValueError, binascii.Error) as error:
            raise BadToken(f"token with a broken certificate: {error}") from None
        when = dt.datetime.fromtimestamp(now, dt.UTC)
        if leaf in self.roots:
            if not leaf.not_valid_before_utc <= when <= leaf.not_valid_after_utc:
                raise BadToken("token signed by a certificate that is not valid now")
            return certificate_key(leaf)
        if not self.roots:
            raise BadToken("token with a certificate chain, but no root is trusted")
        verifier = (
            PolicyBuilder()
            .store(Store(list(self.roots)))
            .time(when.replace(tzinfo=None))
            .max_chain_depth(CHAIN_MAX)
            # a token server's certificate is no web server's: its names and usages say nothing here
            .extension_policies(ee_policy=ExtensionPolicy.permit_all(), ca_policy=ExtensionPolicy.webpki_defaults_ca())
            .build_client_verifier()
        )
        try:
            verifier.verify(leaf, others)
        except VerificationError as error:
            raise BadToken(f"token signed by an untrusted certificate: {error}") from None
        return certificate_key(leaf)


def _check_signature(key: PublicKey, algorithm: str, signed: bytes, signature: bytes) -> None:
    """Raises InvalidSignature, BadToken where the algorithm is not one for the key."""
    kind, size = algorithm[:2], algorithm[2:]
    if isinstance(key, ed25519.Ed25519PublicKey) and algorithm == "EdDSA":
        key.verify(signature, signed)
    elif isinstance(key, rsa.RSAPublicKey) and kind in _RSA_PADDINGS:
        key.verify(signature, signed, _RSA_PADDINGS[kind](_HASHES[size]), _HASHES[size])
    elif isinstance(key, ec.EllipticCurvePublicKey) and kind == "ES" and isinstance(key.curve, _CURVES[size]):
        half = (key.curve.key_size + 7) // 8
        if len(signature) != 2 * half:
            raise InvalidSignature
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(_HASHES[size]))
    else:
        raise BadToken(f"algorithm {algorithm} does not fit a key of kind {type(key).__name__}")


_RSA_PADDINGS: Mapping[str, Callable[[hashes.HashAlgorithm], padding.AsymmetricPadding]] = {
    "RS": lambda _: padding.PKCS1v15(),
    "PS": lambda algorithm: padding.PSS(padding.MGF1(algorithm), algorithm.digest_size),
}
