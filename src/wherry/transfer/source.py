"""What a pull asks of a registry; ``transfer.remote`` has it, and so have the tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from wherry.oci.manifest import Descriptor


class FetchedManifest(Protocol):
    """A manifest or an index as it came."""

    @property
    def media_type(self) -> str:
        """What it is."""

    @property
    def digest(self) -> str:
        """Of ``raw``."""

    @property
    def raw(self) -> bytes:
        """Its bytes."""


class BlobStream(Protocol):
    """The bytes of a blob. Whatever has to be retried or resumed is so inside."""

    on_retry: Callable[[int], None] | None
    """Told the seconds until the next attempt, each second anew."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill ``buffer`` or a part of it; 0 at the end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Source(Protocol):
    """One repository. Blocking and thread-safe; raises the family of ``lib.errors``, Stopped, OSError of neither."""

    def manifest(self, reference: str) -> FetchedManifest:
        """What a tag or a digest leads to, verified."""

    def blob(self, descriptor: Descriptor, *, offset: int = 0) -> BlobStream:
        """A blob from ``offset`` on."""

    def tags(self) -> Iterator[str]:
        """Every tag."""


OpenSource = Callable[[threading.Event], Source]
"""The repository, for work that ends when the event is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an image comes from. ``domain`` is the registry; what comes from there under one digest is one download."""

    domain: str
    repository: str
    """``docker.io/library/busybox``."""
    open: OpenSource
