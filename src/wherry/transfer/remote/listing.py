"""Lists that a registry gives: tags by pages, referrers (distribution-spec, "Content Discovery")."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from wherry.oci.manifest import MANIFEST_MAX, OCI_INDEX
from wherry.transfer.remote.client import Client
from wherry.transfer.remote.faults import Fault
from wherry.transfer.remote.manifests import ACCEPT
from wherry.transfer.remote.transport import Response
from wherry.transfer.remote.url import Url

PAGE = 1000
PAGES_MAX = 1000
NOT_FOUND = 404
EMPTY = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
_NEXT = re.compile(r'<([^<>]*)>[^,]*?;\s*rel\s*=\s*(?:"next"|next)(?=\s*(?:[;,]|$))', re.IGNORECASE)


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


def tag_page(client: Client, url: Url | None) -> tuple[list[str], Url | None]:
    """One page of tags and where the next one is (end-8a, end-8b)."""
    here = url or client.place.target("tags/list").with_query(f"n={PAGE}")
    with client.call("GET", here, {"Accept": "application/json"}) as response:
        raw = response.read(MANIFEST_MAX)
        following = _next_page(response)
    try:
        return msgspec.json.decode(raw, type=_Tags).tags or [], following
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Fault(f"invalid list of tags: {error}", retry=False) from None


def all_tags(client: Client) -> Iterator[str]:
    """Every tag, page by page; a registry whose pages lead back to an earlier one is not followed."""
    url: Url | None = None
    seen: set[str] = set()
    for _ in range(PAGES_MAX):
        tags, url = tag_page(client, url)
        yield from tags
        if url is None or url.target in seen:
            return
        seen.add(url.target)
    raise Fault(f"the list of tags has more than {PAGES_MAX} pages", retry=False)


def referrers_of(client: Client, digest: str) -> bytes:
    """The index of what refers to ``digest`` (end-12a); by the tag schema where the registry lacks the API."""
    with client.call(
        "GET", client.place.target(f"referrers/{digest}"), {"Accept": OCI_INDEX}, accept=frozenset({NOT_FOUND})
    ) as response:
        if response.status != NOT_FOUND:
            return response.read(MANIFEST_MAX)
    tag = digest.replace(":", "-", 1)[:128]
    target = client.place.target(f"manifests/{tag}")
    with client.call("GET", target, {"Accept": ACCEPT}, accept=frozenset({NOT_FOUND})) as response:
        return response.read(MANIFEST_MAX) if response.status != NOT_FOUND else EMPTY


def _next_page(response: Response) -> Url | None:
    match = _NEXT.search(response.header("Link"))
    if match is None:
        return None
    following = response.linked(match[1])
    if following.origin != response.url.origin:
        raise Fault(f"refusing to follow the list of tags to {following}", retry=False)
    return following
