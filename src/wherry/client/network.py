"""Networks, as the Engine API offers them."""

from __future__ import annotations

from wherry.client.errors import ClientError
from wherry.client.query import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.client.client import Client, Query


def path_of(name: str, call: str = "") -> str:
    """/networks/<name><call>."""
    if not name.strip():
        raise ClientError("invalid network name or ID: value is empty")
    return f"/networks/{quote(name, b'/:@$&+,;=')}{call}"


def listing(client: Client, query: Query) -> list[dict[str, Any]]:
    """All networks that the filters let through."""
    return client.json_list("GET", "/networks", query)


def inspect(client: Client, name: str, *, verbose: bool = False) -> bytes:
    """Everything about it, as the daemon wrote it."""
    return client.raw("GET", path_of(name), {"verbose": "true"} if verbose else None)


def create(client: Client, body: object) -> str:
    """Return the new network's id."""
    return str(client.json_object("POST", "/networks/create", None, body).get("Id", ""))


def connect(client: Client, name: str, container: str, endpoint: object) -> None:
    """Plug a container in."""
    client.call("POST", path_of(name, "/connect"), None, {"Container": container, "EndpointConfig": endpoint})


def disconnect(client: Client, name: str, container: str, *, force: bool) -> None:
    """Unplug a container."""
    client.call("POST", path_of(name, "/disconnect"), None, {"Container": container, "Force": force})


def remove(client: Client, name: str) -> None:
    """Remove it."""
    client.call("DELETE", path_of(name))
