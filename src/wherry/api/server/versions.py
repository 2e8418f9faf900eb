"""Versions of the Engine API: which we speak, and how a request names one."""

from __future__ import annotations

import re

from wherry.api.server.routing import ApiVersion
from wherry.lib.errors import InvalidArgument

MINIMUM = ApiVersion(1, 24)
MAXIMUM = ApiVersion(1, 50)

_PREFIX = re.compile(r"/v([0-9.]{1,32})(?=/)")
_KNOWN = {f"1.{minor}": ApiVersion(1, minor) for minor in range(MINIMUM.minor, MAXIMUM.minor + 1)}


def split_version(path: str) -> tuple[str, str]:
    """The version that prefixes ``path`` (empty if none does) and the path without it."""
    match = _PREFIX.match(path)
    return (match[1], path[match.end() :]) if match else ("", path)


def parse_version(text: str, since: ApiVersion = MINIMUM) -> ApiVersion:
    """The version that ``text`` names; empty is the newest. Raises InvalidArgument in Docker's words.

    A route that is there ``since`` before the minimum still takes the older clients that it is known to serve.
    """
    if not text:
        return MAXIMUM
    known = _KNOWN.get(text)
    if known is not None:
        return known
    numbers = [int(part) if part else 0 for part in text.split(".")]
    if numbers > [MAXIMUM.major, MAXIMUM.minor]:
        raise InvalidArgument(f"client version {text} is too new. Maximum supported API version is {MAXIMUM}")
    floor = min(since, MINIMUM)
    if numbers < [floor.major, floor.minor]:
        raise InvalidArgument(
            f"client version {text} is too old. Minimum supported API version is {MINIMUM}, "
            "please upgrade your client to a newer version"
        )
    return ApiVersion(numbers[0], numbers[1])
