"""What a local volume may be called and which options it may have, in Docker's words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wherry.lib.errors import InvalidArgument, NotBuilt

ANONYMOUS_LABEL = "com.docker.volume.anonymous"
"""Marks a volume that nobody named."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)
_KNOWN = ("type", "o", "device", "size")
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_NOT_BUILT = ("nfs", "nfs4", "cifs")


def check_name(name: str) -> None:
    """Raise InvalidArgument unless ``name`` can be a volume's."""
    if len(name) == 1:
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not _NAME.fullmatch(name) or len(name) > 255:
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )


def check_options(name: str, options: Mapping[str, str]) -> None:
    """Raise InvalidArgument for options that make no sense, NotBuilt for file systems of the network."""
    for option in options:
        if option not in _KNOWN:
            raise InvalidArgument(f'create {name}: invalid option: "{option}"')
    if "size" in options:
        raise InvalidArgument(f"create {name}: quota size requested but no quota support")
    for option, needed in _NEEDS.items():
        for other in needed:
            if option in options and other not in options:
                raise InvalidArgument(f'create {name}: missing required option: "{other}"')
    if options.get("type") in _NOT_BUILT:
        raise NotBuilt(f"create {name}: volumes of type {options['type']} are not built yet")
