"""Lists of images: ``docker images`` with its filters, and what they take on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from wherry.engine.images.catalog import Catalog
from wherry.engine.images.manifests import Manifests
from wherry.engine.images.model import ContainerUsers, ImageRecord, ImageUsage
from wherry.engine.images.words import reference_matches
from wherry.lib.filters import Filters, label_matches
from wherry.lib.timespan import until_ns
from wherry.oci.reference import Reference
from wherry.snapshots import Snapshots
from wherry.wire.image import ImageSummary

FILTERS = ("dangling", "label", "before", "since", "reference", "until")


def list_images(
    catalog: Catalog, filters: Filters, *, all_: bool = False, shared: dict[str, int] | None = None
) -> list[ImageSummary]:
    """The images that pass ``filters``, youngest first. Raises InvalidArgument, NotFound of ``before``, ``since``."""
    filters.check(FILTERS)
    dangling = filters.flag("dangling", default=False) if filters.get("dangling") else None
    before = min((catalog.resolve(name).created_ns for name in filters.get("before")), default=None)
    since = max((catalog.resolve(name).created_ns for name in filters.get("since")), default=None)
    until = until_ns(filters)
    records = catalog.all()
    parents = {record.document.parent for record in records}
    found = []
    for record in records:
        created = record.created_ns
        if (before is not None and created >= before) or (since is not None and created <= since):
            continue
        if until is not None and created > until:
            continue
        if not all(label_matches(term, record.labels) for term in filters.get("label")):
            continue
        names = _names(record, filters.get("reference"))
        if not _wanted(record, names, dangling, has_child=record.id in parents, all_=all_, filters=filters):
            continue
        found.append(_summary(record, names, (shared or {}).get(record.id, -1)))
    return sorted(found, key=lambda summary: -summary.created)


def with_manifests(
    summaries: Sequence[ImageSummary], catalog: Catalog, manifests: Manifests, users: ContainerUsers
) -> list[ImageSummary]:
    """``summaries`` with their manifests, and with the number of their containers."""
    return [_with_manifests(summary, catalog, manifests, users) for summary in summaries]


def _with_manifests(
    summary: ImageSummary, catalog: Catalog, manifests: Manifests, users: ContainerUsers
) -> ImageSummary:
    record = catalog.get(summary.id)
    if record is None:
        return summary
    containers = users.users_of(summary.id)
    return msgspec.structs.replace(
        summary,
        containers=len(containers),
        descriptor=manifests.descriptor(record),
        manifests=manifests.of(record, containers),
    )


def shared_sizes(catalog: Catalog, snapshots: Snapshots) -> dict[str, int]:
    """Bytes of each image's layers that other images have too, by image id."""
    records = catalog.all()
    uses = Counter(key for record in records for key in record.document.chain)
    sizes = layer_sizes(snapshots, records)
    return {record.id: sum(sizes.get(key, 0) for key in record.document.chain if uses[key] > 1) for record in records}


def layer_sizes(snapshots: Snapshots, records: Sequence[ImageRecord]) -> dict[str, int]:
    """Bytes of every layer that ``records`` have, by chain id."""
    sizes: dict[str, int] = {}
    for record in records:
        top = record.snapshot_key
        if top is not None and top not in sizes:
            sizes.update({row.key: row.size for row in snapshots.chain(top)})
    return sizes


def measure(catalog: Catalog, snapshots: Snapshots, users: ContainerUsers) -> ImageUsage:
    """What ``docker system df`` shows of images."""
    shared = shared_sizes(catalog, snapshots)
    summaries = [
        msgspec.structs.replace(summary, containers=len(users.users_of(summary.id)))
        for summary in list_images(catalog, Filters(), shared=shared)
    ]
    return ImageUsage(sum(layer_sizes(snapshots, catalog.all()).values()), summaries)


def _names(record: ImageRecord, patterns: Sequence[str]) -> list[Reference]:
    if not patterns:
        return list(record.references)
    return [one for one in record.references if any(reference_matches(pattern, one) for pattern in patterns)]


def _wanted(
    record: ImageRecord,
    names: Sequence[Reference],
    dangling: bool | None,  # noqa: FBT001 (three states: asked for, asked against, not asked)
    *,
    has_child: bool,
    all_: bool,
    filters: Filters,
) -> bool:
    """Moby's rule: what has names is shown; what has none unless it is below another image; filters narrow it."""
    if names:
        return not (dangling and any(not name.digest for name in names))
    if filters.get("reference") or dangling is False or record.references:
        return False
    return all_ or not has_child


def _summary(record: ImageRecord, names: Sequence[Reference], shared: int) -> ImageSummary:
    return ImageSummary(
        id=record.id,
        parent_id=record.document.parent,
        created=record.created_ns // 1_000_000_000,
        repo_tags=[name.familiar for name in names if not name.digest],
        repo_digests=[name.familiar for name in names if name.digest],
        labels=record.config.labels,
        shared_size=shared,
        size=record.size,
    )
