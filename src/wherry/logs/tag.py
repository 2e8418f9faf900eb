"""The log option ``tag``: a template over what is known of the container.

Of Go's template language only ``{{.Field}}`` is understood; anything else is refused in words.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogInfo:
    """What a log may tell of its container."""

    id: str
    name: str = ""
    """Without the leading slash."""
    path: str = ""
    """The program, and ``args`` its arguments."""
    args: Sequence[str] = ()
    image_id: str = ""
    image_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Sequence[str] = ()


_FIELDS: dict[str, Callable[[LogInfo], str]] = {
    "ID": lambda info: info.id[:12],
    "FullID": lambda info: info.id,
    "ContainerID": lambda info: info.id,
    "Name": lambda info: info.name,
    "ContainerName": lambda info: f"/{info.name}",
    "ImageID": lambda info: info.image_id[:12],
    "ImageFullID": lambda info: info.image_id,
    "ContainerImageID": lambda info: info.image_id,
    "ImageName": lambda info: info.image_name,
    "ContainerImageName": lambda info: info.image_name,
    "Command": lambda info: " ".join([info.path, *info.args]),
    "DaemonName": lambda _: "docker",
    "Hostname": lambda _: socket.gethostname(),
}


def expand_tag(template: str, info: LogInfo) -> str:
    """``template`` filled in for ``info``. Raises ValueError."""

    def value(match: re.Match[str]) -> str:
        name = match[1].removeprefix(".")
        if name not in _FIELDS or not match[1].startswith("."):
            raise ValueError(f"template: log-tag:1: {match[0]} is not understood; known are {known}")
        return _FIELDS[name](info)

    known = ", ".join(f".{name}" for name in _FIELDS)
    expanded = _ACTION.sub(value, template)
    if "{{" in _ACTION.sub("", template):
        raise ValueError("template: log-tag:1: unclosed action")
    return expanded
