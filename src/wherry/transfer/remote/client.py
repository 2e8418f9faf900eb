"""Requests to one place (a registry, or a mirror of it): authorized, redirected, and refused in the registry's words.

Credentials belong to the place's origin: a redirect to another host, port or scheme is followed without them, and one
from https to http is not followed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from wherry.transfer.remote.body import NOTHING, Body
from wherry.transfer.remote.challenge import Challenge, bearer_error, parse_challenges
from wherry.transfer.remote.credentials import Credentials
from wherry.transfer.remote.faults import NO_CREDENTIALS, Fault, Refused
from wherry.transfer.remote.insecure import Insecure
from wherry.transfer.remote.settings import RegistrySettings
from wherry.transfer.remote.stop import Stop
from wherry.transfer.remote.tokens import Demand, Tokens, basic, words_of
from wherry.transfer.remote.transport import Response, Transport
from wherry.transfer.remote.url import Url

REDIRECTS_MAX = 10
KEEPS_METHOD = frozenset({307, 308})
UNAUTHORIZED = 401
ANY_STATUS = frozenset(range(400, 600))
"""What ``Client.call`` is told to accept by who looks at every answer itself."""
RETRY_AFTER_MAX = 60.0
"""Seconds; a registry that wants more patience is refused at once."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository is: the root of the registry, its path there, and how far the place is trusted."""

    url: Url
    path: str
    insecure: bool = False
    """Certificates are not verified, and plain HTTP is allowed."""
    mirror: bool = False

    def target(self, rest: str) -> Url:
        """``/v2/<path>/<rest>``."""
        return self.url.at(f"/v2/{self.path}/{rest}")


@dataclass(frozen=True, slots=True)
class Services:
    """What all clients of a daemon share."""

    settings: RegistrySettings
    transport: Transport
    tokens: Tokens

    @property
    def insecure(self) -> Insecure:
        """Which registries may be insecure."""
        return self.settings.insecure


@dataclass(slots=True)
class _Known:
    challenges: list[Challenge] = field(default_factory=list)
    pinged: bool = False
    wider: tuple[str, ...] = ()
    """Scopes that the registry asked for besides ours."""


class Client:
    """One user at one place. Thread-safe. ``unasked`` sends Basic credentials before they are demanded."""

    def __init__(
        self,
        services: Services,
        place: Place,
        credentials: Credentials | None,
        scopes: tuple[str, ...],
        stop: Stop,
        *,
        unasked: bool = False,
    ) -> None:
        self.place = place
        self._services = services
        self._credentials = credentials or Credentials()
        self._unasked = unasked
        self._scopes = scopes
        self._stop = stop
        self._known = _Known()
        self._lock = threading.Lock()

    def ping(self) -> None:
        """Ask for the API's root once, to learn what the registry demands (distribution-spec, end-1). Raises Fault."""
        with self._lock:
            if self._known.pinged:
                return
            settings = self._services.settings
            url = self.place.url.at("/v2/")
            try:
                response = self._exchange("GET", url, {}, NOTHING, settings.ping_timeout)
            except Fault as fault:
                raise fault.during("GET", url) from None
            with response:
                self._known.challenges = challenges_of(response)
                self._known.pinged = True

    def call(
        self,
        method: str,
        url: Url,
        headers: Mapping[str, str] | None = None,
        body: Body = NOTHING,
        *,
        scopes: tuple[str, ...] = (),
        accept: frozenset[int] = frozenset(),
    ) -> Response:
        """An answer below 400, or one whose status is in ``accept``. Raises Fault, Stopped."""
        asked = (*self._scopes, *(scope for scope in scopes if scope not in self._scopes))
        response = self._authorized(method, url, dict(headers or {}), body, asked)
        if response.status >= 400 and response.status not in accept:
            with response:
                raise refusal_of(response)
        return response

    def authorize(self, *, offline: bool) -> str:
        """Get a token for nothing in particular, as a login does; the identity token that came with it, if any."""
        self.ping()
        bearer = _find(self._known.challenges, "bearer")
        if bearer is None or self._credentials.registry_token:
            return ""
        return self._services.tokens.get(self._demand(bearer, (), offline=offline), self._stop).identity_token

    def _authorized(
        self, method: str, url: Url, headers: dict[str, str], body: Body, scopes: tuple[str, ...]
    ) -> Response:
        header = self._authorization(method, url, scopes, fresh=False) if self._ours(url) else ""
        response = self._follow(method, url, headers, header, body)
        if response.status != UNAUTHORIZED or not body.again or not self._ours(response.url):
            return response
        if not self._learn(response, scopes, had=bool(header)):
            return response
        response.close()
        header = self._authorization(method, url, scopes, fresh=True)
        return self._follow(method, url, headers, header, body)

    def _learn(self, response: Response, scopes: tuple[str, ...], *, had: bool) -> bool:
        """Whether a 401 tells something that makes a second attempt worth while."""
        challenges = challenges_of(response)
        if not challenges:
            return False
        bearer = _find(challenges, "bearer")
        if bearer is None or self._credentials.registry_token:
            # A Basic refusal of what was sent is final.
            learned = not had
        else:
            wanted = bearer.parameters.get("scope", "")
            wider = bool(wanted) and wanted not in scopes and wanted not in self._known.wider
            if wider:
                self._known.wider = (*self._known.wider, wanted)[-4:]
            learned = wider or not had or bearer_error(challenges)[0] != "insufficient_scope"
        self._known.challenges = challenges
        return learned

    def _authorization(self, method: str, url: Url, scopes: tuple[str, ...], *, fresh: bool) -> str:
        try:
            return self._header((*scopes, *self._known.wider), fresh=fresh)
        except Fault as fault:
            raise fault.during(method, url) from None

    def _header(self, scopes: tuple[str, ...], *, fresh: bool) -> str:
        credentials = self._credentials
        if credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        if self._unasked:
            return basic(credentials)
        bearer = _find(self._known.challenges, "bearer")
        if bearer is not None:
            demand = self._demand(bearer, tuple(dict.fromkeys(scopes)))
            return f"Bearer {self._services.tokens.get(demand, self._stop, fresh=fresh).token}"
        if _find(self._known.challenges, "basic") is None:
            return ""
        if not credentials.username and not credentials.password:
            raise Fault("no basic auth credentials", code=NO_CREDENTIALS, retry=False)
        return basic(credentials)

    def _demand(self, bearer: Challenge, scopes: tuple[str, ...], *, offline: bool = False) -> Demand:
        place = self.place
        return Demand(
            bearer,
            scopes,
            self._credentials,
            offline=offline,
            trusted=place.insecure or place.url.scheme == "http",
            verify=not place.insecure,
        )

    def _ours(self, url: Url) -> bool:
        return url.origin == self.place.url.origin

    def _follow(self, method: str, url: Url, headers: dict[str, str], authorization: str, body: Body) -> Response:
        timeout = self._services.settings.read_timeout
        try:
            for _ in range(REDIRECTS_MAX):
                secret = {"Authorization": authorization} if authorization and self._ours(url) else {}
                response = self._exchange(method, url, {**headers, **secret}, body, timeout)
                if not response.redirects:
                    return response
                with response:
                    url = self._redirected(method, response)
        except Fault as fault:
            raise fault.during(method, url) from None
        raise Fault(f"stopped after {REDIRECTS_MAX} redirects", retry=False).during(method, url)

    def _redirected(self, method: str, response: Response) -> Url:
        target = response.linked(response.header("Location"))
        if response.url.scheme == "https" and target.scheme == "http" and not self.place.insecure:
            raise Fault(f"refusing to follow a redirect from https to http: {target}", retry=False)
        if method not in {"GET", "HEAD"} and (response.status not in KEEPS_METHOD or not self._ours(target)):
            raise Fault(f"refusing to follow a redirect of {method} to {target}", retry=False)
        return target

    def _exchange(self, method: str, url: Url, headers: Mapping[str, str], body: Body, timeout: float) -> Response:
        own = url.netloc == self.place.url.netloc
        lax = self.place.insecure if own else url.scheme == "https" and self._services.insecure.covers(url.netloc)
        return self._services.transport.send(
            method, url, headers, body, verify=not lax, timeout=timeout, stop=self._stop
        )


def challenges_of(response: Response) -> list[Challenge]:
    """What a 401 demands; nothing of any other answer."""
    if response.status != UNAUTHORIZED:
        return []
    return parse_challenges(response.headers.get_all("WWW-Authenticate") or [])


def refusal_of(response: Response) -> Refused:
    """The error that an answer is, with the wait that it asks for; reads the beginning of its body."""
    refused = words_of(response)
    wait = response.header("Retry-After").strip()
    if response.status in {429, 503} and wait.isascii() and wait.isdigit() and int(wait[:9]) <= RETRY_AFTER_MAX:
        refused.retry_after = float(wait)
        refused.retry = True
    return refused


def _find(challenges: list[Challenge], scheme: str) -> Challenge | None:
    return next((challenge for challenge in challenges if challenge.scheme == scheme), None)
