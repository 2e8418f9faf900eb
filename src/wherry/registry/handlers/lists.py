"""What there is: the API itself, repositories, tags, referrers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec

from wherry.registry import names
from wherry.registry.context import Context
from wherry.registry.documents import OCI_INDEX
from wherry.registry.errors import BadPage, NameUnknown
from wherry.registry.http.message import JSON, Request, Response
from wherry.registry.routes import Target

_INDEX_BYTES = 4 * 1024 * 1024
"""A client takes no larger manifest; more referrers than that are given in pages."""


def answer_base(context: Context, request: Request, target: Target) -> Response:
    """Determining support."""
    del context, request, target
    return Response(headers={"Content-Type": JSON}, body=b"{}")


def list_repositories(context: Context, request: Request, target: Target) -> Response:
    """``_catalog``, which is Docker's registry's and no part of the specification."""
    del target
    limit = context.settings.catalog_max
    count = _count(request)
    if count is not None and not 0 < count <= limit:
        raise BadPage(detail={"n": count})
    page, more = _page(context.store.repositories(), request.query.text("last"), count or limit, str)
    headers = {"Content-Type": JSON}
    if more:
        headers["Link"] = context.urls.next_page("/v2/_catalog", urlencode({"n": count or limit, "last": page[-1]}))
    return Response(headers=headers, body=msgspec.json.encode({"repositories": page}) + b"\n")


def list_tags(context: Context, request: Request, target: Target) -> Response:
    """Listing tags."""
    count = _count(request)
    repository = context.store.repository(target.name)
    upstream = None if context.upstream is None else context.upstream.tags(target.name)
    if upstream is None and not repository.exists():
        raise NameUnknown(detail={"name": target.name})
    tags = sorted({*repository.tags(), *(upstream or ())}, key=_lexical)
    page, more = _page(tags, request.query.text("last"), count, _lexical)
    headers = {"Content-Type": JSON}
    if more and page:
        query = urlencode({"n": count, "last": page[-1]})
        headers["Link"] = context.urls.next_page(f"/v2/{target.name}/tags/list", query)
    return Response(headers=headers, body=msgspec.json.encode({"name": target.name, "tags": page}) + b"\n")


def list_referrers(context: Context, request: Request, target: Target) -> Response:
    """Listing referrers; never 404."""
    subject = names.check_digest(target.reference)
    found = context.referrers.of(context.store.repository(target.name), subject)
    headers = {"Content-Type": OCI_INDEX}
    wanted = request.query.text("artifactType")
    if wanted:
        found = [one for one in found if one.get("artifactType") == wanted]
        headers["OCI-Filters-Applied"] = "artifactType"
    last = request.query.text("last")
    left = [one for one in found if one["digest"] > last]
    page: list[dict[str, Any]] = []
    room = _INDEX_BYTES - 1024
    for one in left:
        room -= len(msgspec.json.encode(one)) + 1
        if room < 0 and page:
            break
        page.append(one)
    if len(page) < len(left):
        query = {"artifactType": wanted} if wanted else {}
        query["last"] = page[-1]["digest"]
        headers["Link"] = context.urls.next_page(f"/v2/{target.name}/referrers/{subject}", urlencode(query))
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page}
    return Response(headers=headers, body=msgspec.json.encode(index))


def _count(request: Request) -> int | None:
    """The ``n`` of the query. Raises BadPage."""
    if not request.query.has("n"):
        return None
    text = request.query.text("n")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadPage(detail={"n": text[:200]})
    return int(text)


def _page(entries: list[str], last: str, count: int | None, key: Callable[[str], Any]) -> tuple[list[str], bool]:
    """At most ``count`` of the sorted entries behind ``last``, and whether more follow."""
    behind = [entry for entry in entries if key(entry) > key(last)] if last else entries
    if count is None:
        return behind, False
    return behind[:count], len(behind) > count


def _lexical(tag: str) -> tuple[str, str]:
    """The specification's order of tags: alphanumeric whatever the case; the case only to tell two apart."""
    return tag.lower(), tag
