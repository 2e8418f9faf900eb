"""What the registry refuses, by the codes of the distribution specification ("Error Codes") and of Docker's registry.

RegistryError                      code                       status
├── BlobUnknown                    BLOB_UNKNOWN               404
├── BadUpload                      BLOB_UPLOAD_INVALID        400 (416 for a chunk out of order)
├── UploadUnknown                  BLOB_UPLOAD_UNKNOWN        404
├── BadDigest                      DIGEST_INVALID             400
├── ManifestBlobUnknown            MANIFEST_BLOB_UNKNOWN      404
├── BadManifest                    MANIFEST_INVALID           400
├── ManifestUnknown                MANIFEST_UNKNOWN           404
├── BadName                        NAME_INVALID               400
├── NameUnknown                    NAME_UNKNOWN               404
├── BadSize                        SIZE_INVALID               400 (413 for a manifest over the limit)
├── BadTag                         TAG_INVALID                400
├── BadPage                        PAGINATION_NUMBER_INVALID  400
├── BadRange                       RANGE_INVALID              416
├── AccessRefused                  UNAUTHORIZED               401, with a challenge
├── AccessDenied                   DENIED                     403
├── Unsupported                    UNSUPPORTED                405
├── NotServing                     UNAVAILABLE                503
└── Fault                          UNKNOWN                    500

Every one is answered as ``{"errors":[{"code":…,"message":…,"detail":…}]}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from wherry.lib.errors import WherryError


class RegistryError(WherryError):
    """Root of what a client of the registry is told. ``detail`` is anything that JSON can say."""

    code: ClassVar[str] = "UNKNOWN"
    status: int = 500
    words: ClassVar[str] = "unknown error"

    def __init__(
        self,
        message: str = "",
        *,
        detail: object = None,
        status: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or self.words)
        self.detail = detail
        self.headers = dict(headers or {})
        if status:
            self.status = status

    def entry(self) -> dict[str, object]:
        """The error as one entry of the answer's list."""
        said: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            said["detail"] = self.detail
        return said


class BlobUnknown(RegistryError):
    """No such blob in this repository."""

    code, status, words = "BLOB_UNKNOWN", 404, "blob unknown to registry"


class BadUpload(RegistryError):
    """The upload cannot go on like this."""

    code, status, words = "BLOB_UPLOAD_INVALID", 400, "blob upload invalid"


class UploadUnknown(RegistryError):
    """No such upload: never begun, finished, cancelled or expired."""

    code, status, words = "BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry"


class BadDigest(RegistryError):
    """Not a digest, or not the digest of what came."""

    code, status, words = "DIGEST_INVALID", 400, "provided digest did not match uploaded content"


class ManifestBlobUnknown(RegistryError):
    """A manifest names content that this repository does not have."""

    code, status, words = "MANIFEST_BLOB_UNKNOWN", 404, "blob unknown to registry"


class BadManifest(RegistryError):
    """Not a manifest, or not one of the type that was announced."""

    code, status, words = "MANIFEST_INVALID", 400, "manifest invalid"


class ManifestUnknown(RegistryError):
    """No such manifest or tag in this repository."""

    code, status, words = "MANIFEST_UNKNOWN", 404, "manifest unknown"


class BadName(RegistryError):
    """Not a repository's name."""

    code, status, words = "NAME_INVALID", 400, "invalid repository name"


class NameUnknown(RegistryError):
    """No such repository."""

    code, status, words = "NAME_UNKNOWN", 404, "repository name not known to registry"


class BadSize(RegistryError):
    """A body of another size than announced or allowed."""

    code, status, words = "SIZE_INVALID", 400, "provided length did not match content length"


class BadTag(RegistryError):
    """Not a tag."""

    code, status, words = "TAG_INVALID", 400, "manifest tag did not match URI"


class BadPage(RegistryError):
    """``n`` is no number of results."""

    code, status, words = "PAGINATION_NUMBER_INVALID", 400, "invalid number of results requested"


class BadRange(RegistryError):
    """No byte of the content lies in the asked range."""

    code, status, words = "RANGE_INVALID", 416, "invalid content range"


class AccessRefused(RegistryError):
    """Credentials are missing or wrong; ``challenge`` is the value of WWW-Authenticate."""

    code, status, words = "UNAUTHORIZED", 401, "authentication required"

    def __init__(self, challenge: str, message: str = "", *, detail: object = None) -> None:
        super().__init__(message, detail=detail, headers={"WWW-Authenticate": challenge})


class AccessDenied(RegistryError):
    """Known, and not allowed."""

    code, status, words = "DENIED", 403, "requested access to the resource is denied"


class Unsupported(RegistryError):
    """Not done here, by nature or by setting."""

    code, status, words = "UNSUPPORTED", 405, "The operation is unsupported."


class NotServing(RegistryError):
    """The storage or an upstream does not answer."""

    code, status, words = "UNAVAILABLE", 503, "service unavailable"


class Fault(RegistryError):
    """A fault on our side."""


def encode(*failures: RegistryError) -> bytes:
    """The body of an answer that says these."""
    return msgspec.json.encode({"errors": [failure.entry() for failure in failures]}) + b"\n"
