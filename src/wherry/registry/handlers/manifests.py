"""``/v2/<name>/manifests/<tag or digest>``: get, put, delete."""

from __future__ import annotations

import msgspec

from wherry.registry import names
from wherry.registry.context import Context
from wherry.registry.documents import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEXES,
    MANIFEST_MAX,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Document,
)
from wherry.registry.errors import (
    BadDigest,
    BadManifest,
    ManifestBlobUnknown,
    ManifestUnknown,
    Unsupported,
)
from wherry.registry.hooks import DELETE, PULL, PUSH, Event
from wherry.registry.http.message import Request, Response
from wherry.registry.routes import Target
from wherry.registry.store import Repository

_SINGLE = {OCI_INDEX: OCI_MANIFEST, DOCKER_LIST: DOCKER_MANIFEST}
_DEFAULT_PLATFORM = ("linux", "amd64")


def get_manifest(context: Context, request: Request, target: Target) -> Response:
    """Pulling manifests; Checking if content exists in the registry."""
    by_digest = ":" in target.reference
    reference = names.check_digest(target.reference) if by_digest else names.check_tag(target.reference)
    if context.upstream is not None:
        context.upstream.manifest(target.name, reference)
    repository = context.store.repository(target.name)
    digest = reference if by_digest else repository.resolve(reference)
    if digest is None:
        raise ManifestUnknown(detail={"Tag": reference})
    document = _read(repository, digest)
    accepted = _accepted(request)
    if accepted is not None and document.media_type not in accepted:
        document, digest = _substitute(repository, document, digest, accepted, by_digest=by_digest)
    etag = f'"{digest}"'
    headers = {"Content-Type": document.media_type, "Docker-Content-Digest": digest, "Etag": etag}
    if etag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status=304, headers=headers)
    if request.method != "HEAD":
        _tell(context, PULL, request, target, document, digest=digest)
    return Response(headers=headers, body=document.raw)


def put_manifest(context: Context, request: Request, target: Target) -> Response:
    """Pushing manifests."""
    by_digest = ":" in target.reference
    reference = names.check_digest(target.reference) if by_digest else names.check_tag(target.reference)
    raw = request.body.read(MANIFEST_MAX)
    digest = names.digest_of(raw, reference.partition(":")[0] if by_digest else "sha256")
    if by_digest and digest != reference:
        raise BadDigest(detail=f"the content has digest {digest}")
    document = Document(raw, request.headers.get("content-type", ""))
    repository = context.store.repository(target.name)
    with context.store.gate.shared():
        _check(context, repository, document)
        repository.put_manifest(digest, raw)
        context.store.gate.note(digest)
        if not by_digest:
            repository.tag(reference, digest)
    headers = {"Location": context.urls.manifest(request, target.name, digest), "Docker-Content-Digest": digest}
    if document.subject:
        headers["OCI-Subject"] = document.subject
    references = tuple(msgspec.to_builtins(one) for one in document.descriptors())
    _tell(context, PUSH, request, target, document, digest=digest, references=references)
    return Response(status=201, headers=headers)


def delete_manifest(context: Context, request: Request, target: Target) -> Response:
    """Deleting manifests, and tags."""
    if not context.settings.delete:
        raise Unsupported("deletion is disabled")
    repository = context.store.repository(target.name)
    if ":" in target.reference:
        digest = names.check_digest(target.reference)
        repository.delete_manifest(digest)
        context.tell(Event(action=DELETE, repository=target.name, digest=digest, request=request))
    else:
        tag = names.check_tag(target.reference)
        if not repository.untag(tag):
            raise ManifestUnknown(detail={"Tag": tag})
        context.tell(Event(action=DELETE, repository=target.name, digest="", tag=tag, request=request))
    return Response(status=202)


def _tell(
    context: Context,
    action: str,
    request: Request,
    target: Target,
    document: Document,
    *,
    digest: str,
    references: tuple[dict[str, object], ...] = (),
) -> None:
    context.tell(
        Event(
            action=action,
            repository=target.name,
            digest=digest,
            media_type=document.media_type,
            size=len(document.raw),
            tag="" if ":" in target.reference else target.reference,
            references=references,
            url=context.urls.absolute(request, f"/v2/{target.name}/manifests/{digest}"),
            request=request,
        )
    )


def _read(repository: Repository, digest: str) -> Document:
    raw = repository.manifest(digest)
    if raw is None:
        raise ManifestUnknown(detail=f"unknown manifest {digest}")
    if names.digest_of(raw, digest.partition(":")[0]) != digest:
        raise ManifestUnknown("manifest is damaged in the registry's storage; push it again", detail=digest)
    try:
        return Document(raw)
    except BadManifest as error:
        raise ManifestUnknown(f"manifest of a kind that is not served: {error.detail}", detail=digest) from None


def _accepted(request: Request) -> set[str] | None:
    """The media types that the client takes; None: any."""
    text = request.headers.get("accept")
    if not text:
        return None
    kinds = {one.partition(";")[0].strip().lower() for one in text.split(",")}
    return None if kinds & {"*/*", "application/*", "application/json"} else kinds


def _substitute(
    repository: Repository, document: Document, digest: str, accepted: set[str], *, by_digest: bool
) -> tuple[Document, str]:
    """For a client that does not take what there is: an index's image for linux/amd64, as Docker's registry does it.

    Raises ManifestUnknown.
    """
    single = _SINGLE.get(document.media_type)
    if single in accepted and not by_digest:
        for one in document.manifests:
            platform = one.platform or {}
            if (platform.get("os"), platform.get("architecture")) == _DEFAULT_PLATFORM and one.media_type == single:
                return _read(repository, one.digest), one.digest
    raise ManifestUnknown(f"manifest is {document.media_type}, which the Accept header does not allow", detail=digest)


def _check(context: Context, repository: Repository, document: Document) -> None:
    """Everything that a manifest names, save its subject, is there and has the size that it says.

    Raises ManifestBlobUnknown with the first that is missing, BadManifest.
    """
    for one in document.blobs:
        if one.foreign:
            _check_urls(context, one)
            continue
        size = repository.blob_size(one.digest)
        if size is None:
            raise ManifestBlobUnknown(detail={"Digest": one.digest})
        _same_size(one, size)
    for one in document.manifests:
        raw = repository.manifest(one.digest)
        size = len(raw) if raw is not None else repository.blob_size(one.digest)
        if raw is None and (size is None or one.media_type in INDEXES or one.media_type in MANIFESTS):
            raise ManifestBlobUnknown(detail={"Digest": one.digest})
        assert size is not None
        context.store.gate.note(one.digest)
        _same_size(one, size)


def _same_size(one: Descriptor, size: int) -> None:
    if size != one.size:
        raise BadManifest(detail=f"{one.digest} has {size} bytes, the manifest says {one.size}")


def _check_urls(context: Context, one: Descriptor) -> None:
    """``validation.manifests.urls``: where layers that are not pushed may lie."""
    allowed, denied = context.settings.urls_allowed, context.settings.urls_denied
    for url in one.urls or ():
        if not url.startswith(("http://", "https://")):
            raise BadManifest(detail=f"invalid URL on layer: {url[:200]!r}")
        if (allowed and not any(pattern.search(url) for pattern in allowed)) or any(
            pattern.search(url) for pattern in denied
        ):
            raise BadManifest(detail=f"URL on layer is not allowed: {url[:200]!r}")
