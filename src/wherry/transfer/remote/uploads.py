"""Sending blobs: distribution-spec, "Pushing blobs" (end-4a, end-5, end-6, end-11)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from typing import BinaryIO
from urllib.parse import urlencode

from wherry.oci.reference import Reference
from wherry.transfer.remote.body import Chunks, File, Plain, Progress
from wherry.transfer.remote.client import Client, refusal_of
from wherry.transfer.remote.faults import Fault
from wherry.transfer.remote.retry import OnRetry, Patience
from wherry.transfer.remote.transport import Response
from wherry.transfer.remote.url import Url

CREATED, ACCEPTED = 201, 202
BINARY = {"Content-Type": "application/octet-stream"}


class Uploads:
    """The uploads to one repository. Thread-safe."""

    def __init__(self, own: Callable[[], Client], patience: Callable[[], Patience]) -> None:
        self._own = own
        self._patience = patience
        self._lock = threading.Lock()
        self._opened: dict[str, Url] = {}
        """Uploads that a mount which did not succeed has begun, by digest."""

    def mount(self, digest: str, source: Reference) -> bool:
        """Have the registry take a blob from another of its repositories. False when it wants it sent."""
        client = self._own()
        query = urlencode({"mount": digest, "from": source.path})
        url = client.place.target("blobs/uploads/").with_query(query)
        with client.call("POST", url, body=Plain(), scopes=(f"repository:{source.path}:pull",)) as response:
            if response.status == CREATED:
                return True
            if response.status == ACCEPTED:
                with self._lock:
                    self._opened[digest] = _location(response)
                return False
            raise refusal_of(response)

    def send_file(
        self, digest: str, size: int, file: BinaryIO, progress: Progress, on_retry: OnRetry | None = None
    ) -> None:
        """Send a blob that is there already, in one PUT; from its beginning again where that failed."""
        patience = self._patience()
        while True:
            try:
                client = self._own()
                url = self._begin(client, digest).with_query(urlencode({"digest": digest}))
                with client.call("PUT", url, BINARY, File(file, size, progress)) as response:
                    _expect(response, CREATED)
            except Fault as fault:
                patience.after(fault, on_retry)
            else:
                return

    def send_stream(self, chunks: Iterable[bytes], progress: Progress) -> tuple[str, int]:
        """Send a blob that is being made, in one chunked PATCH; its digest and size. It cannot be tried again."""
        digest, size = hashlib.sha256(), 0

        def seen(chunk: bytes) -> None:
            nonlocal size
            digest.update(chunk)
            size += len(chunk)
            progress(size)

        client = self._own()
        url = self._begin(client, "")
        with client.call("PATCH", url, BINARY, Chunks(chunks, seen)) as response:
            _expect(response, ACCEPTED)
            url = _location(response)
        found = f"sha256:{digest.hexdigest()}"
        with client.call("PUT", url.with_query(urlencode({"digest": found})), BINARY, Plain()) as response:
            _expect(response, CREATED)
        return found, size

    def _begin(self, client: Client, digest: str) -> Url:
        with self._lock:
            opened = self._opened.pop(digest, None)
        if opened is not None:
            return opened
        with client.call("POST", client.place.target("blobs/uploads/"), body=Plain()) as response:
            _expect(response, ACCEPTED)
            return _location(response)


def _expect(response: Response, status: int) -> None:
    if response.status != status:
        raise refusal_of(response)


def _location(response: Response) -> Url:
    """Where the upload goes on: absolute, or relative to what was asked (RFC 9110, 10.2.2)."""
    location = response.header("Location")
    if not location:
        raise Fault("missing Location header of the upload in the registry's answer", retry=False)
    url = response.linked(location)
    if response.url.scheme == "https" and url.scheme == "http":
        if url.host != response.url.host:
            raise Fault(f"refusing to upload in clear to {url}", retry=False)
        # A registry behind a proxy that ends TLS: it does not know its own address.
        return Url(response.url.scheme, response.url.netloc, url.target)
    return url
