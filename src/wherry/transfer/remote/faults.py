"""What can go wrong at a registry, and how the user is told: the words are those of Docker and of its HTTP library.

Fault                 anything; ``retry`` says whether trying again makes sense
├── Unreachable       no answer: name, connect, TLS, proxy, time
├── Broken            an answer that ended too early or was not HTTP
└── Refused           an answer with an error (distribution-spec, "Error Codes")

Inside this package faults fly; every public method turns them into the family of ``lib/errors`` by ``told``.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from wherry.lib.errors import Forbidden, Internal, InvalidArgument, NotFound, Unauthorized, WherryError
from wherry.oci.reference import Reference

ERROR_MAX = 64 * 1024
"""Bytes of an error's body that are looked at."""

LISTED_MAX = 16
"""Errors of one answer that are looked at."""

MESSAGES = {
    "UNKNOWN": "unknown error",
    "UNSUPPORTED": "The operation is unsupported.",
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "UNAVAILABLE": "service unavailable",
    "TOOMANYREQUESTS": "too many requests",
    "DIGEST_INVALID": "provided digest did not match uploaded content",
    "SIZE_INVALID": "provided length did not match content length",
    "RANGE_INVALID": "invalid content range",
    "NAME_INVALID": "invalid repository name",
    "TAG_INVALID": "manifest tag did not match URI",
    "NAME_UNKNOWN": "repository name not known to registry",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "MANIFEST_INVALID": "manifest invalid",
    "MANIFEST_UNVERIFIED": "manifest failed signature verification",
    "MANIFEST_BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UPLOAD_UNKNOWN": "blob upload unknown to registry",
    "BLOB_UPLOAD_INVALID": "blob upload invalid",
}
"""The codes that Docker knows, with their usual messages."""
NO_CREDENTIALS = "NO_CREDENTIALS"
"""Our own code for a registry that wants Basic of someone who has none."""
HOPELESS = frozenset({"UNAUTHORIZED", "UNSUPPORTED", "DENIED", "TOOMANYREQUESTS", "NAME_UNKNOWN", "BLOB_UNKNOWN"})
"""Trying again does not help."""


class Fault(Exception):
    """Something went wrong at a registry. ``code`` is the registry's, ``status`` that of HTTP; empty and 0 if none."""

    def __init__(self, message: str, *, code: str = "", status: int = 0, retry: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.retry = retry
        self.prefix = ""
        """``Get "https://…": `` where the request itself failed, as Go's url.Error."""
        self.retry_after = 0.0
        """Seconds that the registry asked to wait."""
        self.bare = False
        """Whether the registry said no more than a code."""

    def __str__(self) -> str:
        return self.prefix + self.message

    def during(self, method: str, url: object) -> Fault:
        """The same, saying which request it was."""
        self.prefix = f'{method.capitalize()} "{url}": {self.prefix}'
        return self


class Unreachable(Fault):
    """No answer."""


class Broken(Fault):
    """An answer that ended too early, or was not HTTP."""


class Refused(Fault):
    """An answer that says no, for one reason or for several."""

    others: Sequence[Refused] = ()

    @property
    def all_reasons(self) -> str:
        """Every reason, as Docker lists them where it does not explain the first."""
        every = (self.message, *(other.message for other in self.others))
        return f"errors:\n{chr(10).join(every)}\n" if self.others else self.message


def read_refusal(status: int, reason: str, body: bytes, bearer_error: str = "", description: str = "") -> Refused:
    """What an answer of 400 and above says (distribution-spec, "Error Codes"; RFC 6750, 3.1)."""
    if not 400 <= status < 500:
        text = reason or phrase_of(status)
        return Refused(f"received unexpected HTTP status: {status} {text}".rstrip(), status=status)
    code = {"invalid_token": "UNAUTHORIZED", "insufficient_scope": "DENIED"}.get(bearer_error, "")
    if code:
        first = _refused(code, description or MESSAGES[code], status)
        rest = _parse_body(status, body)
        return _merged([first, rest, *rest.others])
    return _parse_body(status, body)


def _merged(refusals: list[Refused]) -> Refused:
    """The first of several, which is the one that counts; the others are shown where it is not explained."""
    first, *others = refusals
    first.others = others
    return first


def _parse_body(status: int, body: bytes) -> Refused:
    try:
        told: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if status == HTTPStatus.UNAUTHORIZED:
            return _refused("UNAUTHORIZED", MESSAGES["UNAUTHORIZED"], status)
        return _unreadable(status, syntax_error(body), body)
    details = told.get("details") if isinstance(told, dict) else None
    if isinstance(details, str) and details:
        code = {401: "UNAUTHORIZED", 429: "TOOMANYREQUESTS"}.get(status, "UNKNOWN")
        return _refused(code, details, status)
    errors = told.get("errors") if isinstance(told, dict) else None
    listed = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    if not listed:
        if status == HTTPStatus.UNAUTHORIZED:
            return _refused("UNAUTHORIZED", MESSAGES["UNAUTHORIZED"], status)
        return _unreadable(status, "no error details found in HTTP response body", body)
    return _merged([_listed(one, status) for one in listed[:LISTED_MAX]])


def _listed(error: dict[str, Any], status: int) -> Refused:
    code = str(error.get("code") or "UNKNOWN").upper()
    code = code if code in MESSAGES else "UNKNOWN"
    message = str(error.get("message") or "")
    if error.get("detail") is None and message in {"", MESSAGES[code]}:
        # Docker takes an error without particulars for its bare code, and says no more than that.
        return _refused(code, "", status)
    return _refused(code, message, status)


def _refused(code: str, message: str, status: int) -> Refused:
    words = code.lower().replace("_", " ") + (f": {message}" if message else "")
    refused = Refused(words, code=code, status=status, retry=code not in HOPELESS)
    refused.bare = not message
    return refused


def _unreadable(status: int, why: str, body: bytes) -> Refused:
    shown = json.dumps(body[:2048].decode(errors="replace"), ensure_ascii=False)
    return Refused(f"error parsing HTTP {status} response body: {why}: {shown}", status=status, retry=False)


def syntax_error(body: bytes) -> str:
    """What Go's JSON reader says of a body that is not JSON from its first bytes on."""
    text = body[:64].decode(errors="replace").lstrip(" \t\r\n")
    if not text:
        return "unexpected end of JSON input"
    for literal in ("true", "false", "null"):
        if text[0] == literal[0]:
            for found, wanted in zip(text[1:], literal[1:], strict=False):
                if found != wanted:
                    return f"invalid character '{found}' in literal {literal} (expecting '{wanted}')"
    return f"invalid character '{text[0]}' looking for beginning of value"


def phrase_of(status: int) -> str:
    """What the status is called; empty for one without a name."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def unreachable(error: OSError, address: str = "") -> Unreachable:
    """A failed connect, TLS handshake or exchange in the words of Go's net and crypto/tls."""
    dial = f"dial tcp {address}: " if address else ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(f"tls: failed to verify certificate: x509: {_certificate(error)}")
    if isinstance(error, ssl.SSLError):
        return Unreachable(_tls(error))
    if isinstance(error, TimeoutError):
        return Unreachable(f"{dial}i/o timeout" if dial else "net/http: timeout awaiting response headers")
    if isinstance(error, socket.gaierror):
        host = address.rpartition(":")[0] or address
        why = "server misbehaving" if error.errno == socket.EAI_AGAIN else "no such host"
        return Unreachable(f"dial tcp: lookup {host}{_name_server()}: {why}")
    text = (error.strerror or str(error) or type(error).__name__).lower()
    return Unreachable(f"{dial}connect: {text}" if dial else text)


def _name_server() -> str:
    """`` on 192.0.2.1:53``: whom the name was asked of, which tells a wrong name from a wrong name server."""
    try:
        lines = Path("/etc/resolv.conf").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    servers = [words[1] for line in lines if (words := line.split())[:1] == ["nameserver"] and len(words) > 1]
    if not servers:
        return ""
    return f" on [{servers[0]}]:53" if ":" in servers[0] else f" on {servers[0]}:53"


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    unknown = {18, 19, 20, 21}  # X509_V_ERR_…: self-signed, self-signed in chain, no local issuer, leaf alone
    if error.verify_code in unknown:
        return "certificate signed by unknown authority"
    if error.verify_code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
        return "certificate has expired or is not yet valid"
    return error.verify_message.lower()


def _tls(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}:
        return "http: server gave HTTP response to HTTPS client"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or reason == "UNEXPECTED_EOF_WHILE_READING":
        return "EOF"
    if "ALERT" in reason:
        return f"remote error: tls: {reason.rpartition('ALERT_')[2].lower().replace('_', ' ')}"
    return f"tls: {reason.lower().replace('_', ' ') or error}"


def told(fault: Fault, name: Reference | None = None, *, whole: bool = True) -> WherryError:
    """The error that the user gets; ``name`` is what was pulled, None where nothing was.

    With ``whole`` every reason of a refusal and the request that had no credentials are shown; of blobs Docker shows
    less.
    """
    message = str(fault)
    if isinstance(fault, Refused) and whole and name is None and not fault.prefix:
        message = fault.all_reasons
    if fault.code == NO_CREDENTIALS and not whole:
        message = fault.message
    if name is not None and not fault.prefix and not fault.bare:
        if fault.code == "DENIED":
            access = f"pull access denied for {name.familiar_name}"
            return NotFound(f"{access}, repository does not exist or may require 'docker login': {message}")
        if fault.code == "MANIFEST_UNKNOWN":
            return NotFound(f"manifest for {name.familiar} not found: {message}")
        if fault.code == "NAME_UNKNOWN":
            return NotFound(f"repository {name.familiar_name} not found: {message}")
    if fault.code == "UNAUTHORIZED" and not fault.prefix and name is None:
        # Of a pull it would be 401, at which clients before 29 ask for a password, whoever is there to answer.
        return Unauthorized(message)
    if fault.code in {"MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NAME_UNKNOWN"}:
        return NotFound(message)
    if fault.code == "DENIED" and not fault.prefix:
        return Forbidden(message)
    return Internal(message)


@contextmanager
def telling(name: Reference | None = None, *, whole: bool = True) -> Iterator[None]:
    """The boundary of the package: faults inside, the error family outside."""
    try:
        yield
    except Fault as fault:
        raise told(fault, name, whole=whole) from fault
    except UnicodeError as error:
        raise InvalidArgument(f"invalid character in a request: {error}") from None
