"""``/v2/<name>/blobs/<digest>``: get, by ranges too, and delete."""

from __future__ import annotations

import re

from wherry.registry import layout, names
from wherry.registry.context import Context
from wherry.registry.errors import BadRange, BlobUnknown, Unsupported
from wherry.registry.hooks import DELETE, PULL, Event
from wherry.registry.http.message import Request, Response, Stretch
from wherry.registry.routes import Target

OCTETS = "application/octet-stream"
FOREVER = "max-age=31536000"
"""What a digest names never changes."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def get_blob(context: Context, request: Request, target: Target) -> Response:
    """Pulling blobs; Checking if content exists in the registry."""
    digest = names.check_digest(target.reference)
    if context.store.repository(target.name).blob_size(digest) is None:
        if context.upstream is not None:
            response = context.upstream.blob(request, target.name, digest)
            if response is not None:
                return response
        raise BlobUnknown(detail=digest)
    return answer_blob(context, request, target.name, digest)


def answer_blob(context: Context, request: Request, name: str, digest: str) -> Response:
    """The answer to GET or HEAD of a blob that the repository has. Raises BlobUnknown, BadRange."""
    kept = context.store.repository(name).blob(digest)
    size = None if kept is None else context.store.blob_size(kept)
    if kept is None or size is None:
        raise BlobUnknown(detail=digest)
    etag = f'"{digest}"'
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": FOREVER,
        "Content-Type": OCTETS,
        "Docker-Content-Digest": digest,
        "Etag": etag,
    }
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status=304, headers=headers)
    if request.method == "HEAD":
        return Response(headers=headers, length=size)
    context.tell(
        Event(
            action=PULL,
            repository=name,
            digest=digest,
            size=size,
            url=context.urls.absolute(request, f"/v2/{name}/blobs/{digest}"),
            request=request,
        )
    )
    if context.settings.redirect:
        elsewhere = context.store.driver.redirect(layout.blob_data(kept), request.method)
        if elsewhere is not None:
            return Response(status=307, headers={**headers, "Location": elsewhere})
    part = None
    if request.headers.get("if-range", etag) == etag:
        part = parse_range(request.headers.get("range"), size)
    offset, length = part or (0, size)
    body = Stretch(context.store.open_blob(kept, offset), offset, length)
    if part is None:
        return Response(headers=headers, body=body)
    headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
    return Response(status=206, headers=headers, body=body)


def delete_blob(context: Context, request: Request, target: Target) -> Response:
    """Deleting blobs: the repository forgets it; its bytes go with a garbage collection."""
    if not context.settings.delete:
        raise Unsupported("deletion is disabled")
    digest = names.check_digest(target.reference)
    context.store.repository(target.name).unlink_blob(digest)
    context.tell(Event(action=DELETE, repository=target.name, digest=digest, request=request))
    return Response(status=202, headers={"Docker-Content-Digest": digest})


def parse_range(text: str | None, size: int) -> tuple[int, int] | None:
    """Offset and length that a Range header asks for; None for all (RFC 9110, 14.2: what is no range is ignored).

    Several ranges are answered by all. Raises BadRange when there is no byte in the range.
    """
    match = _RANGE.fullmatch(text.replace(" ", "")) if text else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        start = size - length
    else:
        start = int(match[1])
        end = int(match[2]) if match[2] else size - 1
        if match[2] and end < start:
            return None
        length = min(end, size - 1) - start + 1
    if length <= 0:
        raise BadRange(headers={"Content-Range": f"bytes */{size}"})
    return start, length


def _matches(asked: str | None, etag: str) -> bool:
    return asked is not None and (asked.strip() == "*" or etag in [one.strip() for one in asked.split(",")])
