"""The storage driver that keeps the registry in an S3 bucket; see ``storage`` for the contract.

Paths are keys below ``rootdirectory``, the layout is that of Docker's registry. A directory is a common prefix. S3 is
atomic and durable object by object, which is all that the contract asks.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence

from wherry.registry.s3_client import Bucket, S3Reader
from wherry.registry.s3_settings import parse_s3
from wherry.registry.s3_writer import S3Writer
from wherry.registry.s3_xml import Elements, deletion, read_xml, text_of, texts_of
from wherry.registry.storage import PathMissing, Stat

REDIRECT_SECONDS = 20 * 60
"""How long a client may use the address that it is sent to, as in Docker's registry."""
PAGE = 1000
"""Keys that one request deletes or lists; S3 knows no more."""


class S3Driver:
    """``storage.Driver`` over one bucket."""

    name = "s3"

    def __init__(self, bucket: Bucket, *, redirects: bool = True, page: int = PAGE) -> None:
        self._bucket = bucket
        self._page_size = page
        self._root = f"{bucket.settings.root}/" if bucket.settings.root else ""
        self._redirects = redirects

    @classmethod
    def from_options(cls, options: Mapping[str, object], *, redirects: bool = True, page: int = PAGE) -> S3Driver:
        """The driver that ``storage.s3`` describes. Raises InvalidArgument."""
        return cls(Bucket(parse_s3(options)), redirects=redirects, page=page)

    def read(self, path: str) -> bytes:
        """See Driver."""
        return self._bucket.call("GET", self._key(path)).body

    def write(self, path: str, data: bytes) -> None:
        """See Driver."""
        self._bucket.call("PUT", self._key(path), headers=self._bucket.settings.object_headers, body=data)

    def stat(self, path: str) -> Stat:
        """See Driver."""
        try:
            headers = self._bucket.call("HEAD", self._key(path)).headers
        except PathMissing:
            if not texts_of(self._page(f"{self._key(path)}/", {"max-keys": "1"}), "Contents/Key"):
                raise
            return Stat(0, 0, directory=True)
        when = dt.datetime.strptime(headers["last-modified"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=dt.UTC)
        return Stat(int(headers["content-length"]), when.timestamp())

    def open(self, path: str, offset: int = 0) -> S3Reader:
        """See Driver."""
        return self._bucket.open(self._key(path), offset)

    def append(self, path: str, *, make: bool = True) -> S3Writer:
        """See Driver."""
        try:
            held = int(self._bucket.call("HEAD", self._key(path)).headers["content-length"])
        except PathMissing:
            if not make:
                raise
            held = None
        return S3Writer(self._bucket, self._key(path), held, self._key)

    def list(self, path: str) -> list[str]:
        """See Driver."""
        prefix = self._prefix(path)
        names: list[str] = []
        for page in self._pages(prefix, {"delimiter": "/"}):
            found = texts_of(page, "Contents/Key") + texts_of(page, "CommonPrefixes/Prefix")
            names += [key[len(prefix) :].rstrip("/") for key in found if key != prefix]
        if not names:
            raise PathMissing(f"s3: {path}: no such directory")
        return names

    def walk(self, path: str) -> Iterator[tuple[str, Stat]]:
        """See Driver."""
        for page in self._pages(self._prefix(path), {}):
            keys, sizes = texts_of(page, "Contents/Key"), texts_of(page, "Contents/Size")
            for key, size, when in zip(keys, sizes, texts_of(page, "Contents/LastModified"), strict=True):
                if not key.endswith("/"):
                    yield key[len(self._root) :], Stat(int(size), dt.datetime.fromisoformat(when).timestamp())

    def delete(self, path: str) -> None:
        """See Driver."""
        key = self._key(path)
        below = [name for page in self._pages(f"{key}/", {}) for name in texts_of(page, "Contents/Key")]
        if not below:
            self._bucket.call("HEAD", key)  # raises PathMissing
        doomed = (*below, key)
        for start in range(0, len(doomed), self._page_size):
            self._delete(doomed[start : start + self._page_size])

    def redirect(self, path: str, method: str) -> str | None:
        """See Driver."""
        return self._bucket.presigned(method, self._key(path), REDIRECT_SECONDS) if self._redirects else None

    def check(self) -> None:
        """See Driver."""
        self._page(self._root, {"max-keys": "1"})

    def close(self) -> None:
        """See Driver."""
        self._bucket.close()

    def _delete(self, keys: Sequence[str]) -> None:
        if len(keys) == 1:
            self._bucket.call("DELETE", keys[0])
            return
        body = deletion(keys)
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        answer = self._bucket.call("POST", "", query={"delete": ""}, headers={"content-md5": digest}, body=body)
        failed = texts_of(read_xml(answer.body), "Error/Key") if answer.body else []
        if failed:
            raise OSError(f"s3: could not delete {failed[0]} and {len(failed) - 1} more")

    def _pages(self, prefix: str, query: Mapping[str, str]) -> Iterator[Elements]:
        token = ""
        while True:
            page = self._page(prefix, {**query, "continuation-token": token} if token else query)
            yield page
            token = text_of(page, "NextContinuationToken")
            if text_of(page, "IsTruncated") != "true" or not token:
                return

    def _page(self, prefix: str, query: Mapping[str, str]) -> Elements:
        asked = {"list-type": "2", "max-keys": str(self._page_size), "prefix": prefix, **query}
        return read_xml(self._bucket.call("GET", "", query=asked).body)

    def _key(self, path: str) -> str:
        return self._root + path.strip("/")

    def _prefix(self, path: str) -> str:
        return f"{self._key(path)}/" if path.strip("/") else self._root
