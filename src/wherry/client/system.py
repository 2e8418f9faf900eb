"""The daemon itself, as the Engine API offers it: version, info, events, disk usage, prune."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.client.client import Client, Query
    from wherry.client.http import Response


def version(client: Client) -> dict[str, Any]:
    """Versions of the daemon and its parts."""
    return client.json_object("GET", "/version")


def info(client: Client) -> dict[str, Any]:
    """State and settings of the daemon."""
    return client.json_object("GET", "/info")


def events(client: Client, query: Query) -> Response:
    """What happens, one JSON document per line."""
    return client.request("GET", "/events", query)


def disk_usage(client: Client) -> dict[str, Any]:
    """Sizes of images, containers, volumes and build cache."""
    return client.json_object("GET", "/system/df")


def explained(client: Client) -> dict[str, Any]:
    """What each byte of the daemon's data is for (beyond Docker)."""
    return client.json_object("GET", "/wherry/df")


def fsck(client: Client, query: Query) -> Response:
    """Compare state, disk and kernel; the answer tells what differs, one JSON document per line."""
    return client.request("POST", "/wherry/fsck", query)


def prune(client: Client, nouns: str, query: Query) -> dict[str, Any]:
    """Remove what nobody uses: ``nouns`` is containers, images, networks, volumes or build."""
    return client.json_object("POST", f"/{nouns}/prune", query)
