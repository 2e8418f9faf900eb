"""One repository at its registry, for one user: distribution-spec 1.1 as a client sees it.

    repository = Registries(settings).open(name, credentials)
    found = repository.manifest("latest")
    with repository.blob(descriptor) as blob:
        while count := blob.readinto(buffer): …

All methods block; call them from worker threads. All raise the errors of lib/errors in Docker's words, and
diff.errors.Stopped once their Stop is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from wherry.lib.errors import InvalidArgument
from wherry.oci.digest import digest_of, is_digest
from wherry.oci.manifest import Descriptor
from wherry.oci.reference import Reference
from wherry.transfer.remote.blob import BlobReader
from wherry.transfer.remote.body import Plain, Progress
from wherry.transfer.remote.client import ANY_STATUS, Client, Place, Services
from wherry.transfer.remote.faults import Fault, telling
from wherry.transfer.remote.listing import all_tags, referrers_of
from wherry.transfer.remote.manifests import ACCEPT, Fetched, read_head, read_manifest
from wherry.transfer.remote.places import Places
from wherry.transfer.remote.retry import OnRetry, Patience
from wherry.transfer.remote.stop import Stop
from wherry.transfer.remote.transport import Response
from wherry.transfer.remote.uploads import Uploads
from wherry.transfer.remote.url import parse_url

NOT_FOUND = frozenset({404})
FOREIGN_MAX = 8
"""Addresses of a foreign layer that are tried."""


class Repository:
    """Thread-safe: its blobs may be fetched and sent from several threads at once."""

    def __init__(self, name: Reference, services: Services, places: Places, stop: Stop, *, plain: bool) -> None:
        self.name = name
        self._services = services
        self._places = places
        self._stop = stop
        self._plain = plain
        self._uploads = Uploads(places.own, self._patience)

    def manifest(self, reference: str, *, head: bool = False) -> Fetched:
        """The manifest or index of a tag or digest (end-3); with ``head`` its type and digest only, where it is told.

        Docker asks for the head of a tag and then fetches by digest: do so where words are to be the same, and where
        the digest may be known already.
        """
        with telling(self._named(reference)):
            return self._places.ask(lambda client: self._manifest(client, reference, head=head))

    def _manifest(self, client: Client, reference: str, *, head: bool) -> Fetched:
        url, headers = client.place.target(f"manifests/{reference}"), {"Accept": ACCEPT}
        if head:
            # The head of a refusal has no words: then it is asked for in full.
            with client.call("HEAD", url, headers, accept=ANY_STATUS) as response:
                found = read_head(response, self.name, reference) if response.status < 400 else None
            if found is not None:
                return found
        try:
            response = client.call("GET", url, headers)
        except Fault as fault:
            # Docker asks for the head of a tag first, which is where a broken connection then shows.
            fault.prefix = fault.prefix.replace("Get ", "Head ", 1) if ":" not in reference else fault.prefix
            raise
        with response:
            return read_manifest(response, self.name, reference)

    def blob(self, descriptor: Descriptor, *, offset: int = 0) -> BlobReader:
        """A blob from ``offset`` on (end-2), from its own addresses where it is foreign and the registry has none."""
        if not is_digest(descriptor.digest):
            raise InvalidArgument(f"invalid digest {descriptor.digest!r}")
        return BlobReader(
            lambda at: self._open_blob(descriptor, at), descriptor, offset, self._patience(), self._named("")
        )

    def _open_blob(self, descriptor: Descriptor, offset: int) -> Response:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            return self._places.ask(
                lambda client: client.call("GET", client.place.target(f"blobs/{descriptor.digest}"), headers)
            )
        except Fault as fault:
            if fault.status not in NOT_FOUND:
                raise
            if not descriptor.urls:
                raise Fault("unknown blob", code="BLOB_UNKNOWN", status=fault.status, retry=False) from None
        return self._open_foreign(descriptor.urls, headers)

    def _open_foreign(self, urls: list[str], headers: dict[str, str]) -> Response:
        """The first address that serves. They were chosen by the image's author: no credentials, no insecure places."""
        last = Fault("no address of the layer can be used", retry=False)
        for text in urls[:FOREIGN_MAX]:
            try:
                url = parse_url(text)
                place = Place(url.at("/"), "")
                return Client(self._services, place, None, (), self._stop).call("GET", url, headers)
            except InvalidArgument as error:
                last = Fault(error.message, retry=False)
            except Fault as fault:
                last = fault
        raise last

    def has_blob(self, digest: str) -> bool:
        """Whether the registry itself has the blob in this repository (end-2, HEAD)."""
        with telling(whole=False):
            client = self._places.own()
            with client.call("HEAD", client.place.target(f"blobs/{digest}"), accept=NOT_FOUND) as response:
                return response.status not in NOT_FOUND

    def mount_blob(self, digest: str, source: Reference) -> bool:
        """Take the blob over from another repository of the same registry (end-11). False: it has to be sent."""
        if source.domain != self.name.domain:
            return False
        with telling(whole=False):
            return self._uploads.mount(digest, source)

    def upload(
        self, digest: str, size: int, file: BinaryIO, progress: Progress, *, on_retry: OnRetry | None = None
    ) -> None:
        """Send ``size`` bytes of a file (end-4a, end-6). ``progress`` is told the bytes sent so far in this attempt."""
        with telling(whole=False):
            self._uploads.send_file(digest, size, file, progress, on_retry)

    def upload_stream(self, chunks: Iterable[bytes], progress: Progress) -> tuple[str, int]:
        """Send bytes that are being made (end-4a, end-5, end-6); their digest and number. One attempt.

        ``progress`` is told the bytes sent so far. What ``chunks`` raises passes through.
        """
        with telling(whole=False):
            return self._uploads.send_stream(chunks, progress)

    def put_manifest(self, reference: str, media_type: str, raw: bytes) -> str:
        """Send a manifest or an index under a tag or its digest (end-7); its digest."""
        with telling():
            client = self._places.own()
            target = client.place.target(f"manifests/{reference}")
            with client.call("PUT", target, {"Content-Type": media_type}, Plain(raw)) as response:
                return response.header("Docker-Content-Digest") or digest_of(raw)

    def delete_manifest(self, digest: str) -> None:
        """Delete a manifest by digest, or a tag (end-9)."""
        with telling(self._named(digest)):
            client = self._places.own()
            client.call("DELETE", client.place.target(f"manifests/{digest}")).close()

    def tags(self) -> Iterator[str]:
        """Every tag (end-8). Of the registry itself, since a mirror need not know all."""
        with telling(self.name):
            yield from all_tags(self._places.own())

    def referrers(self, digest: str) -> bytes:
        """The index of the manifests whose subject is ``digest`` (end-12); empty where there are none."""
        with telling(self.name):
            return self._places.ask(lambda client: referrers_of(client, digest))

    def _patience(self) -> Patience:
        settings = self._services.settings
        return Patience(settings.attempts, settings.retry_delay, self._stop)

    def _named(self, reference: str) -> Reference | None:
        """The name for messages of a pull; None where messages go without."""
        if self._plain:
            return None
        if not reference or self.name.tag or self.name.digest:
            return self.name
        return Reference(self.name.domain, self.name.path, *(("", reference) if ":" in reference else (reference,)))
