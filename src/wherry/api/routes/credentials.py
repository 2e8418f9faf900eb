"""What a request says of its user at the registry: the header X-Registry-Auth."""

from __future__ import annotations

from wherry.api.server.routing import Request
from wherry.transfer.remote.credentials import Credentials, decode_auth


def credentials_in(request: Request) -> Credentials | None:
    """The credentials of the header; None when there are none, or none that can be read."""
    return decode_auth(request.headers.get("x-registry-auth", ""))
