"""The mounts of a container, as values: Docker's defaults, and what was asked for over them. Pure.

Order matters and is Docker's: the defaults (proc, dev, devpts, sysfs, cgroup, mqueue, shm), then everything else by
depth of its destination, so that no mount is hidden by a later one of its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wherry.lib.errors import InvalidArgument

OciMount = dict[str, object]

_SHM = "/dev/shm"  # noqa: S108  a mount point, not a file of ours

_DEFAULTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
    ("/sys/fs/cgroup", "cgroup", "cgroup", ("ro", "nosuid", "noexec", "nodev")),
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    (_SHM, "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777")),
)

PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"})

# Mount flags by what they set: of two options with the same key the later one holds.
_FLAG_KEYS = {
    "ro": "ro", "rw": "ro",
    "suid": "suid", "nosuid": "suid",
    "dev": "dev", "nodev": "dev",
    "exec": "exec", "noexec": "exec",
    "sync": "sync", "async": "sync",
    "dirsync": "dirsync",
    "remount": "remount",
    "mand": "mand", "nomand": "mand",
    "atime": "atime", "noatime": "atime",
    "diratime": "diratime", "nodiratime": "diratime",
    "bind": "bind", "rbind": "rbind",
    "relatime": "relatime", "norelatime": "relatime",
    "strictatime": "strictatime", "nostrictatime": "strictatime",
    **dict.fromkeys(PROPAGATIONS, "propagation"),
}  # fmt: skip
_UNITS = ((30, "g"), (20, "m"), (10, "k"))
_TMPFS_DATA = frozenset({"mode", "uid", "gid", "size", "nr_inodes", "nr_blocks", "mpol"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A directory or file of the host (or of a volume) in the container."""

    source: str
    destination: str
    writable: bool = True
    propagation: str = "rprivate"
    recursive: bool = True
    recursive_read_only: bool = False
    """A read-only bind makes the mounts below it read-only too (Linux 5.12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """A tmpfs; ``options`` as after the colon of ``--tmpfs``: ``size=64m,exec``."""

    destination: str
    options: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPlan:
    """What decides about the mounts."""

    mounts: Sequence[Bind | Tmpfs] = ()
    etc_files: Sequence[Bind] = ()
    """hosts, hostname and resolv.conf; a mount of the user's at the same place wins."""
    shm_size: int = 64 << 20
    private_shm: bool = True
    """A tmpfs of its own for shared memory; otherwise ``shm_source`` is bound there, or nothing if that is empty."""
    shm_source: str = ""
    message_queues: str = "own"
    """``own``; in a user namespace with the host's IPC namespace ``bind`` (the host's) or ``none``."""
    privileged: bool = False
    writable_cgroups: bool = False


def build_mounts(plan: MountPlan) -> list[OciMount]:
    """The ``mounts`` of the OCI spec. Raises InvalidArgument for a tmpfs option that does not exist."""
    asked = list(plan.mounts)
    taken = {mount.destination for mount in asked}
    asked += [file for file in plan.etc_files if file.destination not in taken]
    if not plan.private_shm and plan.shm_source and _SHM not in taken:
        asked.append(Bind(source=plan.shm_source, destination=_SHM))
    taken = {mount.destination for mount in asked}
    mounts = [mount for mount in _defaults(plan) if not _overridden(str(mount["destination"]), taken)]
    mounts += [_requested(mount) for mount in sorted(asked, key=lambda mount: mount.destination.count("/"))]
    return mounts


def tmpfs_options(size: int, mode: int, *, read_only: bool) -> str:
    """The options of a ``--mount type=tmpfs`` as text for ``Tmpfs``; 0 is "not given"."""
    options = ["ro"] if read_only else []
    if mode:
        options.append(f"mode={mode:o}")
    if size:
        shift, unit = next(((shift, unit) for shift, unit in _UNITS if size % (1 << shift) == 0), (0, ""))
        options.append(f"size={size >> shift}{unit}")
    return ",".join(options)


def merge_tmpfs_options(options: Sequence[str]) -> list[str]:
    """Without what a later option overrides: ``noexec,exec`` is ``exec``. Raises InvalidArgument in Docker's words."""
    merged: list[str] = []
    seen: set[str] = set()
    for option in reversed(options):
        if option == "defaults":
            continue
        name, equals, _ = option.partition("=")
        key = _FLAG_KEYS.get(option)
        if key is None:
            if not equals or name not in _TMPFS_DATA:
                shown = " ".join(f'"{part}"' for part in option.split("=", 1))
                raise InvalidArgument(f"invalid tmpfs option [{shown}]")
            key = f"{name}="
        if key not in seen:
            seen.add(key)
            merged.insert(0, option)
    return merged


def _defaults(plan: MountPlan) -> list[OciMount]:
    mounts = []
    for destination, kind, source, options in _DEFAULTS:
        if kind == "mqueue" and plan.message_queues != "own":
            if plan.message_queues == "bind":
                mounts.append(_mount(destination, "bind", destination, ["rbind", "nosuid", "noexec", "nodev"]))
            continue
        changed = list(options)
        if destination == _SHM:
            if not plan.private_shm:
                continue
            changed.append(f"size={plan.shm_size}")
        writable = plan.writable_cgroups if kind == "cgroup" else plan.privileged
        if writable and "ro" in changed:
            changed.remove("ro")
        mounts.append(_mount(destination, kind, source, changed))
    return mounts


def _overridden(destination: str, taken: set[str]) -> bool:
    return destination in taken or ("/dev" in taken and destination.startswith("/dev/"))


def _requested(mount: Bind | Tmpfs) -> OciMount:
    if isinstance(mount, Tmpfs):
        extra = mount.options.split(",") if mount.options else []
        options = merge_tmpfs_options(["noexec", "nosuid", "nodev", "rprivate", *extra])
        return _mount(mount.destination, "tmpfs", "tmpfs", options)
    options = ["rbind" if mount.recursive else "bind"]
    if not mount.writable:
        options.append("ro")
        if mount.recursive_read_only and mount.recursive:
            options.append("rro")
    if mount.propagation:
        options.append(mount.propagation)
    return _mount(mount.destination, "bind", mount.source, options)


def _mount(destination: str, kind: str, source: str, options: list[str]) -> OciMount:
    return {"destination": destination, "type": kind, "source": source, "options": options}
