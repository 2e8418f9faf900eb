"""What a push asks of the registry's side (``remote``), and who knows where blobs are already."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from wherry.oci.reference import Reference


class Target(Protocol):
    """One repository to push to. All of it blocks, and raises the errors of ``lib.errors``."""

    @property
    def name(self) -> Reference:
        """Domain and path."""

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has the blob."""

    def mount_blob(self, digest: str, source: Reference) -> bool:
        """Have the registry take the blob over from another of its repositories; False if it does not."""

    def upload(
        self,
        digest: str,
        size: int,
        file: BinaryIO,
        progress: Callable[[int], None],
        *,
        on_retry: Callable[[int], None] | None = None,
    ) -> None:
        """Send a blob whose digest is known; ``on_retry`` is told the seconds left before another attempt."""

    def upload_stream(self, chunks: Iterable[bytes], progress: Callable[[int], None]) -> tuple[str, int]:
        """Send a blob that is made on the way; its digest and size."""

    def put_manifest(self, reference: str, media_type: str, raw: bytes) -> str:
        """Store a manifest under a tag or its digest; its digest."""


@dataclass(frozen=True, slots=True)
class Known:
    """A blob that was seen in a repository (domain/path)."""

    digest: str
    size: int
    repository: str
