"""Bearer tokens: made here as a token server makes them, with keys of every kind, and with everything wrong in turn."""

from __future__ import annotations

import base64
import datetime as dt
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from registry.requests import request
from wherry.lib.errors import InvalidArgument
from wherry.registry.auth_token import TokenAuthorizer
from wherry.registry.errors import AccessRefused
from wherry.registry.hooks import Access
from wherry.registry.token_keys import fingerprint, thumbprint

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
OTHER_EC = ec.generate_private_key(ec.SECP256R1())
EC384 = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()

Sign = Callable[[bytes], bytes]
UNUSED = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "encipher_only", "decipher_only",
)  # fmt: skip
PULL = (Access("repository", "a/b", "pull"),)
PUSH = (*PULL, Access("repository", "a/b", "push"))


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _rs256(data: bytes) -> bytes:
    return RSA.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _ps512(data: bytes) -> bytes:
    return RSA.sign(data, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())


def _ecdsa(key: ec.EllipticCurvePrivateKey, algorithm: hashes.HashAlgorithm) -> Sign:
    def sign(data: bytes) -> bytes:
        size = key.key_size // 8
        return b"".join(number.to_bytes(size) for number in decode_dss_signature(key.sign(data, ec.ECDSA(algorithm))))

    return sign


def _claims(**changes: object) -> dict[str, object]:
    now = time.time()
    access = [{"type": "repository", "name": "a/b", "actions": ["pull"]}]
    return {
        "iss": "issuer", "aud": "service", "sub": "alice", "exp": now + 300, "nbf": now - 5, "access": access, **changes
    }  # fmt: skip


def _token(header: dict[str, object], sign: Sign, **changes: object) -> str:
    signed = f"{_url(json.dumps(header).encode())}.{_url(json.dumps(_claims(**changes)).encode())}"
    return f"{signed}.{_url(sign(signed.encode()))}"


def _certificate(
    key: object, issuer: tuple[str, object] | None, name: str, *, ca: bool, days: int = 1
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    signer = issuer[1] if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer[0] if issuer else name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=3))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if ca:
        usage = dict.fromkeys(UNUSED, False)
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
    return builder.sign(signer, hashes.SHA256())


ROOT = _certificate(RSA, None, "root", ca=True)
LEAF = _certificate(EC, ("root", RSA), "signer", ca=False)
OLD_LEAF = _certificate(EC, ("root", RSA), "old signer", ca=False, days=-1)
STRANGER = _certificate(EC, None, "stranger", ca=True)


def _der(*certificates: x509.Certificate) -> list[str]:
    return [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in certificates]


@pytest.fixture
def options(tmp_path: Path) -> dict[str, object]:
    bundle, jwks = tmp_path / "bundle.pem", tmp_path / "jwks.json"
    bundle.write_bytes(ROOT.public_bytes(Encoding.PEM))
    point = EC384.public_key().public_numbers()
    numbers = EC.public_key().public_numbers()
    raw = ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    keys = [
        {"kty": "EC", "kid": "p384", "crv": "P-384", "x": _url(point.x.to_bytes(48)), "y": _url(point.y.to_bytes(48))},
        {
            "kty": "EC",
            "kid": "p256",
            "crv": "P-256",
            "x": _url(numbers.x.to_bytes(32)),
            "y": _url(numbers.y.to_bytes(32)),
        },
        {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": _url(raw)},
    ]
    jwks.write_text(json.dumps({"keys": keys}))
    return {
        "realm": "https://auth.test/token", "service": "service", "issuer": "issuer",
        "rootcertbundle": str(bundle), "jwks": str(jwks),
    }  # fmt: skip


@pytest.fixture
def authorizer(options: dict[str, object]) -> TokenAuthorizer:
    return TokenAuthorizer.from_options(options)


def _refused(authorizer: TokenAuthorizer, token: str, accesses: tuple[Access, ...] = PULL) -> str:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with pytest.raises(AccessRefused) as refusal:
        authorizer.authorize(request(**headers), accesses)
    return refusal.value.headers["WWW-Authenticate"]


GOOD: dict[str, tuple[dict[str, object], Sign]] = {
    "RS256 by thumbprint": ({"alg": "RS256", "kid": thumbprint(RSA.public_key())}, _rs256),
    "RS256 by fingerprint": ({"alg": "RS256", "kid": fingerprint(RSA.public_key())}, _rs256),
    "PS512": ({"alg": "PS512", "kid": thumbprint(RSA.public_key())}, _ps512),
    "ES384 of the jwks": ({"alg": "ES384", "kid": "p384"}, _ecdsa(EC384, hashes.SHA384())),
    "EdDSA of the jwks": ({"alg": "EdDSA", "kid": "ed"}, ED.sign),
    "a chain": ({"alg": "ES256", "x5c": _der(LEAF)}, _ecdsa(EC, hashes.SHA256())),
    "the root itself": ({"alg": "RS256", "x5c": _der(ROOT)}, _rs256),
    "a chain in a jwk": ({"alg": "ES256", "jwk": {"kty": "EC", "x5c": _der(LEAF)}}, _ecdsa(EC, hashes.SHA256())),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_token(authorizer: TokenAuthorizer, name: str) -> None:
    """It lets its subject do what it grants, and nothing more."""
    token = _token(*GOOD[name])
    assert authorizer.authorize(request(authorization=f"Bearer {token}"), PULL) == "alice"
    assert authorizer.authorize(request(authorization=f"bearer {token}"), ()) == "alice"
    assert _refused(authorizer, token, PUSH).endswith('scope="repository:a/b:pull,push",error="insufficient_scope"')


def test_without_a_token(authorizer: TokenAuthorizer) -> None:
    """The challenge says where to get one and for what: as in distribution's specification."""
    assert _refused(authorizer, "", ()) == 'Bearer realm="https://auth.test/token",service="service"'
    accesses = (*PUSH, Access("repository", "other", "pull"))
    assert _refused(authorizer, "", accesses).endswith('scope="repository:a/b:pull,push repository:other:pull"')


def test_a_star_grants_all(authorizer: TokenAuthorizer) -> None:
    """As the catalog's scope has it."""
    granted = [{"type": "registry", "name": "catalog", "actions": ["*"]}]
    token = _token(*GOOD["ES384 of the jwks"], access=granted, aud=["other", "service"])
    wanted = (Access("registry", "catalog", "*"),)
    assert authorizer.authorize(request(authorization=f"Bearer {token}"), wanted) == "alice"


def _hs256(data: bytes) -> bytes:
    """The trick of signing with the public key as if it were a shared secret."""
    made = hmac.HMAC(RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), hashes.SHA256())
    made.update(data)
    return made.finalize()


_ES256_OTHER = _ecdsa(OTHER_EC, hashes.SHA256())
BAD: dict[str, str] = {
    "not a token": "abc",
    "two parts": "a.b",
    "no base64": "!.!.!",
    "another issuer": _token(*GOOD["ES384 of the jwks"], iss="other"),
    "another service": _token(*GOOD["ES384 of the jwks"], aud="other"),
    "expired": _token(*GOOD["ES384 of the jwks"], exp=time.time() - 61),
    "never expires": _token(*GOOD["ES384 of the jwks"], exp=0),
    "not yet": _token(*GOOD["ES384 of the jwks"], nbf=time.time() + 3600),
    "alg none": _token({"alg": "none", "kid": "p384"}, lambda _: b""),
    "shared secret": _token({"alg": "HS256", "kid": thumbprint(RSA.public_key())}, _hs256),
    "algorithm of another kind": _token({"alg": "ES256", "kid": thumbprint(RSA.public_key())}, _rs256),
    "algorithm of another curve": _token({"alg": "ES256", "kid": "p384"}, _ecdsa(EC384, hashes.SHA256())),
    "another's signature": _token({"alg": "ES256", "kid": "p256"}, _ES256_OTHER),
    "unknown key": _token({"alg": "RS256", "kid": "nobody"}, _rs256),
    "own key along": _token({"alg": "ES256", "jwk": {"kty": "EC", "kid": "x", "crv": "P-256"}}, _ES256_OTHER),
    "chain of a stranger": _token({"alg": "ES256", "x5c": _der(STRANGER)}, _ecdsa(EC, hashes.SHA256())),
    "chain of a stale certificate": _token({"alg": "ES256", "x5c": _der(OLD_LEAF)}, _ecdsa(EC, hashes.SHA256())),
    "chain of rubbish": _token({"alg": "ES256", "x5c": ["AAAA"]}, _ecdsa(EC, hashes.SHA256())),
    "critical header": _token({"alg": "ES384", "kid": "p384", "crit": ["b64"]}, _ecdsa(EC384, hashes.SHA384())),
    "huge": "a" * 70000 + ".b.c",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token(authorizer: TokenAuthorizer, name: str) -> None:
    """It is refused as invalid, with the challenge that leads to a good one."""
    assert _refused(authorizer, BAD[name]).endswith('scope="repository:a/b:pull",error="invalid_token"')


def test_a_changed_token(authorizer: TokenAuthorizer) -> None:
    """Claims that were not signed are not believed."""
    header, _, signature = _token(*GOOD["ES384 of the jwks"]).split(".")
    forged = _url(json.dumps(_claims(sub="mallory")).encode())
    assert "invalid_token" in _refused(authorizer, f"{header}.{forged}.{signature}")


def test_the_realm_may_be_where_the_registry_is(options: dict[str, object]) -> None:
    """autoredirect: the challenge names the host that the client asked."""
    authorizer = TokenAuthorizer.from_options({**options, "autoredirect": True})
    with pytest.raises(AccessRefused) as refusal:
        authorizer.authorize(request(host="r.test:5000", x_forwarded_proto="http"), ())
    assert refusal.value.headers["WWW-Authenticate"].startswith('Bearer realm="http://r.test:5000/auth/token",')


@pytest.mark.parametrize("missing", ["realm", "service", "issuer"])
def test_settings_that_make_no_sense(options: dict[str, object], missing: str) -> None:
    """Each is refused when the registry starts."""
    with pytest.raises(InvalidArgument, match=missing):
        TokenAuthorizer.from_options({name: value for name, value in options.items() if name != missing})
    with pytest.raises(InvalidArgument, match="at least one token signing key"):
        TokenAuthorizer.from_options({**options, "rootcertbundle": "", "jwks": ""})
    with pytest.raises(InvalidArgument, match="unsupported signing algorithm: HS256"):
        TokenAuthorizer.from_options({**options, "signingalgorithms": ["HS256"]})
    with pytest.raises(InvalidArgument, match="bundle file"):
        TokenAuthorizer.from_options({**options, "rootcertbundle": "/nowhere"})
