"""Registries as the Engine API speaks of them: POST /auth, GET /distribution/{name}/json, GET /images/search."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wherry.wire.base import Wire


class AuthAnswer(Wire, frozen=True, kw_only=True):
    """A login that succeeded. The token is to be kept in place of the password; empty where there is none."""

    identity_token: str = ""
    status: str = "Login Succeeded"


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """One repository that a search found."""

    star_count: int = 0
    is_official: bool = False
    name: str = ""
    is_automated: bool = False
    """Deprecated: never true."""
    description: str = ""


class DistributionDescriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a name leads to."""

    media_type: str
    digest: str
    size: int


class DistributionPlatform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one manifest runs on (image-spec, image-index.md)."""

    architecture: str
    os: str
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    variant: str = ""


class DistributionInspect(Wire, frozen=True, kw_only=True):
    """GET /distribution/{name}/json."""

    descriptor: DistributionDescriptor
    platforms: Sequence[DistributionPlatform] | None = None
