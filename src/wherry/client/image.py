"""Images, as the Engine API offers them."""

from __future__ import annotations

from wherry.client.errors import ClientError
from wherry.client.query import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.client.client import Client, Query
    from wherry.client.http import File, Response
    from wherry.client.registry_auth import RegistryAuth

_IN_PATH = b"/:@$&+,;="


def path_of(name: str, call: str = "") -> str:
    """/images/<name><call>."""
    if not name.strip():
        raise ClientError("invalid image name: value is empty")
    return f"/images/{quote(name, _IN_PATH)}{call}"


def listing(client: Client, query: Query) -> list[dict[str, Any]]:
    """The summaries of images."""
    return client.json_list("GET", "/images/json", query)


def inspect(client: Client, name: str, query: Query | None = None) -> bytes:
    """Everything about it, as the daemon wrote it."""
    return client.raw("GET", path_of(name, "/json"), query)


def history(client: Client, name: str, query: Query | None = None) -> list[dict[str, Any]]:
    """Its layers, newest first."""
    return client.json_list("GET", path_of(name, "/history"), query)


def load(client: Client, archive: File, query: Query) -> Response:
    """Send an archive of images; the answer tells what was loaded."""
    return client.request("POST", "/images/load", query, archive, headers={"Content-Type": "application/x-tar"})


def save(client: Client, names: Sequence[str], query: Mapping[str, str]) -> Response:
    """An archive of images."""
    return client.request("GET", "/images/get", {"names": names, **query})


def pull(client: Client, query: Query, auth: RegistryAuth) -> Response:
    """Fetch ``fromImage`` from its registry; the answer tells the progress."""
    return client.request("POST", "/images/create", query, headers=auth.header())


def push(client: Client, name: str, query: Query, auth: RegistryAuth) -> Response:
    """Send it to the registry that its name begins with; the answer tells the progress."""
    return client.request("POST", path_of(name, "/push"), query, headers=auth.header())


def create(client: Client, query: Query, body: File | None = None) -> Response:
    """Import ``fromSrc``; the answer tells the progress."""
    return client.request("POST", "/images/create", query, body, headers={"Content-Type": "text/plain"})


def commit(client: Client, query: Query) -> str:
    """Make an image of a container's changes; returns its id."""
    return str(client.json_object("POST", "/commit", query).get("Id", ""))


def tag(client: Client, name: str, repository: str, label: str) -> None:
    """Give it another name."""
    client.call("POST", path_of(name, "/tag"), {"repo": repository, "tag": label})


def remove(client: Client, name: str, query: Query) -> list[dict[str, str]]:
    """Remove it; the answer tells what was untagged and deleted."""
    return client.json_list("DELETE", path_of(name), query)
