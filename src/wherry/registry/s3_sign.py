r"""AWS Signature Version 4, as S3 wants it: pure, nothing is sent.

    canonical request   method \n path \n query \n headers \n signed names \n hash of the payload
    string to sign      AWS4-HMAC-SHA256 \n time \n scope \n SHA-256 of the canonical request
    key                 HMAC(HMAC(HMAC(HMAC("AWS4" + secret, day), region), service), "aws4_request")

S3 differs from other services: the path is escaped once and never normalized, and the payload's hash is a header.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
ALGORITHM = "AWS4-HMAC-SHA256"

_SAFE = "-_.~"


@dataclass(frozen=True, slots=True)
class Key:
    """Who signs, and for which service where."""

    access: str
    secret: str
    region: str
    service: str = "s3"
    session: str = ""


def escaped_path(path: str) -> str:
    """``path`` percent-escaped, slashes kept."""
    return quote(path, safe="/" + _SAFE)


def query_string(query: Mapping[str, str]) -> str:
    """The query in canonical order and escaping, which is also a valid one to send."""
    pairs = sorted((quote(name, safe=_SAFE), quote(value, safe=_SAFE)) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def signed_headers(
    key: Key,
    method: str,
    path: str,
    query: Mapping[str, str],
    *,
    headers: Mapping[str, str],
    payload: str,
    now: dt.datetime,
) -> dict[str, str]:
    """All headers to send. ``headers`` holds ``host``; ``payload`` is the body's SHA-256 in hexadecimal."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    sent = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    sent |= {"x-amz-content-sha256": payload, "x-amz-date": stamp}
    if key.session:
        sent["x-amz-security-token"] = key.session
    names = ";".join(sorted(sent))
    signature = _signature(key, _canonical(method, path, query, sent, payload), stamp)
    sent["authorization"] = (
        f"{ALGORITHM} Credential={key.access}/{_scope(key, stamp)},SignedHeaders={names},Signature={signature}"
    )
    return sent


def presigned_query(
    key: Key, method: str, path: str, *, host: str, query: Mapping[str, str], now: dt.datetime, seconds: int
) -> str:
    """The query of an address that anybody may use for ``seconds``."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    full = {
        **query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key.access}/{_scope(key, stamp)}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    if key.session:
        full["X-Amz-Security-Token"] = key.session
    signature = _signature(key, _canonical(method, path, full, {"host": host}, UNSIGNED), stamp)
    return f"{query_string(full)}&X-Amz-Signature={signature}"


def _canonical(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], payload: str) -> str:
    names = sorted(headers)
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    return "\n".join((method, escaped_path(path), query_string(query), lines, ";".join(names), payload))


def _signature(key: Key, canonical: str, stamp: str) -> str:
    text = "\n".join((ALGORITHM, stamp, _scope(key, stamp), hashlib.sha256(canonical.encode()).hexdigest()))
    signing = f"AWS4{key.secret}".encode()
    for part in (stamp[:8], key.region, key.service, "aws4_request"):
        signing = hmac.digest(signing, part.encode(), hashlib.sha256)
    return hmac.digest(signing, text.encode(), hashlib.sha256).hex()


def _scope(key: Key, stamp: str) -> str:
    return f"{stamp[:8]}/{key.region}/{key.service}/aws4_request"
