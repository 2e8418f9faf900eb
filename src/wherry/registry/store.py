"""Blobs and repositories on top of a storage driver: what is linked where. Knows no HTTP and no manifest's inside."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from wherry.registry import layout, names
from wherry.registry.errors import BlobUnknown, ManifestUnknown
from wherry.registry.gate import Gate
from wherry.registry.storage import Driver, PathMissing, Reader, Writer, entries

_log = logging.getLogger(__name__)


class Store:
    """All repositories, and the blobs that they share. Thread-safe, as the driver is."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.gate = Gate()

    def repository(self, name: str) -> Repository:
        """The repository ``name`` (checked by ``names.check_name``), whether there is one or not."""
        return Repository(self, name)

    def repositories(self) -> list[str]:
        """The names of all repositories that hold anything, sorted."""
        return sorted(self._repositories(layout.REPOSITORIES, ""))

    def blob_size(self, digest: str) -> int | None:
        """The bytes of a blob, or None; whichever repository it belongs to."""
        try:
            return self.driver.stat(layout.blob_data(digest)).size
        except PathMissing:
            return None

    def open_blob(self, digest: str, offset: int = 0) -> Reader:
        """Raises BlobUnknown."""
        try:
            return self.driver.open(layout.blob_data(digest), offset)
        except PathMissing:
            raise BlobUnknown(detail=digest) from None

    def read_blob(self, digest: str) -> bytes | None:
        """The bytes of a small blob, or None."""
        try:
            return self.driver.read(layout.blob_data(digest))
        except PathMissing:
            return None

    def publish(self, writer: Writer, digest: str) -> None:
        """Make a written file, whose digest has been verified, the blob.

        One that is there already is replaced: should it be damaged, it is mended.
        """
        writer.publish(layout.blob_data(digest))

    def _repositories(self, path: str, name: str) -> Iterator[str]:
        found = entries(self.driver, path)
        if name and (layout.LAYERS in found or layout.MANIFESTS in found):
            yield name
        for entry in found:
            inner = f"{name}/{entry}" if name else entry
            if names.is_name(inner):
                yield from self._repositories(f"{path}/{entry}", inner)


class Repository:
    """One repository's links."""

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store = store
        self._driver = store.driver

    # --- blobs

    def blob(self, digest: str) -> str | None:
        """The digest under which the blob is kept, when this repository has it."""
        return self._follow(layout.link(layout.layer(self.name, digest)))

    def held(self, digest: str) -> tuple[str, int] | None:
        """The digest under which a blob is kept that this repository has, and its size. The client is told: noted."""
        kept = self.blob(digest)
        if kept is None:
            return None
        self._store.gate.note(kept)
        size = self._store.blob_size(kept)
        return None if size is None else (kept, size)

    def blob_size(self, digest: str) -> int | None:
        """The bytes of a blob that this repository has, or None; see ``held``."""
        held = self.held(digest)
        return None if held is None else held[1]

    def blobs(self) -> Iterator[str]:
        """The digests of all blobs."""
        return self._linked(layout.layers(self.name))

    def blob_since(self, digest: str) -> float:
        """When this repository got the blob, in seconds since the epoch; 0 if it does not have it."""
        return self._since(layout.layer(self.name, digest))

    def link_blob(self, digest: str) -> None:
        """The blob belongs to this repository from now on."""
        self._driver.write(layout.link(layout.layer(self.name, digest)), digest.encode("ascii"))

    def unlink_blob(self, digest: str) -> None:
        """It does no longer. Raises BlobUnknown."""
        try:
            self._driver.delete(layout.layer(self.name, digest))
        except PathMissing:
            raise BlobUnknown(detail=digest) from None

    # --- manifests

    def exists(self) -> bool:
        """Whether anything was ever pushed here."""
        for part in (layout.LAYERS, layout.MANIFESTS):
            try:
                self._driver.stat(f"{layout.repository(self.name)}/{part}")
            except PathMissing:
                continue
            return True
        return False

    def has_manifest(self, digest: str) -> bool:
        """Whether this repository has the manifest."""
        kept = self._follow(layout.link(layout.revision(self.name, digest)))
        return kept is not None and self._store.blob_size(kept) is not None

    def manifest(self, digest: str) -> bytes | None:
        """The bytes of a manifest of this repository."""
        kept = self._follow(layout.link(layout.revision(self.name, digest)))
        return None if kept is None else self._store.read_blob(kept)

    def put_manifest(self, digest: str, raw: bytes) -> None:
        """Keep a manifest; its digest is the caller's to verify."""
        self._driver.write(layout.blob_data(digest), raw)
        self._driver.write(layout.link(layout.revision(self.name, digest)), digest.encode("ascii"))

    def delete_manifest(self, digest: str) -> None:
        """Forget a manifest and every tag that names it. Raises ManifestUnknown."""
        self.unlink_manifest(digest)
        for tag in self.tags_of(digest):
            self.untag(tag)

    def unlink_manifest(self, digest: str) -> None:
        """Forget a manifest that no tag names. Raises ManifestUnknown."""
        if self._follow(layout.link(layout.revision(self.name, digest))) is None:
            raise ManifestUnknown(detail=f"unknown manifest {digest}")
        try:
            self._driver.delete(layout.revision(self.name, digest))
        except PathMissing:
            raise ManifestUnknown(detail=f"unknown manifest {digest}") from None

    def manifests(self) -> Iterator[str]:
        """The digests of all manifests."""
        return self._linked(layout.revisions(self.name))

    def manifest_since(self, digest: str) -> float:
        """When this repository got the manifest, as ``blob_since``."""
        return self._since(layout.revision(self.name, digest))

    # --- tags

    def tags(self) -> list[str]:
        """All tags, unsorted."""
        return [name for name in entries(self._driver, layout.tags(self.name)) if names.is_tag(name)]

    def tags_of(self, digest: str) -> list[str]:
        """The tags that name a manifest."""
        return [tag for tag in self.tags() if self.resolve(tag) == digest]

    def resolve(self, tag: str) -> str | None:
        """The digest that a tag names."""
        return self._follow(layout.tag_current(self.name, tag))

    def tag(self, tag: str, digest: str) -> None:
        """Let a tag name a manifest."""
        target = digest.encode("ascii")
        # In this order a tag that is listed leads somewhere, wherever this breaks off.
        self._driver.write(layout.tag_current(self.name, tag), target)
        self._driver.write(layout.tag_index(self.name, tag, digest), target)

    def untag(self, tag: str) -> bool:
        """Forget a tag; whether there was one."""
        try:
            self._driver.delete(layout.tag(self.name, tag))
        except PathMissing:
            return False
        return True

    # --- links

    def _linked(self, root: str) -> Iterator[str]:
        """The digests of the links below a directory of them."""
        for algorithm in entries(self._driver, root):
            for encoded in entries(self._driver, f"{root}/{algorithm}"):
                digest = f"{algorithm}:{encoded}"
                if names.is_digest(digest):
                    yield digest

    def _since(self, directory: str) -> float:
        try:
            return self._driver.stat(layout.link(directory)).modified
        except PathMissing:
            return 0.0

    def _follow(self, path: str) -> str | None:
        """The digest in a link; None when there is no link, or one that a crash of another registry has torn."""
        try:
            target = self._driver.read(path).decode("ascii", "replace").strip()
        except PathMissing:
            return None
        if not names.is_digest(target):
            _log.warning("%s: %r is no digest", path, target[:80])
            return None
        return target
