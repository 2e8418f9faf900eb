"""Whether an image is the one for a platform that somebody asked for.

Docker's rule (containerd's platforms.Only): same system and architecture; of variants an older one will do, for what
runs on v6 of arm runs on v7.
"""

from __future__ import annotations

from wherry.engine.images.model import ImageRecord
from wherry.lib.errors import NotFound
from wherry.oci.manifest import Platform
from wherry.oci.platform import show_platform

_USUAL = {"arm": "v7", "arm64": "v8", "amd64": "v1"}
"""The variant that goes without saying."""


def check_platform(record: ImageRecord, name: str, wanted: Platform | None) -> None:
    """Raise NotFound if the image that ``name`` leads to is for another platform than ``wanted``."""
    if wanted is None:
        return
    own = platform_of(record)
    if (own.os, own.architecture) != (wanted.os, wanted.architecture) or _rank(own) > _rank(wanted):
        raise NotFound(
            f"image with reference {name} was found but its platform ({show_platform(own)}) does not match "
            f"the specified platform ({show_platform(wanted)})"
        )


def platform_of(record: ImageRecord) -> Platform:
    """The platform that the image's config names."""
    return Platform(
        os=record.os, architecture=record.architecture, variant=record.variant, os_version=record.image.os_version
    )


def _rank(platform: Platform) -> int:
    variant = platform.variant or _USUAL.get(platform.architecture, "")
    digits = variant.removeprefix("v")
    return int(digits) if digits.isdecimal() else 0
