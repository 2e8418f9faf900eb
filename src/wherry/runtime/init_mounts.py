"""The ``mounts`` of config.json as values, in order: pure, so it can be printed and tested without root.

``parse`` reads one entry of the OCI specification (config.md, Mounts); ``init_root`` executes the result.
"""

from __future__ import annotations

from wherry.linux.mounts import ATTRIBUTES, CLEAR, MS_BIND, MS_REC, MS_REMOUNT, PROPAGATION, SET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Mappings = tuple[list[dict[str, int]], list[dict[str, int]]]
    """Of users and of groups: ``containerID`` (in the file system), ``hostID`` (shown), ``size``."""

BIND = "bind"
CGROUP = "cgroup"
FILESYSTEM = "filesystem"
REMOUNT = "remount"

IDMAP = frozenset(("idmap", "ridmap"))
KNOWN_OPTIONS = frozenset(
    (
        *("defaults", "tmpcopyup", *IDMAP, *SET, *CLEAR),
        *(prefix + word for prefix in ("", "r") for word in PROPAGATION),
        *("r" + word for word in ATTRIBUTES),
    )
)
"""Every option that is not handed to the file system."""

# Files of /proc that may be mounted over (lxcfs, fakes): anything else there could redirect what we write to it.
PROC_TARGETS = frozenset(
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
        "copy_up",
        "data",
        "destination",
        "flags",
        "fstype",
        "idmap",
        "kind",
        "mappings",
        "propagation",
        "recursive_attributes",
        "source",
        "target",
    )

    def __init__(self, kind: str, destination: str, source: str, fstype: str) -> None:
        self.kind = kind
        self.destination = destination
        """As config.json has it."""
        self.target = clean(destination)
        """Absolute, as the container will see it."""
        self.source = source
        self.fstype = fstype
        self.flags = 0
        """mount(2) flags of a new file system; of a bind only MS_REC counts."""
        self.data: list[str] = []
        """Options that belong to the file system."""
        self.attributes = (0, 0)
        """mount_setattr(2) (set, clear) of the top mount ..."""
        self.recursive_attributes = (0, 0)
        """... and of all that is below it too (``rro`` and its like)."""
        self.propagation: list[int] = []
        self.copy_up = False
        """A tmpfs starts with what it covers."""
        self.idmap = ""
        """A word of ``IDMAP``: whose files belong to others here. Empty: they do not."""
        self.mappings: Mappings | None = None
        """Whose; None are the container's own."""

    @property
    def title(self) -> str:
        """What an error is about, in runc's words."""
        return f'error mounting "{self.source}" to rootfs at "{self.destination}"'

    def below(self, other: Mount) -> bool:
        """Whether this one's target lies on or below ``other``'s."""
        return f"{self.target}/".startswith(f"{other.target}/")

    def __repr__(self) -> str:
        words = [self.kind, self.source, "→", self.target, self.fstype, hex(self.flags), ",".join(self.data)]
        words += [f"attr{self.attributes}", f"rattr{self.recursive_attributes}", f"propagation{self.propagation}"]
        return " ".join([*words, *(["copy-up"] if self.copy_up else []), self.idmap]).rstrip()


def parse(entry: dict[str, Any], bundle: str = "") -> Mount:
    """One entry of ``mounts``; the source of a bind may be relative to ``bundle``. Raises ValueError with a reason."""
    options: list[str] = entry.get("options") or []
    fstype: str = entry.get("type") or ""
    source: str = entry.get("source") or ""
    bind = fstype == "bind" or "bind" in options or "rbind" in options
    if bind:
        kind = BIND
        if bundle and not source.startswith("/"):
            source = f"{bundle}/{source}"
    else:
        kind = CGROUP if fstype in ("cgroup", "cgroup2") else FILESYSTEM
        source = source or fstype
    mount = Mount(kind, entry["destination"], source, fstype)
    for option in options:
        _apply(mount, option)
    if mount.flags & MS_REMOUNT:
        mount.kind = REMOUNT
        mount.flags |= MS_BIND if bind else 0
    _read_mappings(mount, entry.get("uidMappings"), entry.get("gidMappings"))
    _check(mount)
    return mount


def _apply(mount: Mount, option: str) -> None:
    if option in PROPAGATION:
        mount.propagation.append(PROPAGATION[option])
    elif option[:1] == "r" and option[1:] in PROPAGATION:
        mount.propagation.append(PROPAGATION[option[1:]] | MS_REC)
    elif option in SET or option in CLEAR:
        mount.flags = mount.flags & ~CLEAR.get(option, 0) | SET.get(option, 0)
        mount.attributes = merge(mount.attributes, ATTRIBUTES.get(option, (0, 0)))
    elif option[:1] == "r" and option[1:] in ATTRIBUTES:
        mount.recursive_attributes = merge(mount.recursive_attributes, ATTRIBUTES[option[1:]])
    elif option in IDMAP:
        mount.idmap = option
    elif option == "tmpcopyup":
        mount.copy_up = True
    elif option != "defaults":
        mount.data.append(option)


def merge(old: tuple[int, int], new: tuple[int, int]) -> tuple[int, int]:
    """Two (set, clear) as one: the later word wins."""
    return (old[0] & ~new[1] | new[0], old[1] & ~new[0] | new[1])


def _read_mappings(mount: Mount, uids: list[dict[str, int]] | None, gids: list[dict[str, int]] | None) -> None:
    if not uids and not gids:
        return
    if not uids or not gids:
        raise ValueError("id-mapped mounts must have both uid and gid mappings specified")
    mount.mappings = (uids, gids)
    mount.idmap = mount.idmap or "idmap"


def _check(mount: Mount) -> None:
    if any("\0" in text for text in (mount.source, mount.destination, mount.fstype, *mount.data)):
        raise ValueError("mount field contains null byte")
    if mount.idmap and mount.kind == REMOUNT:
        raise ValueError("what is mounted already cannot be id-mapped")
    if mount.kind != REMOUNT:
        if mount.target == "/":
            raise ValueError("mount destination / not allowed")
        if mount.target == "/proc" and mount.kind != BIND and mount.fstype != "proc":
            raise ValueError('"/proc" cannot be mounted because it is not of type proc')
    if mount.target.startswith("/proc/") and mount.target not in PROC_TARGETS:
        raise ValueError(f'"{mount.target}" cannot be mounted because it is inside /proc')


def clean(path: str) -> str:
    """Absolute and without ``.``, ``..`` and double slashes: a relative destination counts from the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
