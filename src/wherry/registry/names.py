"""Names of repositories, tags, digests and uploads, by the distribution specification ("Pulling manifests").

What passes here is safe as a path of the storage: no ``..``, no empty part, ASCII only.
"""

from __future__ import annotations

import hashlib
import re

from wherry.registry.errors import BadDigest, BadName, BadTag, UploadUnknown

NAME_MAX = 255
LENGTHS = {"sha256": 64, "sha512": 128}
"""Hexadecimal digits, by algorithm."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def check_name(text: str) -> str:
    """``text`` as a repository's name. Raises BadName."""
    if len(text) > NAME_MAX:
        raise BadName(detail=f"repository name must not be more than {NAME_MAX} characters")
    if not _NAME.fullmatch(text):
        raise BadName(detail=f"invalid repository name {text!r}")
    return text


def check_digest(text: str) -> str:
    """``text`` as a digest that can be verified here. Raises BadDigest."""
    algorithm, _, encoded = text.partition(":")
    length = LENGTHS.get(algorithm)
    if length == len(encoded) and _HEX.fullmatch(encoded):
        return text
    if not _DIGEST.fullmatch(text):
        raise BadDigest("invalid checksum digest format", detail=text[:NAME_MAX])
    if length is None:
        raise BadDigest("unsupported digest algorithm", detail=algorithm[:NAME_MAX])
    raise BadDigest("invalid checksum digest length", detail=text[:NAME_MAX])


def check_tag(text: str) -> str:
    """``text`` as a tag. Raises BadTag."""
    if not _TAG.fullmatch(text):
        raise BadTag("invalid tag format", detail=text[:NAME_MAX])
    return text


def check_upload(text: str) -> str:
    """``text`` as the id of an upload. Raises UploadUnknown, since there can be none."""
    if not _UUID.fullmatch(text):
        raise UploadUnknown
    return text


def is_name(text: str) -> bool:
    """Whether ``text`` is a repository's name."""
    return len(text) <= NAME_MAX and _NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether ``text`` is a tag."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether ``text`` is a digest that can be verified here."""
    algorithm, _, encoded = text.partition(":")
    return LENGTHS.get(algorithm) == len(encoded) and _HEX.fullmatch(encoded) is not None


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """The digest of ``data``."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
