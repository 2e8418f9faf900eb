"""The ``mounts`` of config.json as values, in order: pure, so it can be printed and tested without root.

``parse`` reads one entry of the OCI specification; ``init_root`` executes the result.
"""

from __future__ import annotations

from wherry.linux.mounts import ATTRIBUTES, CLEAR, MS_REC, PROPAGATION, SET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BIND = "bind"
CGROUP = "cgroup"
FILESYSTEM = "filesystem"

# Files of /proc that may be mounted over (lxcfs, fakes): anything else there could redirect what we write to it.
_PROC_TARGETS = frozenset(
    f"/proc/{name}"
    for name in (
        *("cpuinfo", "diskstats", "loadavg", "meminfo", "net/dev", "slabinfo", "stat", "swaps", "uptime"),
        *("sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"),
    )
)


class Mount:
    """One mount to make."""

    __slots__ = (
        "attributes",
        "data",
        "flags",
        "fstype",
        "kind",
        "propagation",
        "recursive_attributes",
        "source",
        "target",
    )

    def __init__(self, kind: str, target: str, source: str, fstype: str) -> None:
        self.kind = kind
        self.target = target
        """Absolute, as the container will see it."""
        self.source = source
        self.fstype = fstype
        self.flags = 0
        """mount(2) flags of a new file system; of a bind only MS_REC counts."""
        self.data: list[str] = []
        """Options that belong to the file system."""
        self.attributes = (0, 0)
        """mount_setattr(2) (set, clear) of a bind's top mount ..."""
        self.recursive_attributes = (0, 0)
        """... and of all that is below it too (``rro`` and its like)."""
        self.propagation: list[int] = []

    def below(self, other: Mount) -> bool:
        """Whether this one's target lies on or below ``other``'s."""
        return f"{self.target}/".startswith(f"{other.target}/")

    def __repr__(self) -> str:
        words = [self.kind, self.source, "→", self.target, self.fstype, hex(self.flags), ",".join(self.data)]
        words += [f"attr{self.attributes}", f"rattr{self.recursive_attributes}", f"propagation{self.propagation}"]
        return " ".join(words)


def parse(entry: dict[str, Any]) -> Mount:
    """One entry of ``mounts``. Raises ValueError for a target that is refused."""
    options: list[str] = entry.get("options") or []
    fstype: str = entry.get("type") or ""
    target = _clean(entry["destination"])
    if fstype == "bind" or "bind" in options or "rbind" in options:
        kind = BIND
    else:
        kind = CGROUP if fstype in ("cgroup", "cgroup2") else FILESYSTEM
    mount = Mount(kind, target, entry.get("source") or fstype, fstype)
    for option in options:
        _apply(mount, option)
    _check(mount)
    return mount


def _apply(mount: Mount, option: str) -> None:
    if option in PROPAGATION:
        mount.propagation.append(PROPAGATION[option])
    elif option[:1] == "r" and option[1:] in PROPAGATION:
        mount.propagation.append(PROPAGATION[option[1:]] | MS_REC)
    elif option in SET or option in CLEAR:
        mount.flags = mount.flags & ~CLEAR.get(option, 0) | SET.get(option, 0)
        mount.attributes = _merge(mount.attributes, ATTRIBUTES.get(option, (0, 0)))
    elif option[:1] == "r" and option[1:] in ATTRIBUTES:
        mount.recursive_attributes = _merge(mount.recursive_attributes, ATTRIBUTES[option[1:]])
    elif option != "defaults":
        mount.data.append(option)


def _merge(old: tuple[int, int], new: tuple[int, int]) -> tuple[int, int]:
    """The later word wins."""
    return (old[0] & ~new[1] | new[0], old[1] & ~new[0] | new[1])


def _check(mount: Mount) -> None:
    inside_proc = mount.target.startswith("/proc/")
    if inside_proc and mount.target not in _PROC_TARGETS and mount.fstype not in ("proc", "sysfs"):
        raise ValueError(f'"{mount.target}" cannot be mounted because it is inside /proc')
    if mount.target == "/":
        raise ValueError("mount destination / not allowed")


def _clean(path: str) -> str:
    """Absolute and without ``.``, ``..`` and double slashes, as the specification's destination is meant."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
