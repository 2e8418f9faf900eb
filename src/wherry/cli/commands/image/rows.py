"""What lists of images show: a row per tag, or per digest that no tag has."""

from __future__ import annotations

import time

from wherry.cli import reference
from wherry.cli.format.rows import Kind
from wherry.cli.format.text import local_time, short_id
from wherry.cli.format.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Listed:
    """One row: an image under one of its names."""

    __slots__ = ("digest", "repository", "tag", "trunc", "value")

    def __init__(self, value: dict[str, Any], repository: str, tag: str, digest: str, *, trunc: bool) -> None:
        self.value = value
        self.repository = repository
        self.tag = tag
        self.digest = digest
        self.trunc = trunc


def is_dangling(image: dict[str, Any]) -> bool:
    """Whether nothing names it."""
    tags, digests = image.get("RepoTags") or [], image.get("RepoDigests") or []
    return (not tags and not digests) or (tags == ["<none>:<none>"] and digests == ["<none>@<none>"])


def listed(images: Iterable[dict[str, Any]], *, trunc: bool, digests: bool, wants_digest: bool) -> list[Listed]:
    """The rows. ``digests`` is ``--digests``; ``wants_digest`` is true as well if the template shows them."""
    rows = []
    for image in images:
        if is_dangling(image):
            rows.append(Listed(image, "<none>", "<none>", "<none>", trunc=trunc))
            continue
        tags = _by_name(image.get("RepoTags") or [])
        known = _by_name(image.get("RepoDigests") or [])
        for name, found in tags.items():
            shown = known.pop(name, [])
            shown = shown if wants_digest and shown else ["<none>"]
            rows += [Listed(image, name, tag, digest, trunc=trunc) for tag in found for digest in shown]
        for name, left in known.items():
            rows += [Listed(image, name, "<none>", digest, trunc=trunc) for digest in (left if digests else [""])]
    return rows


def _by_name(references: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in references:
        try:
            named = reference.parse(one)
        except ValueError:
            continue
        label = named.digest or named.tag
        if label:
            found.setdefault(named.familiar_name, []).append(label)
    return found


def _count(row: Listed) -> str:
    count = row.value.get("Containers", -1)
    return "N/A" if count == -1 else str(count)


def _shared(row: Listed) -> str:
    shared = row.value.get("SharedSize", -1)
    return "N/A" if shared == -1 else human_size(shared)


def _unique(row: Listed) -> str:
    size, shared = row.value.get("Size", -1), row.value.get("SharedSize", -1)
    return "N/A" if -1 in {size, shared} else human_size(size - shared)


IMAGES = Kind(
    "*formatter.imageContext",
    {
        "ID": "IMAGE ID",
        "Repository": "REPOSITORY",
        "Tag": "TAG",
        "Digest": "DIGEST",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "Size": "SIZE",
        "Containers": "CONTAINERS",
        "VirtualSize": "SIZE",
        "SharedSize": "SHARED SIZE",
        "UniqueSize": "UNIQUE SIZE",
    },
    {
        "ID": lambda row: short_id(row.value.get("Id", "")) if row.trunc else row.value.get("Id", ""),
        "Repository": lambda row: row.repository,
        "Tag": lambda row: row.tag,
        "Digest": lambda row: row.digest,
        "CreatedSince": lambda row: f"{human_duration(time.time() - row.value.get('Created', 0))} ago",
        "CreatedAt": lambda row: local_time(row.value.get("Created", 0)),
        "Size": lambda row: human_size(row.value.get("Size", 0), 3),
        "Containers": _count,
        "VirtualSize": lambda row: human_size(row.value.get("Size", 0)),
        "SharedSize": _shared,
        "UniqueSize": _unique,
    },
)
COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size")
DIGEST_COLUMNS = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")
