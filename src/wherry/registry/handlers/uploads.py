"""``/v2/<name>/blobs/uploads/…``: pushing blobs, in one piece or in chunks, and mounting them."""

from __future__ import annotations

import re

from wherry.registry import names
from wherry.registry.context import Context
from wherry.registry.errors import BadDigest, BadRange, BadSize, BadUpload
from wherry.registry.hooks import MOUNT, PUSH
from wherry.registry.http.message import Request, Response
from wherry.registry.routes import Target
from wherry.registry.uploads import CANONICAL

_CONTENT_RANGE = re.compile(r"(?:bytes )?(\d{1,18})-(\d{1,18})(?:/(?:\d{1,18}|\*))?", re.ASCII)


def begin(context: Context, request: Request, target: Target) -> Response:
    """POST: a mount, a whole blob, or the beginning of an upload."""
    if request.query.text("mount"):
        mounted = _mount(context, request, target)
        if mounted is not None:
            return mounted
    elif request.query.text("digest"):
        return _whole(context, request, target)
    algorithm = request.query.text("digest-algorithm") or CANONICAL
    if algorithm not in names.LENGTHS:
        raise BadDigest("unsupported digest algorithm", detail=algorithm[:200])
    identifier = context.uploads.begin(target.name, algorithm)
    return _state(context, request, target.name, identifier, 0, status=202)


def show(context: Context, request: Request, target: Target) -> Response:
    """GET: how far the upload is."""
    identifier = names.check_upload(target.reference)
    size = context.uploads.size(target.name, identifier)
    return _state(context, request, target.name, identifier, size, status=204)


def add(context: Context, request: Request, target: Target) -> Response:
    """PATCH: a chunk."""
    identifier = names.check_upload(target.reference)
    chunk = _Chunk(context, request, target.name, identifier)
    size = context.uploads.append(target.name, identifier, chunk.fill, chunk.check)
    return _state(context, request, target.name, identifier, size, status=202)


def finish(context: Context, request: Request, target: Target) -> Response:
    """PUT: the last chunk, if one is left, and the digest of the whole."""
    identifier = names.check_upload(target.reference)
    said = request.query.text("digest")
    if not said:
        raise BadDigest("digest parameter missing")
    digest = names.check_digest(said)
    chunk = _Chunk(context, request, target.name, identifier)
    _, size = context.uploads.finish(target.name, identifier, digest, chunk.fill, chunk.check)
    return _created(context, request, target.name, digest, size)


def cancel(context: Context, request: Request, target: Target) -> Response:
    """DELETE: the upload is not wanted any more."""
    del request
    identifier = names.check_upload(target.reference)
    context.uploads.forget(target.name, identifier)
    return Response(status=204)


class _Chunk:
    """The body of a request that adds to an upload, checked against its Content-Range."""

    def __init__(self, context: Context, request: Request, name: str, identifier: str) -> None:
        self._body = request.body
        self._where = context.urls.upload(request, name, identifier)
        self._start: int | None = None
        self._left: int | None = None
        text = request.headers.get("content-range")
        if text is not None:
            match = _CONTENT_RANGE.fullmatch(text.strip())
            if match is None or int(match[2]) < int(match[1]):
                raise BadUpload("invalid Content-Range", detail=text[:200])
            self._start = int(match[1])
            self._left = int(match[2]) - self._start + 1
            if self._body.length is not None and self._body.length != self._left:
                raise BadSize(detail=f"Content-Range {text} has {self._left} bytes, the body {self._body.length}")

    def check(self, size: int) -> None:
        """The chunk goes on where the upload ends. Raises BadRange."""
        if self._start is not None and self._start != size:
            headers = {"Location": self._where, "Range": _span(size)}
            raise BadRange(detail=f"the upload has {size} bytes, the chunk begins at {self._start}", headers=headers)

    def fill(self, buffer: memoryview) -> int:
        """The body's next bytes. Raises BadSize when there are more or fewer than was said."""
        count = self._body.readinto(buffer)
        if self._left is not None:
            self._left -= count
            if self._left < 0 or (not count and self._left):
                raise BadSize(detail="the body has not as many bytes as its Content-Range")
        return count


def _mount(context: Context, request: Request, target: Target) -> Response | None:
    """Mounting a blob from another repository; None when it cannot be had there."""
    digest = names.check_digest(request.query.text("mount"))
    source = request.query.text("from")
    if not names.is_name(source) or not request.mountable:
        return None
    with context.store.gate.shared():
        size = context.store.repository(source).blob_size(digest)
        if size is None:
            return None
        context.store.repository(target.name).link_blob(digest)
    return _created(context, request, target.name, digest, size, source=source)


def _whole(context: Context, request: Request, target: Target) -> Response:
    """A blob in a single POST: an upload that begins and ends here; nothing of it is left when it fails."""
    digest = names.check_digest(request.query.text("digest"))
    identifier = context.uploads.begin(target.name, digest.partition(":")[0])
    try:
        chunk = _Chunk(context, request, target.name, identifier)
        _, size = context.uploads.finish(target.name, identifier, digest, chunk.fill, chunk.check)
    except BadDigest:
        raise
    except BaseException:
        context.uploads.forget(target.name, identifier)
        raise
    return _created(context, request, target.name, digest, size)


def _created(context: Context, request: Request, name: str, digest: str, size: int, *, source: str = "") -> Response:
    context.tell_of_blob(MOUNT if source else PUSH, request, name, digest, size, source=source)
    headers = {"Location": context.urls.blob(request, name, digest), "Docker-Content-Digest": digest}
    return Response(status=201, headers=headers)


def _state(context: Context, request: Request, name: str, identifier: str, size: int, *, status: int) -> Response:
    headers = {
        "Location": context.urls.upload(request, name, identifier),
        "Docker-Upload-Uuid": identifier,
        "Range": _span(size),
    }
    return Response(status=status, headers=headers)


def _span(size: int) -> str:
    """The bytes that have come, both ends inclusive; ``0-0`` for none, as every registry says."""
    return f"0-{max(size - 1, 0)}"
