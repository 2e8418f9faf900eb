"""The keys that a registry's tokens may be signed with: a JWKS file (RFC 7517) and a bundle of root certificates.

A key of the bundle goes by two names: its RFC 7638 thumbprint, and the fingerprint that older token servers use
(``ABCD:EFGH:…``, base32 of the first 240 bits of the SHA-256 of the public key's DER form).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wherry.lib.errors import InvalidArgument

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
_CURVE_NAMES = {curve.name: name for name, curve in _CURVES.items()}


class Jwk(msgspec.Struct, frozen=True, kw_only=True):
    """One JSON Web Key, public part."""

    kty: str = ""
    kid: str = ""
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""
    x5c: list[str] = msgspec.field(default_factory=list)


class Jwks(msgspec.Struct, frozen=True, kw_only=True):
    """A set of them."""

    keys: list[Jwk] = msgspec.field(default_factory=list)


def unpadded(text: str | bytes) -> bytes:
    """Base64url without padding (RFC 7515, 2). Raises InvalidArgument."""
    data = text.encode() if isinstance(text, str) else text
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise InvalidArgument("malformed base64url") from None


def read_jwks(path: str) -> dict[str, PublicKey]:
    """The keys of a JWKS file by their ids. Raises InvalidArgument; symmetric keys are refused."""
    try:
        with open(path, "rb") as file:
            found = msgspec.json.decode(file.read(), type=Jwks)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidArgument(f"unable to read token jwks file {path!r}: {error}") from error
    return {key.kid or thumbprint(public_key(key)): public_key(key) for key in found.keys}


def read_bundle(path: str) -> list[x509.Certificate]:
    """The certificates of a PEM file. Raises InvalidArgument."""
    try:
        with open(path, "rb") as file:
            return x509.load_pem_x509_certificates(file.read())
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"unable to read token auth root certificate bundle file {path!r}: {error}") from error


def bundle_keys(certificates: Iterable[x509.Certificate]) -> dict[str, PublicKey]:
    """The certificates' keys, by both of their names."""
    keys: dict[str, PublicKey] = {}
    for certificate in certificates:
        key = certificate_key(certificate)
        keys[thumbprint(key)] = key
        keys[fingerprint(key)] = key
    return keys


def certificate_key(certificate: x509.Certificate) -> PublicKey:
    """A certificate's key. Raises InvalidArgument for a kind that signs no tokens."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidArgument(f"certificate with an unusable key: {error}") from error
    if isinstance(key, PublicKey):
        return key
    raise InvalidArgument(f"certificate with a key of kind {type(key).__name__}, which signs no tokens")


def public_key(jwk: Jwk) -> PublicKey:
    """The key that ``jwk`` describes. Raises InvalidArgument."""
    try:
        if jwk.kty == "RSA":
            return rsa.RSAPublicNumbers(_integer(jwk.e), _integer(jwk.n)).public_key()
        if jwk.kty == "EC" and jwk.crv in _CURVES:
            return ec.EllipticCurvePublicNumbers(_integer(jwk.x), _integer(jwk.y), _CURVES[jwk.crv]).public_key()
        if jwk.kty == "OKP" and jwk.crv == "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(unpadded(jwk.x))
    except ValueError as error:
        raise InvalidArgument(f"invalid key {jwk.kid!r}: {error}") from error
    raise InvalidArgument(f"unsupported key {jwk.kid!r} of kind {jwk.kty} {jwk.crv}".rstrip())


def thumbprint(key: PublicKey) -> str:
    """The RFC 7638 thumbprint: base64url of the SHA-256 of the required members in order."""
    members = json.dumps(_members(key), separators=(",", ":"), sort_keys=True).encode()
    return _text(hashlib.sha256(members).digest())


def fingerprint(key: PublicKey) -> str:
    """The older name, see the module."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def _members(key: PublicKey) -> dict[str, str]:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"e": _encoded(numbers.e), "kty": "RSA", "n": _encoded(numbers.n)}
    if isinstance(key, ed25519.Ed25519PublicKey):
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"crv": "Ed25519", "kty": "OKP", "x": _text(raw)}
    if key.curve.name not in _CURVE_NAMES:
        raise InvalidArgument(f"unsupported curve {key.curve.name}")
    point, size = key.public_numbers(), (key.curve.key_size + 7) // 8
    curve = _CURVE_NAMES[key.curve.name]
    return {"crv": curve, "kty": "EC", "x": _encoded(point.x, size), "y": _encoded(point.y, size)}


def _integer(text: str) -> int:
    return int.from_bytes(unpadded(text), "big")


def _encoded(number: int, size: int = 0) -> str:
    return _text(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
