"""The checks of a whole daemon, in the order in which a repair must go: what others stand on first."""

from __future__ import annotations

from pathlib import Path

from wherry.engine.containers.context import Context
from wherry.engine.system.fsck.blobs import BlobDigests, Blobs
from wherry.engine.system.fsck.containers import ContainerFiles
from wherry.engine.system.fsck.images import ImagesCheck
from wherry.engine.system.fsck.layers import LayerContents, LayerRepair, Layers, LayerSizes
from wherry.engine.system.fsck.leaks import Leases, StateFile, Unneeded
from wherry.engine.system.fsck.networks import NetworkThings
from wherry.engine.system.fsck.processes import Mounts, Processes
from wherry.engine.system.fsck.service import Fsck
from wherry.engine.system.fsck.volumes import VolumeFiles
from wherry.engine.volumes import Volumes
from wherry.transfer.store import ImageStore


def make_fsck(store: ImageStore, context: Context, volumes: Volumes, data_root: Path) -> Fsck:
    """The checks on the daemon's own objects."""
    repair = LayerRepair(store, context.registry)
    return Fsck(
        quick=[
            StateFile(store.database),
            Leases(store),
            Blobs(store),
            Layers(store, repair),
            LayerSizes(store, repair),
            ImagesCheck(store, repair),
            Unneeded(store),
            ContainerFiles(context),
            Processes(context),
            Mounts(context, data_root),
            VolumeFiles(volumes),
            NetworkThings(context),
        ],
        thorough=[BlobDigests(store), LayerContents(store, repair)],
    )
