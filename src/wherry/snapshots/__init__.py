"""Snapshots: the layers of file systems, and the writable one on top of them that each container has.

A snapshot is either *committed* (a layer, unchanging, keyed by its chain id) or *active* (writable, keyed by the
container that owns it, or by ``extract-…`` while a layer is being unpacked). Each names its parent; the bottom one has
none. On disk every snapshot is one short directory, because the kernel takes the whole chain in one mount option; how
an active one becomes a container's root is its storage driver's business (``drivers``):

    <data-root>/snapshots/            0700
        0/fs/                         the skeleton: mount targets below every container (dev, proc, etc/hosts, …)
        <n>/fs/                       what the layer adds and whites out, in overlayfs' own form
        <n>/work/                     overlayfs' scratch space, of an active snapshot only

Numbers are never used twice. The record (state) is the truth: a directory without a record is garbage that start-up
collects, an active record without a directory gets an empty one.

    overlay = await snapshots.prepare(container_id, image.snapshot_key)
    await snapshots.ready(container_id)
    mount overlay lower=overlay.lower upper=overlay.upper work=overlay.work (without an upper: bind the only lower)
    await snapshots.release(container_id)
    async with snapshots.changes(container_id) as directory: ...
    await snapshots.remove(container_id)
"""

from wherry.snapshots.model import NewLayer, Overlay, Records, SnapshotRow
from wherry.snapshots.snapshotter import Snapshots

__all__ = ["NewLayer", "Overlay", "Records", "SnapshotRow", "Snapshots"]
