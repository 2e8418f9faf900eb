"""Searching a registry: ``GET /v1/search`` of the first registry API, which Docker Hub and a few others still have."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

from wherry.lib.errors import Internal, InvalidArgument
from wherry.oci.reference import DEFAULT_DOMAIN, LEGACY_DOMAIN, OFFICIAL, Reference
from wherry.transfer.remote.client import ANY_STATUS, Client, Place
from wherry.transfer.remote.credentials import Credentials
from wherry.transfer.remote.faults import Fault, syntax_error, telling
from wherry.transfer.remote.places import places_of
from wherry.transfer.remote.registries import Registries
from wherry.transfer.remote.stop import Stop
from wherry.transfer.remote.url import Url

ANSWER_MAX = 4 * 1024 * 1024
LIMIT_MAX = 100
LIMIT_DEFAULT = 25
_SCOPE = "registry:catalog:search"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One repository; what the registry does not tell is empty."""

    name: str = ""
    description: str | None = ""
    star_count: int = 0
    is_official: bool = False


class _Answer(msgspec.Struct):
    results: list[Found] | None = None


def search(registries: Registries, term: str, limit: int, credentials: Credentials | None, stop: Stop) -> list[Found]:
    """The repositories that the registry finds. Raises InvalidArgument, Internal, Unauthorized, Stopped."""
    if "://" in term:
        raise InvalidArgument(f"invalid repository name: repository name ({term}) should not have a scheme")
    limit = limit or LIMIT_DEFAULT
    domain, remote = split_term(term)
    with telling():
        if domain == DEFAULT_DOMAIN:
            place = Place(Url("https", LEGACY_DOMAIN), "")
            remote = remote.removeprefix(OFFICIAL)
        else:
            place = _find(registries, domain, stop)
        if not 1 <= limit <= LIMIT_MAX:
            raise InvalidArgument(f"limit {limit} is outside the range of [1, {LIMIT_MAX}]")
        query = urlencode([("q", remote), ("n", str(limit))])
        return _ask(registries, place, query, credentials, stop)


def split_term(term: str) -> tuple[str, str]:
    """The registry and what to search it for."""
    first, slash, rest = term.partition("/")
    if not slash or ("." not in first and ":" not in first and first != "localhost"):
        return DEFAULT_DOMAIN, term
    return (DEFAULT_DOMAIN if first == LEGACY_DOMAIN else first), rest


def _find(registries: Registries, domain: str, stop: Stop) -> Place:
    """The place that answers a ping of the first API, by https or, where that is allowed, by http."""
    failures: list[Fault] = []
    place = None
    for place in places_of(registries.settings, Reference(domain, ""), push=True):
        url = place.url.at("/v1/_ping")
        try:
            Client(registries.services, place, None, (), stop).call("GET", url, accept=ANY_STATUS).close()
        except Fault as fault:
            failures.append(fault)
        else:
            return place
    assert place is not None
    root = place.url.at("/v1/")
    if len(failures) > 1:
        raise InvalidArgument(
            f'invalid registry endpoint "{root}". HTTPS attempt: {failures[0]}. HTTP attempt: {failures[1]}'
        )
    raise InvalidArgument(
        f"invalid registry endpoint {root}: {failures[0]}. If this private registry supports only HTTP or HTTPS with "
        f"an unknown CA certificate, add `--insecure-registry {domain}` to the daemon's arguments. In the case of "
        "HTTPS, if you have access to the registry's CA certificate, no need for the flag; place the CA certificate at "
        f"/etc/docker/certs.d/{domain}/ca.crt"
    )


def _ask(registries: Registries, place: Place, query: str, credentials: Credentials | None, stop: Stop) -> list[Found]:
    headers = {"Accept": "application/json", "X-Docker-Token": "true"}
    if credentials is not None and credentials.identity_token and credentials.username:
        client = Client(registries.services, place, credentials, (_SCOPE,), stop)
        client.ping()
    else:
        known = credentials is not None and bool(credentials.username) and place.url.scheme == "https"
        client = Client(registries.services, place, credentials if known else None, (), stop, unasked=known)
    url = place.url.at("/v1/search").with_query(query)
    with client.call("GET", url, headers, accept=ANY_STATUS) as response:
        if response.status != 200:
            raise Internal(f"unexpected status code {response.status}")
        raw = response.read(ANSWER_MAX)
    try:
        return msgspec.json.decode(raw, type=_Answer).results or []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        words = str(error) if raw.lstrip()[:1] == b"{" else syntax_error(raw)
        raise Internal(f"error decoding registry search results: {words}") from None
