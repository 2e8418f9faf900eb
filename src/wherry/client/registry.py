"""Registries through the daemon, as the Engine API offers them: log in, search, and the manifests of our own API."""

from __future__ import annotations

from wherry.client.query import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.client.client import Client, Query
    from wherry.client.registry_auth import RegistryAuth

_IN_PATH = b"/:@"


def login(client: Client, auth: RegistryAuth) -> dict[str, Any]:
    """Try the credentials; the answer has ``Status`` and, at some registries, ``IdentityToken``."""
    return client.json_object("POST", "/auth", None, auth.members())


def search(client: Client, query: Query, auth: RegistryAuth) -> list[dict[str, Any]]:
    """Repositories whose name or description has the term."""
    return client.json_list("GET", "/images/search", query, headers=auth.header())


def manifest(client: Client, name: str, query: Query, auth: RegistryAuth) -> dict[str, Any]:
    """A manifest as the registry has it: ``MediaType``, ``Digest``, ``Raw`` (base64), ``Platform``."""
    return client.json_object("GET", f"/wherry/manifests/{quote(name, _IN_PATH)}", query, headers=auth.header())


def put_manifest(client: Client, name: str, query: Query, body: object, auth: RegistryAuth) -> dict[str, Any]:
    """Push a manifest or an index; the answer has its ``Digest``."""
    return client.json_object("PUT", f"/wherry/manifests/{quote(name, _IN_PATH)}", query, body, headers=auth.header())
