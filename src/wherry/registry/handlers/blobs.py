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
    response = answer_blob(context, request, target.name, digest)
    if response is None and context.upstream is not None:
        response = context.upstream.blob(request, target.name, digest)
    if response is None:
        raise BlobUnknown(detail=digest)
    return response


def answer_blob(context: Context, request: Request, name: str, digest: str) -> Response | None:
    """The answer to GET or HEAD of a blob; None when the repository does not have it. Raises BlobUnknown, BadRange."""
    held = context.store.repository(name).held(digest)
    if held is None:
        return None
    kept, size = held
    headers = blob_headers(digest)
    if _matches(request.headers.get("if-none-match"), headers["Etag"]):
        return Response(status=304, headers=headers)
    if request.method == "HEAD":
        return Response(headers=headers, length=size)
    context.tell_of_blob(PULL, request, name, digest, size)
    if context.settings.redirect:
        elsewhere = context.store.driver.redirect(layout.blob_data(kept), request.method)
        if elsewhere is not None:
            return Response(status=307, headers={**headers, "Location": elsewhere})
    status, offset, length = cut(request, headers, size)
    return Response(status=status, headers=headers, body=Stretch(context.store.open_blob(kept, offset), offset, length))


def blob_headers(digest: str) -> dict[str, str]:
    """What is said of a blob, wherever its bytes come from."""
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": FOREVER,
        "Content-Type": OCTETS,
        "Docker-Content-Digest": digest,
        "Etag": f'"{digest}"',
    }


def cut(request: Request, headers: dict[str, str], size: int) -> tuple[int, int, int]:
    """Status, offset and length of the answer to a GET; a part's Content-Range is added. Raises BadRange."""
    if request.headers.get("if-range", headers["Etag"]) != headers["Etag"]:
        return 200, 0, size
    part = parse_range(request.headers.get("range"), size)
    if part is None:
        return 200, 0, size
    offset, length = part
    headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
    return 206, offset, length


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
