"""One image in full: inspect and history."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.engine.images.catalog import Catalog
from wherry.engine.images.model import ImageRecord
from wherry.lib.clock import parse_rfc3339, rfc3339
from wherry.lib.errors import Internal
from wherry.oci.image import History
from wherry.snapshots import Snapshots
from wherry.wire.container import GraphDriver
from wherry.wire.image import HistoryItem, ImageInspect, Metadata, RootFs

MISSING = "<missing>"


def inspect_image(record: ImageRecord, snapshots: Snapshots) -> ImageInspect:
    """All that dockerd 28 tells of an image; ``api`` adds what older clients expect."""
    image = record.image
    history = image.history or []
    members = msgspec.json.decode(record.parsed.raw, type=dict[str, Any])
    return ImageInspect(
        id=record.id,
        repo_tags=record.repo_tags,
        repo_digests=record.repo_digests,
        parent=record.document.parent,
        comment=image.comment or (history[-1].comment if history else ""),
        created=rfc3339(record.created_ns) if image.created else "",
        container=image.container,
        container_config=members.get("container_config") or {},
        docker_version=image.docker_version,
        author=image.author,
        config={key: value for key, value in msgspec.to_builtins(record.config).items() if value or value == 0},
        architecture=image.architecture,
        variant=image.variant,
        os=record.os,
        os_version=image.os_version,
        size=record.size,
        graph_driver=graph_driver(record, snapshots),
        root_fs=RootFs(layers=record.parsed.diff_ids or None),
        metadata=Metadata(last_tag_time=rfc3339(record.document.tagged_ns)),
    )


def graph_driver(record: ImageRecord, snapshots: Snapshots) -> GraphDriver:
    """Where the layers lie, in overlay2's words."""
    directories = snapshots.lowers(record.snapshot_key)
    if not directories or snapshots.driver in ("native", "vfs"):
        return GraphDriver(data=None, name=snapshots.driver)
    top = directories[0].removesuffix("/fs")
    data = {"MergedDir": f"{top}/merged", "UpperDir": directories[0], "WorkDir": f"{top}/work"}
    if len(directories) > 1:
        data["LowerDir"] = ":".join(directories[1:])
    return GraphDriver(data=dict(sorted(data.items())), name=snapshots.driver)


def image_history(record: ImageRecord, catalog: Catalog, snapshots: Snapshots) -> list[HistoryItem]:
    """The steps, youngest first; only those that are images here have an id. Raises Internal for a lying config."""
    sizes = [row.size for row in reversed(snapshots.chain(record.snapshot_key))]
    steps: list[HistoryItem] = []
    layer = 0
    for step in record.image.history or []:
        size = 0
        if not step.empty_layer:
            if layer >= len(sizes):
                raise Internal("too many non-empty layers in History section")
            size = sizes[layer]
            layer += 1
        steps.insert(0, _item(step, size))
    at: ImageRecord | None = record
    for number, item in enumerate(steps):
        if at is None:
            break
        steps[number] = msgspec.structs.replace(item, id=at.id, tags=at.repo_tags or None)
        at = catalog.get(at.document.parent) if at.document.parent else None
    return steps


def _item(step: History, size: int) -> HistoryItem:
    try:
        created = parse_rfc3339(step.created or "") // 1_000_000_000
    except ValueError:
        created = 0
    return HistoryItem(
        comment=step.comment, created=created, created_by=step.created_by, id=MISSING, size=size, tags=None
    )
