"""Content digests: ``sha256:`` and 64 hexadecimal digits (image-spec, descriptor.md). No other algorithm is stored."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NewType

from wherry.lib.errors import InvalidArgument

Digest = NewType("Digest", str)
"""A digest that has been checked; only ``parse_digest``, ``digest_of`` and ``from_hex`` make one."""

_FORM = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


def parse_digest(text: str) -> Digest:
    """``text`` as a digest. Raises InvalidArgument in the words of go-digest."""
    if _SHA256.fullmatch(text):
        return Digest(text)
    if not _FORM.fullmatch(text):
        raise InvalidArgument("invalid checksum digest format")
    algorithm, _, encoded = text.partition(":")
    if algorithm not in _LENGTHS:
        raise InvalidArgument("unsupported digest algorithm")
    if len(encoded) != _LENGTHS[algorithm]:
        raise InvalidArgument("invalid checksum digest length")
    if algorithm == "sha256":
        raise InvalidArgument("invalid checksum digest format")
    raise InvalidArgument("unsupported digest algorithm")


def is_digest(text: str) -> bool:
    """Whether ``text`` is a digest that can be stored."""
    return _SHA256.fullmatch(text) is not None


def digest_of(data: bytes | memoryview) -> Digest:
    """The digest of ``data``."""
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def from_hex(encoded: str) -> Digest:
    """The digest of 64 hexadecimal digits. Raises InvalidArgument."""
    return parse_digest(f"sha256:{encoded}")


def encoded(digest: str) -> str:
    """The part after the algorithm."""
    return digest.partition(":")[2]


def chain_ids(diff_ids: Iterable[str]) -> list[Digest]:
    """The chain id of every layer, bottom first (image-spec, config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else Digest(diff_id))
    return chain
