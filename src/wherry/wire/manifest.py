"""Manifests at registries as our own part of the API writes them (``/wherry/manifests``)."""

from __future__ import annotations

import msgspec

from wherry.wire.base import Wire


class PlatformOf(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image runs on, in the image specification's members."""

    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    variant: str = ""


class RemoteManifest(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """A manifest or an index; ``raw`` is its bytes in base64, ``platform`` what a manifest's config says."""

    media_type: str
    digest: str
    raw: str
    platform: PlatformOf | None = None


class PutManifest(Wire, frozen=True, kw_only=True):
    """What to push; ``source`` is the repository of the same registry that has its blobs, empty if the target has."""

    media_type: str = ""
    raw: str = ""
    source: str = ""


class Put(Wire, frozen=True, kw_only=True):
    """What was pushed."""

    digest: str
