"""Archives from before Docker 1.10: ``repositories``, and per layer a directory with ``json`` and ``layer.tar``.

    repositories           {"name": {"tag": "<id of the top layer>"}}
    <id>/json              the layer's own config, with "parent"
    <id>/layer.tar

The config of today is the top one's without its links, with the layers' digests and a history out of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from wherry.lib.errors import InvalidArgument
from wherry.oci.image import CONFIG_MAX
from wherry.transfer.members import Members, diff_id_of

DEPTH_MAX = 1024
_LINKS = frozenset({"id", "parent", "Size", "parent_id", "layer_id", "throwaway"})

Found = tuple[bytes, list[str], list[str]]
"""A config, the members that are its layers (bottom first), its names."""


def read_legacy(repositories: bytes, members: Members) -> list[Found]:
    """The images of such an archive. Raises InvalidArgument."""
    try:
        names = msgspec.json.decode(repositories, type=dict[str, dict[str, str]])
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"invalid repositories: {error}") from None
    by_layer: dict[str, list[str]] = {}
    for name, tags in names.items():
        for tag, layer in tags.items():
            by_layer.setdefault(layer, []).append(f"{name}:{tag}")
    return [_image(layer, tags, members) for layer, tags in by_layer.items()]


def _image(top: str, tags: list[str], members: Members) -> Found:
    line = list(_ancestry(top, members))[::-1]
    layers = [f"{identifier}/layer.tar" for identifier, _ in line]
    config = {key: value for key, value in line[-1][1].items() if key not in _LINKS}
    config["rootfs"] = {"type": "layers", "diff_ids": [diff_id_of(members.get(layer)) for layer in layers]}
    config["history"] = [_history(layer) for _, layer in line]
    return msgspec.json.encode(config), layers, tags


def _ancestry(top: str, members: Members) -> Iterator[tuple[str, dict[str, Any]]]:
    identifier = top
    for _ in range(DEPTH_MAX):
        raw = members.read(f"{identifier}/json", CONFIG_MAX)
        try:
            config = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise InvalidArgument(f"invalid {identifier}/json: {error}") from None
        yield identifier, config
        parent = config.get("parent") or ""
        if not parent:
            return
        if not isinstance(parent, str):
            raise InvalidArgument(f"invalid {identifier}/json: parent is not a string")
        identifier = parent
    raise InvalidArgument(f"invalid archive: {top} has more than {DEPTH_MAX} ancestors")


def _history(config: dict[str, Any]) -> dict[str, Any]:
    command = (config.get("container_config") or {}).get("Cmd") or []
    found = {
        "created": config.get("created"),
        "author": config.get("author"),
        "created_by": " ".join(str(word) for word in command),
        "comment": config.get("comment"),
    }
    return {key: value for key, value in found.items() if value}
