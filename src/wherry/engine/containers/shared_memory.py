"""Shared memory of a container that shares its IPC namespace: a tmpfs that this daemon mounts, for others to bind too.

    <container's directory>/mounts/shm       while a container with ``--ipc shareable`` runs

It is not found through the container's own file system, which its program could have rearranged.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from wherry.engine.containers.context import Context
from wherry.engine.containers.record import ContainerRecord
from wherry.engine.containers.sharing import running
from wherry.lib.errors import Conflict, Internal, InvalidArgument
from wherry.linux import mounts
from wherry.runtime.modes import container_of, is_host
from wherry.runtime.spec_linux import id_maps

_PLACE = "/dev/shm"  # noqa: S108  a mount point, not a file of ours
_FLAGS = mounts.MS_NOEXEC | mounts.MS_NOSUID | mounts.MS_NODEV
_HOPS = 32
"""A container of a container of …: the ids of a cycle cannot be made, a damaged record could."""


def source(context: Context, record: ContainerRecord) -> str:
    """What is to be bound at /dev/shm; empty for a container that has it for itself. Mounts what is not there yet.

    Raises Conflict, InvalidArgument in Docker's words, Internal.
    """
    mode = record.host_config.ipc_mode
    if is_host(mode):
        if not os.path.isdir(_PLACE):
            raise Internal(f"{_PLACE} is not mounted, but must be for --ipc=host")
        return _PLACE
    if container_of(mode) is not None:
        return _of_another(context, record)
    if mode == "shareable" and not _has_own_mount(record):
        return _mount(context, record)
    return ""


def release(directory: Path) -> None:
    """Unmount what ``source`` has mounted for the container of that directory; it stays for those who have bound it."""
    place = _place(directory)
    with contextlib.suppress(FileNotFoundError):
        try:
            mounts.unmount(str(place), mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.EINVAL:  # is not mounted
                raise
        place.rmdir()


def _of_another(context: Context, record: ContainerRecord) -> str:
    """The shared memory of the container named, or of the one that it shares with itself."""
    mode = record.host_config.ipc_mode
    for _ in range(_HOPS):
        other = container_of(mode)
        if other is None:
            break
        try:
            record = running(context, other)
        except Conflict as error:
            raise Conflict(f"failed to join IPC namespace: {error.message}") from None
        mode = record.host_config.ipc_mode
    if is_host(mode):
        return _PLACE
    place = _place(context.settings.directory(record.id))
    if not os.path.ismount(place):
        raise InvalidArgument(
            f"failed to join IPC namespace: container {record.id}: non-shareable IPC "
            "(hint: use IpcMode:shareable for the donor container)"
        )
    return str(place)


def _mount(context: Context, record: ContainerRecord) -> str:
    directory = context.settings.directory(record.id)
    place = _place(directory)
    release(directory)
    os.makedirs(place, mode=0o700, exist_ok=True)
    try:
        mounts.mount("shm", str(place), "tmpfs", _FLAGS, f"mode=1777,size={record.host_config.shm_size}")
        os.chown(place, *id_maps(record.host_config, context.settings.defaults.maps).root)
    except OSError as error:
        raise Internal(f"mounting shm tmpfs: {error.strerror}") from error
    return str(place)


def _has_own_mount(record: ContainerRecord) -> bool:
    """Whether the user has something else in mind for the place."""
    taken = [mount.destination for mount in record.mounts] + list(record.host_config.tmpfs or ())
    return any(os.path.normpath(path) == _PLACE for path in taken)


def _place(directory: Path) -> Path:
    return directory / "mounts" / "shm"
