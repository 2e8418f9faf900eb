"""The ``platform`` parameter of the image calls, a platform of the image specification as JSON."""

from __future__ import annotations

import msgspec

from wherry.api.server.routing import ApiVersion, Request
from wherry.lib.errors import InvalidArgument
from wherry.oci.manifest import Platform


def platform_in(request: Request, since: ApiVersion) -> Platform | None:
    """The one that a request names; before ``since`` the parameter meant nothing."""
    return decode_platform(request.query.text("platform")) if request.version >= since else None


def decode_platform(text: str) -> Platform | None:
    """The platform that the parameter names; None when it was not given. Raises InvalidArgument in Docker's words."""
    if not text:
        return None
    try:
        platform = msgspec.json.decode(text, type=Platform)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"failed to parse platform: {error}") from None
    further = platform.variant or platform.os_version or platform.os_features
    if further and not platform.os and not platform.architecture:
        raise InvalidArgument("optional platform fields provided, but OS and Architecture are missing")
    if not platform.os or not platform.architecture:
        raise InvalidArgument("both OS and Architecture must be provided")
    return platform
