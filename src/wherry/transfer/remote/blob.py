"""Reading a blob: as many bytes as its descriptor says, over as many connections as it takes.

distribution-spec, "Pulling blobs" (end-2); Range requests by RFC 9110, 14.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Self

from wherry.lib.errors import Internal
from wherry.oci.manifest import Descriptor
from wherry.oci.reference import Reference
from wherry.transfer.remote.faults import Broken, Fault, told
from wherry.transfer.remote.retry import OnRetry, Patience
from wherry.transfer.remote.transport import Response

PROGRESS = 1024 * 1024
"""Bytes after which a transfer has got on, and its failures are forgotten."""
SKIP_BUFFER = 256 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")

Opener = Callable[[int], Response]
"""Opens the blob at an offset, with a Range when it is not 0."""


class BlobReader:
    """A context manager. Nothing is asked of the registry before the first read. Not thread-safe."""

    def __init__(
        self, opener: Opener, descriptor: Descriptor, offset: int, patience: Patience, name: Reference | None
    ) -> None:
        self.on_retry: OnRetry | None = None
        self.offset = offset
        """Bytes of the blob that have been read, or were there before."""
        self._opener = opener
        self._descriptor = descriptor
        self._patience = patience
        self._name = name
        self._response: Response | None = None
        self._failed_at = offset

    @property
    def attempts(self) -> int:
        """Attempts that failed so far: "download failed after attempts=2"."""
        return self._patience.tried

    def readinto(self, buffer: memoryview | bytearray) -> int:
        """The next bytes of the blob; 0 at its end. Waits and resumes where a connection broke.

        Raises what the registry says (lib/errors), Stopped.
        """
        view = memoryview(buffer)
        left = self._descriptor.size - self.offset
        if left <= 0 or not view:
            return 0
        while True:
            try:
                count = self._read(view[:left])
            except Fault as fault:
                self._recover(fault)
            else:
                self.offset += count
                if count == left:
                    self._end()
                return count

    def _read(self, view: memoryview) -> int:
        if self._response is None:
            self._response = self._open()
        count = self._response.readinto(view)
        if count == 0:
            raise Broken("unexpected EOF")
        return count

    def _open(self) -> Response:
        response = self._opener(self.offset)
        try:
            if self.offset and response.status == 206:
                self._check_range(response)
            elif self.offset:
                self._skip(response)
            self._check_length(response)
        except BaseException:
            response.close()
            raise
        return response

    def _check_length(self, response: Response) -> None:
        left = self._descriptor.size - self.offset
        short = response.status != 206 and response.length is not None and response.length < left
        if short or (response.length is not None and response.length > left):
            raise self._too_long()  # a whole answer of another size will not become right by asking again

    def _check_range(self, response: Response) -> None:
        match = _CONTENT_RANGE.fullmatch(response.header("Content-Range").strip())
        if match is None or int(match[1]) != self.offset:
            raise Broken(f"invalid Content-Range in response: {response.header('Content-Range')[:100]!r}", retry=False)

    def _skip(self, response: Response) -> None:
        """The registry knows no ranges: read again what is there already, into nothing."""
        buffer = memoryview(bytearray(SKIP_BUFFER))
        left = self.offset
        while left:
            count = response.readinto(buffer[: min(left, SKIP_BUFFER)])
            if count == 0:
                raise Broken("unexpected EOF")
            left -= count

    def _recover(self, fault: Fault) -> None:
        self.close()
        got_on = self.offset - self._failed_at >= PROGRESS
        self._failed_at = self.offset
        if got_on:
            self._patience.renew()
        try:
            self._patience.after(fault, self.on_retry)
        except Fault:
            raise told(fault, self._name, whole=False) from fault

    def _end(self) -> None:
        """All is there; there must be no more."""
        response = self._response
        if response is None:
            return
        try:
            surplus = response.length is None and response.readinto(memoryview(bytearray(1)))
        except Fault:
            surplus = 0
        if surplus:
            self.close()
            raise self._too_long()
        self.close()

    def _too_long(self) -> Internal:
        return Internal(f"filesystem layer verification failed for digest {self._descriptor.digest}")

    def close(self) -> None:
        """Let go of the connection."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
