"""A container's mounts from its creation to its removal: volumes made and filled, host paths checked, released."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import msgspec

from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord, MountRecord
from wherry.lib.errors import InvalidArgument
from wherry.linux.copying import Owner
from wherry.linux.overlay_view import open_view
from wherry.linux.paths import open_in
from wherry.runtime.spec_mounts import Bind, Tmpfs, tmpfs_options
from wherry.volumes.populate import copy_up
from wherry.wire.container import MountPoint


async def provision(
    context: Context, container_id: str, mounts: Sequence[MountRecord], layers: Sequence[str]
) -> list[MountRecord]:
    """Make the volumes of a new container, fill the empty ones from the image's ``layers``, check the host paths.

    Raises InvalidArgument in Docker's words; the caller releases what was made.
    """
    provisioned = []
    for mount in mounts:
        if mount.type == "volume":
            provisioned.append(await _provision_volume(context, container_id, mount, layers))
        else:
            if mount.type == "bind" and not mount.create_source:
                _check_source(mount.source)
            provisioned.append(mount)
    return provisioned


async def make_ready(context: Context, record: ContainerRecord) -> list[Bind | Tmpfs]:
    """What the runtime mounts: volumes mounted, missing directories of ``-v`` made. Raises InvalidArgument."""
    ready: list[Bind | Tmpfs] = []
    for mount in record.mounts:
        if mount.type == "tmpfs":
            options = tmpfs_options(mount.tmpfs_size, mount.tmpfs_mode, read_only=not mount.writable)
            ready.append(Tmpfs(destination=mount.destination, options=options))
            continue
        source = mount.source
        if mount.type == "volume":
            path = await context.volumes.mount(
                mount.volume, record.id, destination=mount.destination, writable=mount.writable
            )
            source = str(path)
        elif mount.create_source:
            _make_source(source, context.settings.defaults.maps.root)
        else:
            _check_source(source)
        ready.append(
            Bind(
                source=source,
                destination=mount.destination,
                writable=mount.writable,
                propagation=mount.propagation or "rprivate",
                recursive_read_only=mount.recursive_read_only and not mount.writable,
            )
        )
    return ready


async def end_use(context: Context, record: ContainerRecord) -> None:
    """The container has ended: its root and its volumes may be unmounted."""
    await context.snapshots.release(record.id)
    for name in sorted({mount.volume for mount in record.mounts if mount.type == "volume"}):
        await context.volumes.unmount(name, record.id)


async def release(context: Context, record: ContainerRecord, *, remove_anonymous: bool) -> None:
    """The container is being removed: let its volumes go, and with them those that nobody named, when asked."""
    context.volumes.release(record.id)
    if not remove_anonymous:
        return
    for mount in record.mounts:
        if mount.anonymous and not context.volumes.users(mount.volume):
            await context.volumes.remove(mount.volume, force=True)


def mount_point(mount: MountRecord) -> MountPoint:
    """One entry of ``Mounts`` as inspect shows it."""
    return MountPoint(
        type=mount.type,
        name=mount.volume,
        source=mount.source,
        destination=mount.destination,
        driver=mount.driver,
        mode=mount.mode,
        rw=mount.writable,
        propagation=mount.propagation,
    )


async def _provision_volume(
    context: Context, container_id: str, mount: MountRecord, layers: Sequence[str]
) -> MountRecord:
    volume = await context.volumes.create(
        mount.volume, mount.driver, mount.volume_options, mount.volume_labels, user=container_id
    )
    path = context.volumes.path(volume.name)
    if mount.copy and not volume.options:
        owner = context.settings.defaults.maps.owner
        await asyncio.to_thread(_populate, layers, mount.destination, path, owner)
    return msgspec.structs.replace(mount, volume=volume.name, source=str(path), driver=volume.driver)


def _populate(layers: Sequence[str], destination: str, volume: os.PathLike[str], owner: Owner) -> None:
    """Copy the directory that the image has at ``destination``, if any, into the volume, if it is empty."""
    if os.listdir(volume):
        return
    root = open_view(layers) if len(layers) > 1 else os.open(layers[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = open_in(root, destination, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return
    finally:
        os.close(root)
    try:
        copy_up(source, volume, owner)
    finally:
        os.close(source)


def _check_source(path: str) -> None:
    if not os.path.exists(path):
        raise InvalidArgument(f'invalid mount config for type "bind": bind source path does not exist: {path}')


def _missing(path: str) -> list[str]:
    """``path`` and the directories above it that are not there, from the top."""
    missing: list[str] = []
    while not os.path.lexists(path):
        missing.insert(0, path)
        path = os.path.dirname(path)
    return missing


def _make_source(path: str, owner: tuple[int, int]) -> None:
    """``-v`` makes the host directory that is missing, owned by the containers' root, as Docker does."""
    try:
        os.stat(path)
    except FileNotFoundError:
        try:
            for directory in _missing(path):
                os.mkdir(directory, 0o755)
                os.chown(directory, *owner)
        except OSError as error:
            raise InvalidArgument(
                f"error while creating mount source path '{path}': mkdir {error.filename}: {error.strerror}"
            ) from None
    except NotADirectoryError as error:
        raise InvalidArgument(f"error while creating mount source path '{path}': {error.strerror}") from None
