"""A file that grows in S3, whose objects do not grow: a multipart upload, or a single put while there is little.

    first bytes            buffered here
    a part's worth         CreateMultipartUpload, UploadPart …, two parts under way at once
    close                  little: PutObject · else CompleteMultipartUpload; the object at the path is what there is
    append to an object    little: read back into the buffer · else the first part is a copy of it (UploadPartCopy)
    publish                little: PutObject straight to the target · else complete, copy there, delete here

Nothing is kept elsewhere, so an upload can go on through another process of the registry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from wherry.registry.errors import NotServing
from wherry.registry.s3_client import Bucket
from wherry.registry.s3_settings import COPY_MAX, PART_MIN
from wherry.registry.s3_sign import escaped_path
from wherry.registry.s3_xml import completion, read_xml, text_of
from wherry.registry.storage import Closes, PathMissing

UNDER_WAY = 2
"""Parts being sent at once, each held in memory."""


class S3Writer(Closes):
    """``storage.Writer``."""

    def __init__(self, bucket: Bucket, key: str, held: int | None, keyed: Callable[[str], str]) -> None:
        self._bucket = bucket
        self._key = key
        self._keyed = keyed
        self._held = held
        self.size = held or 0
        self._buffer = bytearray()
        self._multipart: Multipart | None = None
        self._changed = held is None
        self._done = False

    def write(self, data: memoryview) -> None:
        """See Writer."""
        if not len(data):
            return
        if not self._changed:
            self._take_up()
        part_size = self._bucket.settings.part_size
        while len(data):
            room = part_size - len(self._buffer)
            self._buffer += data[:room]
            self.size += min(room, len(data))
            data = data[room:]
            if len(self._buffer) == part_size:
                self._send()

    def close(self) -> None:
        """See Writer."""
        if self._done:
            return
        self._done = True
        if self._changed:
            self._settle(self._key)

    def publish(self, target: str) -> None:
        """See Writer."""
        self._done = True
        key = self._keyed(target)
        if self._changed and self._multipart is None:
            self._settle(key)
            if self._held is not None:
                self._bucket.call("DELETE", self._key)
            return
        if self._changed:
            self._settle(self._key)
        copy(self._bucket, self._key, key, self.size)
        self._bucket.call("DELETE", self._key)

    def _take_up(self) -> None:
        """Bytes follow those of an object that is there."""
        assert self._held is not None
        self._changed = True
        if self._held >= PART_MIN:
            self._multipart = Multipart(self._bucket, self._key)
            for first, last in _ranges(self._held, COPY_MAX // 2):
                self._multipart.copy(self._key, first, last)
            return
        with contextlib.suppress(PathMissing):
            self._buffer += self._bucket.call("GET", self._key).body
        if len(self._buffer) != self._held:
            raise NotServing(f"s3: {self._key}: has {len(self._buffer)} bytes, {self._held} were announced")

    def _send(self) -> None:
        if self._multipart is None:
            self._multipart = Multipart(self._bucket, self._key)
        self._multipart.send(bytes(self._buffer))
        self._buffer.clear()

    def _settle(self, key: str) -> None:
        """What was written is the object at ``key``; a multipart upload began with its key."""
        if self._multipart is None:
            self._bucket.call("PUT", key, headers=self._bucket.settings.object_headers, body=self._buffer)
        else:
            if self._buffer:
                self._send()
            self._multipart.complete()
        self._buffer.clear()


class Multipart:
    """One multipart upload; its parts go out in threads. An upload that fails is aborted, so that nothing is billed."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        answer = bucket.call("POST", key, query={"uploads": ""}, headers=bucket.settings.object_headers)
        self._id = text_of(read_xml(answer.body), "UploadId")
        if not self._id:
            raise NotServing(f"s3: {key}: a multipart upload without an id")
        self._threads = ThreadPoolExecutor(UNDER_WAY, thread_name_prefix="s3-part")
        self._etags: list[Future[str]] = []

    def send(self, data: bytes) -> None:
        """The next part; waits while too many are under way, raises what an earlier one met."""
        waited = len(self._etags) - UNDER_WAY
        if waited >= 0:
            self._guarded(self._etags[waited])
        self._etags.append(self._threads.submit(self._put, len(self._etags) + 1, data))

    def copy(self, source: str, first: int, last: int) -> None:
        """The next part is these bytes of an object that is there."""
        self._etags.append(self._threads.submit(self._copy, len(self._etags) + 1, source, (first, last)))

    def complete(self) -> None:
        """All parts become the object. Raises what a part met."""
        etags = [self._guarded(one) for one in self._etags]
        self._threads.shutdown()
        try:
            self._bucket.call("POST", self._key, query={"uploadId": self._id}, body=completion(etags))
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Forget the upload and its parts."""
        self._threads.shutdown(cancel_futures=True)
        with contextlib.suppress(PathMissing, NotServing):
            self._bucket.call("DELETE", self._key, query={"uploadId": self._id})

    def _guarded(self, part: Future[str]) -> str:
        try:
            return part.result()
        except BaseException:
            self.abort()
            raise

    def _put(self, number: int, data: bytes) -> str:
        query = {"partNumber": str(number), "uploadId": self._id}
        return self._bucket.call("PUT", self._key, query=query, body=data).headers["etag"]

    def _copy(self, number: int, source: str, span: tuple[int, int]) -> str:
        headers = {**_source(self._bucket, source), "x-amz-copy-source-range": f"bytes={span[0]}-{span[1]}"}
        query = {"partNumber": str(number), "uploadId": self._id}
        answer = self._bucket.call("PUT", self._key, query=query, headers=headers)
        return text_of(read_xml(answer.body), "ETag")


def copy(bucket: Bucket, source: str, target: str, size: int) -> None:
    """Copy an object of ``size`` bytes within the bucket, without its bytes passing here."""
    settings = bucket.settings
    if size <= settings.copy_threshold:
        bucket.call("PUT", target, headers={**_source(bucket, source), **settings.object_headers})
        return
    upload = Multipart(bucket, target)
    for first, last in _ranges(size, settings.copy_part_size):
        upload.copy(source, first, last)
    upload.complete()


def _source(bucket: Bucket, key: str) -> dict[str, str]:
    return {"x-amz-copy-source": escaped_path(f"/{bucket.settings.bucket}/{key}")}


def _ranges(size: int, least: int) -> Iterator[tuple[int, int]]:
    """First and last byte of stretches of at least ``least`` bytes and less than twice that: no part may be small."""
    count = max(1, size // least)
    for number in range(count):
        yield size * number // count, size * (number + 1) // count - 1
