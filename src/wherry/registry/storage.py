"""Where the registry keeps its bytes: the contract of a storage driver.

A driver maps paths (``/``-separated, relative, ASCII) to files. Every call blocks and may come from any thread; many
run at once. Directories are implied: they begin with their first file and are gone with their last, and a driver that
really has some hides it. A missing path raises PathMissing, whatever else goes wrong OSError (or a RegistryError).

* ``write`` and ``Writer.publish`` are atomic and durable: after a crash the old bytes are there or the new, whole.
* A reader that is open goes on reading what it opened when the path is replaced or deleted.
* A writer's bytes need not survive a crash before ``publish``, but what ``size`` then says was kept must be right.

    from wherry.registry.storage import Driver, PathMissing, Reader, Stat, Writer
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from wherry.lib.errors import NotFound


class PathMissing(NotFound):
    """Nothing is kept at this path."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known of a path without reading it."""

    size: int
    """Bytes; 0 for a directory."""
    modified: float
    """Seconds since the epoch."""
    directory: bool = False


class Closes(Protocol):
    """A context manager whose end is ``close``."""

    def close(self) -> None:
        """Let go of it; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Reader(Closes, Protocol):
    """An open file."""

    size: int
    """Bytes of the whole file."""
    descriptor: int | None
    """A file descriptor that sendfile can read at any offset, if there is one; it is the reader's to close."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from the present position, as far as that goes at once; 0 at the end."""


class Writer(Closes, Protocol):
    """A file that grows. One thread at a time uses it."""

    size: int
    """Bytes that it holds, those of earlier writers included."""

    def write(self, data: memoryview) -> None:
        """Append ``data``, all of it."""

    def close(self) -> None:
        """Leave the file at its path as far as it has come, to be appended to later; may be called twice."""

    def publish(self, target: str) -> None:
        """Make what was written durable and move it to ``target``, replacing what is there; ends the writer."""


class Driver(Protocol):
    """See the module."""

    name: str
    """What the configuration calls it: ``filesystem``, ``s3``."""

    def read(self, path: str) -> bytes:
        """A small file, whole (links, manifests; at most a few MiB). Raises PathMissing."""

    def write(self, path: str, data: bytes) -> None:
        """Replace a small file, atomically and durably."""

    def stat(self, path: str) -> Stat:
        """Raises PathMissing."""

    def open(self, path: str, offset: int = 0) -> Reader:
        """Read a file from ``offset`` bytes on. Raises PathMissing."""

    def append(self, path: str, *, make: bool = True) -> Writer:
        """A writer at the end of the file at ``path``, which is made if there is none.

        Unless it is to be there already (``make=False``): raises PathMissing.
        """

    def list(self, path: str) -> list[str]:
        """The names directly below a directory, unsorted. Raises PathMissing."""

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        """Every file below ``path`` with its stat, in any order; nothing where there is nothing."""

    def delete(self, path: str) -> None:
        """Remove a file, or a directory with all that is below it. Raises PathMissing."""

    def redirect(self, path: str, method: str) -> str | None:
        """A URL at which a client may fetch the file itself, or None: the registry then sends the bytes."""

    def check(self) -> None:
        """Whether the storage answers, for the health check. Raises OSError or NotServing."""

    def close(self) -> None:
        """The registry ends."""


def entries(driver: Driver, path: str) -> list[str]:
    """The names directly below a directory; none where there is none."""
    try:
        return driver.list(path)
    except PathMissing:
        return []
