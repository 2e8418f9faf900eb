"""Trying a user's credentials, as ``docker login`` does: the API's root, with a token that is good for nothing else."""

from __future__ import annotations

from http import HTTPStatus

from wherry.lib.errors import Internal, InvalidArgument, Unauthorized, WherryError
from wherry.oci.reference import DEFAULT_DOMAIN, LEGACY_DOMAIN, Reference
from wherry.transfer.remote.client import ANY_STATUS, Client
from wherry.transfer.remote.credentials import Credentials
from wherry.transfer.remote.faults import Fault, phrase_of
from wherry.transfer.remote.places import places_of
from wherry.transfer.remote.registries import Registries
from wherry.transfer.remote.stop import Stop
from wherry.transfer.remote.url import parse_url


def log_in(registries: Registries, credentials: Credentials, stop: Stop) -> str:
    """The identity token that the registry gives in place of the password; empty where it gives none.

    Raises Unauthorized, Internal, InvalidArgument, Stopped. Refused credentials are not tried without TLS.
    """
    last: WherryError = Internal("no endpoints found")
    for place in places_of(registries.settings, Reference(_domain(credentials.server_address), ""), push=True):
        client = Client(registries.services, place, credentials, (), stop)
        try:
            return _try(client)
        except Fault as fault:
            if fault.code == "UNAUTHORIZED":
                raise Unauthorized(str(fault)) from None
            last = Internal(str(fault))
    raise last


def _domain(address: str) -> str:
    if not address:
        return DEFAULT_DOMAIN
    try:
        netloc = parse_url(address if "://" in address else f"https://{address}").netloc
    except InvalidArgument as error:
        raise InvalidArgument(f"unable to parse server address: {error.message}") from None
    return DEFAULT_DOMAIN if netloc == LEGACY_DOMAIN else netloc


def _try(client: Client) -> str:
    url = client.place.url.at("/v2/")
    client.ping()
    try:
        identity_token = client.authorize(offline=True)
    except Fault as fault:
        raise fault.during("GET", url) from None
    with client.call("GET", url, accept=ANY_STATUS) as response:
        if response.status != HTTPStatus.OK:
            status = f"{response.status} {phrase_of(response.status)}".rstrip()
            raise Fault(f"login attempt to {url} failed with status: {status}")
    return identity_token
