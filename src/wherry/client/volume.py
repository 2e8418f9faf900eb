"""Volumes, as the Engine API offers them."""

from __future__ import annotations

from wherry.client.errors import ClientError
from wherry.client.query import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.client.client import Client, Query


def path_of(name: str) -> str:
    """/volumes/<name>."""
    if not name.strip():
        raise ClientError("invalid volume name: value is empty")
    return f"/volumes/{quote(name, b'/:@$&+,;=')}"


def listing(client: Client, query: Query) -> list[dict[str, Any]]:
    """All volumes that the filters let through."""
    return client.json_object("GET", "/volumes", query).get("Volumes") or []


def inspect(client: Client, name: str) -> Any:
    """Everything about it."""
    return client.json_object("GET", path_of(name))


def create(client: Client, body: object) -> str:
    """Return the new volume's name."""
    return str(client.json_object("POST", "/volumes/create", None, body).get("Name", ""))


def remove(client: Client, name: str, *, force: bool) -> None:
    """Remove it."""
    client.call("DELETE", path_of(name), {"force": "1"} if force else None)
