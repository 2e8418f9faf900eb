"""Bearer tokens: got from the realm that a registry names, kept until they expire.

distribution's "Token Authentication Specification" (GET, with Basic or anonymous) and "OAuth 2.0" (POST, with the
identity token that a login gave).
"""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.transfer.remote.body import Plain
from wherry.transfer.remote.challenge import Challenge, bearer_error, parse_challenges
from wherry.transfer.remote.credentials import Credentials
from wherry.transfer.remote.faults import ERROR_MAX, Fault, Refused, read_refusal
from wherry.transfer.remote.stop import Stop
from wherry.transfer.remote.transport import Response, Transport
from wherry.transfer.remote.url import Url, parse_url

CLIENT_ID = "docker"
TOKEN_MAX = 1024 * 1024
"""Bytes of a token server's answer."""
SHORTEST = 60
"""Seconds that a token is good for when the server does not say, or says less."""
MARGIN = 5
KEPT_MAX = 256
REDIRECTS_MAX = 5


class _Answer(msgspec.Struct):
    token: str = ""
    access_token: str = ""
    refresh_token: str = ""
    expires_in: int | float = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """A token, when it is to be replaced (monotonic), and the identity token that may have come with it."""

    token: str
    until: float
    identity_token: str = ""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: Url
    headers: dict[str, str]
    body: Plain


@dataclass(frozen=True, slots=True)
class Demand:
    """What a token is asked for. ``trusted`` says that the registry may be spoken to in clear."""

    challenge: Challenge
    scopes: tuple[str, ...]
    credentials: Credentials
    offline: bool = False
    trusted: bool = False
    verify: bool = True

    @property
    def key(self) -> tuple[str, str, tuple[str, ...], str]:
        """What tells one cached token from another."""
        parameters = self.challenge.parameters
        return parameters.get("realm", ""), parameters.get("service", ""), self.scopes, self.credentials.fingerprint


class Tokens:
    """The tokens of one daemon. Thread-safe."""

    def __init__(self, transport: Transport, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str, tuple[str, ...], str], Grant] = {}

    def get(self, demand: Demand, stop: Stop, *, fresh: bool = False) -> Grant:
        """A token, from the cache unless ``fresh``. Raises Fault, Stopped."""
        with self._lock:
            known = self._kept.get(demand.key)
        if known is not None and not fresh and not demand.offline and known.until > time.monotonic():
            return known
        grant = self._fetch(demand, stop)
        with self._lock:
            while len(self._kept) >= KEPT_MAX:
                self._kept.pop(next(iter(self._kept)))
            self._kept[demand.key] = grant
        return grant

    def _fetch(self, demand: Demand, stop: Stop) -> Grant:
        realm = _realm(demand)
        asked = time.monotonic()
        request = _request(demand, realm)
        try:
            with self._follow(demand, request, stop) as response:
                if response.status >= 300:
                    raise words_of(response)
                raw = response.read(TOKEN_MAX)
        except Refused:
            raise
        except Fault as fault:
            raise fault.during(request.method, request.url) from None
        return _grant(raw, asked)

    def _follow(self, demand: Demand, request: _Request, stop: Stop) -> Response:
        """Follow redirects of a GET. What is secret goes to the realm alone."""
        here, method, headers = request.url, request.method, request.headers
        for _ in range(REDIRECTS_MAX):
            same = here.origin == request.url.origin
            sent = headers if same else {name: text for name, text in headers.items() if name != "Authorization"}
            verify = demand.verify or here.host != request.url.host
            response = self._transport.send(
                method, here, sent, request.body, verify=verify, timeout=self._timeout, stop=stop
            )
            if method != "GET" or not response.redirects:
                return response
            response.close()
            there = response.linked(response.header("Location"))
            if here.scheme == "https" and there.scheme == "http":
                raise Fault(f"refusing to follow a redirect from https to http: {there}", retry=False)
            here = there
        raise Fault(f"stopped after {REDIRECTS_MAX} redirects", retry=False)


def basic(credentials: Credentials) -> str:
    """The value of Authorization (RFC 7617)."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _realm(demand: Demand) -> Url:
    try:
        realm = parse_url(demand.challenge.parameters.get("realm", ""))
    except InvalidArgument as error:
        raise Fault(f"invalid realm of the token server: {error.message}", retry=False) from None
    secret = demand.credentials.password or demand.credentials.identity_token
    if realm.scheme == "http" and secret and not demand.trusted:
        raise Fault(f"refusing to send credentials in clear to {realm}", retry=False)
    return realm


def _request(demand: Demand, realm: Url) -> _Request:
    credentials, service = demand.credentials, demand.challenge.parameters.get("service", "")
    if credentials.identity_token:
        form = {
            "client_id": CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": credentials.identity_token,
            "scope": " ".join(demand.scopes),
            "service": service,
        }
        content = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return _Request("POST", realm, content, Plain(urlencode(form).encode()))
    query: list[tuple[str, str]] = []
    if credentials.username and credentials.password:
        query.append(("account", credentials.username))
    if demand.offline:
        query += [("client_id", CLIENT_ID), ("offline_token", "true")]
    query += [("scope", scope) for scope in demand.scopes]
    if service:
        query.append(("service", service))
    headers = {"Authorization": basic(credentials)} if credentials.username and credentials.password else {}
    return _Request("GET", realm.with_query(urlencode(query)), headers, Plain())


def words_of(response: Response) -> Refused:
    """The error that an answer is; reads the beginning of its body."""
    body = response.read_some(ERROR_MAX)
    error, description = bearer_error(parse_challenges(response.headers.get_all("WWW-Authenticate") or []))
    return read_refusal(response.status, response.reason, body, error, description)


def _grant(raw: bytes, asked: float) -> Grant:
    try:
        answer = msgspec.json.decode(raw, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Fault(f"unable to decode token response: {error}", retry=False) from None
    token = answer.token or answer.access_token
    if not token or not token.isprintable() or not token.isascii():
        raise Fault("authorization server did not include a token in the response", retry=False)
    return Grant(token, asked + max(answer.expires_in, SHORTEST) - MARGIN, answer.refresh_token)
