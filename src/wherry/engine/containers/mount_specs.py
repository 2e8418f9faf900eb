"""What the user wrote about mounts, parsed: ``-v``, ``--mount``, ``--volumes-from`` and the image's volumes.

Pure: nothing is created or looked up here. A destination may be claimed once; what the user says wins over what the
image declares.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence

import msgspec

from wherry.engine.containers.record import MountRecord
from wherry.lib.errors import InvalidArgument
from wherry.wire.container import ContainerConfig, HostConfig, Mount

PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
LOCAL = "local"
_READ_WRITE = frozenset({"rw", "ro"})
_LABEL = frozenset({"z", "Z"})


def collect(
    config: ContainerConfig, host: HostConfig, mounts_of: Callable[[str], Sequence[MountRecord]]
) -> list[MountRecord]:
    """Every mount of a new container, one per destination.

    ``mounts_of`` gives the mounts of a container named in ``--volumes-from``. Raises InvalidArgument in Docker's words.
    """
    mounts: dict[str, MountRecord] = {}
    for reference in host.volumes_from or ():
        for mount in _inherited(reference, mounts_of):
            mounts[mount.destination] = mount
    claimed: set[str] = set()
    driver = host.volume_driver or LOCAL
    asked = [parse_bind(spec, driver) for spec in host.binds or ()] + [
        parse_mount(mount) for mount in host.mounts or ()
    ]
    for mount in asked:
        if mount.destination in claimed or mount.destination in (host.tmpfs or {}):
            raise InvalidArgument(f"Duplicate mount point: {mount.destination}")
        claimed.add(mount.destination)
        mounts[mount.destination] = mount
    for destination in config.volumes or ():
        path = _destination(destination, "volume", destination)
        if path not in mounts and path not in (host.tmpfs or {}):
            mounts[path] = MountRecord(type="volume", destination=path, driver=driver, anonymous=True)
    return list(mounts.values())


def parse_bind(spec: str, driver: str = LOCAL) -> MountRecord:
    """``[SOURCE:]DESTINATION[:OPTIONS]``: a source with a slash is a host path, without one a volume of ``driver``."""
    parts = spec.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidArgument(f"invalid volume specification: '{spec}'")
    if len(parts) == 1:
        return MountRecord(
            type="volume", destination=_destination(spec, "volume", parts[0]), driver=driver, anonymous=True
        )
    mode = parts[2] if len(parts) == 3 else ""
    kind = "bind" if parts[0].startswith("/") else "volume"
    options = _options(mode, kind)
    destination, writable = _destination(spec, kind, parts[1]), "ro" not in options
    if kind == "bind":
        propagation = next(iter(options & PROPAGATIONS), "rprivate")
        return MountRecord(
            type=kind,
            source=os.path.normpath(parts[0]),
            destination=destination,
            mode=mode,
            writable=writable,
            propagation=propagation,
            create_source=True,
        )
    return MountRecord(
        type=kind,
        volume=parts[0],
        destination=destination,
        mode=mode or "z",
        writable=writable,
        driver=driver,
        copy="nocopy" not in options,
    )


def parse_mount(mount: Mount) -> MountRecord:
    """One ``--mount``. Raises InvalidArgument in Docker's words."""
    prefix = f'invalid mount config for type "{mount.type}": '
    if mount.type not in ("bind", "volume", "tmpfs"):
        reason = "is not built yet" if mount.type in ("image", "npipe", "cluster") else "mount type unknown"
        raise InvalidArgument(prefix + reason)
    if not mount.target:
        raise InvalidArgument(prefix + "field Target must not be empty")
    if not mount.target.startswith("/"):
        raise InvalidArgument(f"{prefix}invalid mount path: '{mount.target}' mount path must be absolute")
    if os.path.normpath(mount.target) == "/":
        raise InvalidArgument(prefix + "invalid specification: destination can't be '/'")
    common = {
        "type": mount.type,
        "destination": os.path.normpath(mount.target),
        "writable": not mount.read_only,
        "from_flag": True,
    }
    return {"bind": _bind_mount, "volume": _volume_mount, "tmpfs": _tmpfs_mount}[mount.type](mount, prefix, common)


def _bind_mount(mount: Mount, prefix: str, common: dict[str, object]) -> MountRecord:
    if not mount.source:
        raise InvalidArgument(prefix + "field Source must not be empty")
    if not mount.source.startswith("/"):
        raise InvalidArgument(f"{prefix}invalid mount path: '{mount.source}' mount path must be absolute")
    options = mount.bind_options
    propagation = options.propagation if options and options.propagation else "rprivate"
    if propagation not in PROPAGATIONS:
        raise InvalidArgument(f"{prefix}invalid propagation mode: {propagation}")
    record = MountRecord(type="bind", destination="")
    return msgspec.structs.replace(
        record,
        source=os.path.normpath(mount.source),
        propagation=propagation,
        create_source=bool(options and options.create_mountpoint),
        recursive_read_only=not (options and options.read_only_non_recursive),
        **common,
    )


def _volume_mount(mount: Mount, prefix: str, common: dict[str, object]) -> MountRecord:
    options = mount.volume_options
    if options and options.subpath:
        raise InvalidArgument(prefix + "volume-subpath is not built yet")
    driver = options.driver_config if options else None
    record = MountRecord(type="volume", destination="")
    return msgspec.structs.replace(
        record,
        volume=mount.source,
        driver=(driver.name if driver else "") or LOCAL,
        volume_options=driver.options if driver else None,
        volume_labels=options.labels if options else None,
        anonymous=not mount.source,
        copy=not (options and options.no_copy),
        mode="z",
        **common,
    )


def _tmpfs_mount(mount: Mount, prefix: str, common: dict[str, object]) -> MountRecord:
    if mount.source:
        raise InvalidArgument(prefix + "field Source must not be specified")
    options = mount.tmpfs_options
    record = MountRecord(type="tmpfs", destination="")
    return msgspec.structs.replace(
        record, tmpfs_size=options.size_bytes if options else 0, tmpfs_mode=options.mode if options else 0, **common
    )


def _inherited(reference: str, mounts_of: Callable[[str], Sequence[MountRecord]]) -> list[MountRecord]:
    name, _, mode = reference.partition(":")
    if mode not in ("", "ro", "rw"):
        raise InvalidArgument(f'invalid mode: "{mode}"')
    return [
        msgspec.structs.replace(mount, writable=mount.writable and mode != "ro", anonymous=False)
        for mount in mounts_of(name)
        if mount.type in ("bind", "volume")
    ]


def _options(mode: str, kind: str) -> frozenset[str]:
    words = [word for word in mode.split(",") if word]
    known = _READ_WRITE | _LABEL | (PROPAGATIONS if kind == "bind" else {"nocopy"})
    families = [frozenset(words) & family for family in (_READ_WRITE, _LABEL, PROPAGATIONS)]
    if len(set(words)) != len(words) or not set(words) <= known or any(len(family) > 1 for family in families):
        raise InvalidArgument(f"invalid mode: {mode}")
    return frozenset(words)


def _destination(spec: str, kind: str, path: str) -> str:
    prefix = f"invalid volume specification: '{spec}': invalid mount config for type \"{kind}\": "
    if not path.startswith("/"):
        raise InvalidArgument(f"{prefix}invalid mount path: '{path}' mount path must be absolute")
    clean = os.path.normpath(path)
    if clean == "/":
        raise InvalidArgument(f"{prefix}invalid specification: destination can't be '/'")
    return clean
